"""Our samplers in studies of Optuna: Optuna's own tests of samplers, and what its users rely on."""

import copy
import os
import pickle
import subprocess
import sys
import tempfile

import pytest
from conftest import need

optuna = need("optuna")

import qgd  # noqa: E402
import qgd.optuna  # noqa: E402
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402

try:
    from optuna.testing import pytest_samplers as suite
except ImportError:
    # Older versions of Optuna do not bring their tests along.
    suite = None

LR = FloatDistribution(1e-5, 1e-1, log=True)
SPACE = {"lr": LR, "layers": IntDistribution(1, 3), "kind": CategoricalDistribution(["a", "b"])}
PARAMS = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 3},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}

# What asks a sampler hundreds of times for a parameter by itself, which is one code for all samplers: with `tpe` it is
# always run, with the others where QGD_SAMPLERS is "all".
ONCE = [
    "test_float",
    "test_int",
    "test_categorical",
    "test_multi_objective_sample_independent",
    "test_combination_of_different_distributions_objective",
    "test_sample_relative_numerical",
]


def suite_for(name):
    """A class of Optuna's tests for the sampler of that name."""
    given = {"search_space": SPACE} if name == "grid" else {}
    spec = "grid:n=5" if name == "grid" else name

    @pytest.fixture
    def sampler(self):
        return lambda: qgd.optuna.Sampler(spec, seed=1, **given)

    several = suite.MultiObjectiveSamplerTestCase if takes_several(spec) else suite.SingleOnlySamplerTestCase
    left_out = [] if name == "tpe" or os.environ.get("QGD_SAMPLERS") == "all" else ONCE
    members = {"sampler": sampler, **dict.fromkeys(left_out)}
    marked = pytest.mark.filterwarnings("default:sampler 'grid")
    return marked(type(name, (suite.BasicSamplerTestCase, suite.RelativeSamplerTestCase, several), members))


def takes_several(spec):
    try:
        qgd.Study({"x": {"type": "int", "low": 0, "high": 1}}, sampler=spec, directions=["minimize"] * 2)
    except ValueError:
        return False
    return True


for name in qgd.samplers() if suite else []:
    globals()[f"TestOptunasOwnFor_{name.replace('-', '_')}"] = suite_for(name)


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def suggested(trial):
    return {
        "lr": trial.suggest_float("lr", 1e-5, 1e-1, log=True),
        "layers": trial.suggest_int("layers", 1, 3),
        "kind": trial.suggest_categorical("kind", ["a", "b"]),
    }


def cost(params):
    return abs(params["lr"] - 1e-3) * 100 + params["layers"] + (params["kind"] == "b")


def objective(trial):
    return cost(suggested(trial))


def tried(study):
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", [name for name in qgd.samplers() if name != "grid"])
def test_a_known_space_is_searched_as_by_a_study_of_qgd(name):
    theirs = optuna.create_study(sampler=qgd.optuna.Sampler(name, seed=7, search_space=SPACE))
    theirs.optimize(objective, n_trials=25)
    ours = qgd.Study(PARAMS, sampler=name, seed=7)
    ours.optimize(lambda trial: cost(trial.params), n_trials=25)
    assert tried(theirs) == tried(ours)


def test_one_argument_is_all_that_changes():
    def best(sampler):
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=60)
        return study.best_value

    assert best(qgd.optuna.Sampler("tpe", seed=0)) < 1.1
    assert qgd.optuna.Sampler("tpe", seed=0).__str__() == "Sampler('tpe')"


def test_the_same_seed_tries_the_same_and_none_tries_others():
    def first(seed):
        study = optuna.create_study(sampler=qgd.optuna.Sampler("tpe", seed=seed))
        study.optimize(objective, n_trials=15)
        return tried(study)

    assert first(4) == first(4) != first(5)
    assert first(None) != first(None)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
def test_a_copy_goes_on_as_the_original_would(duplicate):
    def run(change):
        study = optuna.create_study(sampler=qgd.optuna.Sampler("tpe", seed=4))
        study.optimize(objective, n_trials=15)
        study.sampler = change(study.sampler)
        study.optimize(objective, n_trials=10)
        return tried(study)

    assert run(duplicate) == run(lambda sampler: sampler)


def test_a_parameter_that_depends_on_another_is_learned_too():
    def conditional(trial):
        if trial.suggest_categorical("has_it", [True, False]):
            return abs(trial.suggest_float("x", 0, 1) - 0.8)
        return 1.0

    def mean_distance(sampler):
        study = optuna.create_study(sampler=sampler)
        study.optimize(conditional, n_trials=80)
        late = [trial.value for trial in study.trials[40:] if "x" in trial.params]
        return sum(late) / len(late)

    assert mean_distance(qgd.optuna.Sampler("tpe", seed=1)) < 0.15 < mean_distance(optuna.samplers.RandomSampler(1))


def test_first_values_of_parameters_do_not_depend_on_each_other():
    def many(trial):
        return sum(trial.suggest_float(f"x{i}", 0, 1) for i in range(8))

    study = optuna.create_study(sampler=qgd.optuna.Sampler("tpe", seed=1))
    study.optimize(many, n_trials=1)
    assert len(set(study.trials[0].params.values())) == 8


def test_trials_are_told_once_and_in_the_order_in_which_they_end():
    sampler = qgd.optuna.Sampler("tpe", seed=2, search_space=SPACE)
    study = optuna.create_study(sampler=sampler)
    asked = [study.ask() for _ in range(6)]
    for trial in asked:
        suggested(trial)
    for trial in reversed(asked):
        study.tell(trial, cost(trial.params))
    study.optimize(objective, n_trials=10)
    finished = [trial.number for trial in sampler._history.finished]
    assert sorted(finished) == list(range(15)) and len(sampler._history.running) == 0


def test_running_trials_keep_others_away():
    """Ten trials at once, asked after the same results, are ten different points; so are those of copies."""
    space = {"n": IntDistribution(1, 200)}
    sampler = qgd.optuna.Sampler("q-learning:n=200", seed=3, search_space=space)
    study = optuna.create_study(sampler=sampler)
    at_once = [study.ask(space) for _ in range(10)]
    assert len({trial.params["n"] for trial in at_once}) == 10
    assert len(sampler._history.running) == 9


@pytest.mark.parametrize("constrain", ["constraints_func", "set_constraint"])
def test_constraints_are_kept(constrain):
    if not hasattr(optuna.trial.Trial, constrain) and constrain != "constraints_func":
        pytest.skip("Optuna before version 5 has no `Trial.set_constraint`")

    def constrained(trial):
        params = suggested(trial)
        if constrain == "set_constraint":
            trial.set_constraint("layers", 1.5 - params["layers"])
        return cost(params)

    function = (lambda trial: (1.5 - trial.params["layers"],)) if constrain == "constraints_func" else None
    study = optuna.create_study(sampler=qgd.optuna.Sampler("tpe", seed=0, constraints_func=function))
    study.optimize(constrained, n_trials=60)
    late = [trial.params["layers"] for trial in study.trials[30:]]
    assert study.best_params["layers"] == 2 and late.count(1) <= 10, late


def test_several_objectives_reach_a_front():
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=qgd.optuna.Sampler("nsga2:population=10", seed=0)
    )
    study.optimize(lambda trial: (objective(trial), trial.params["layers"]), n_trials=60)
    assert {trial.params["layers"] for trial in study.best_trials} == {1, 2, 3}


def test_pruned_and_failed_trials_are_seen():
    def pruning(trial):
        params = suggested(trial)
        trial.report(cost(params), 1)
        if trial.number % 5 == 4:
            raise ZeroDivisionError
        if params["kind"] == "b":
            raise optuna.TrialPruned
        return cost(params)

    sampler = qgd.optuna.Sampler("tpe", seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(pruning, n_trials=50, catch=ZeroDivisionError)
    assert sum(trial.params["kind"] == "b" for trial in study.trials[25:]) <= 8
    assert len(sampler._history.finished) == 49


def test_hyperband_of_optuna_works_with_it():
    study = optuna.create_study(
        sampler=qgd.optuna.Sampler("bohb", seed=0), pruner=optuna.pruners.HyperbandPruner(max_resource=9)
    )

    def reporting(trial):
        params = suggested(trial)
        for step in range(1, 10):
            trial.report(cost(params) + 1 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return cost(params)

    study.optimize(reporting, n_trials=40)
    assert len(study.trials) == 40 and study.best_value < 1.5


def test_a_grid_is_tried_once_and_the_study_ends():
    space = {"layers": IntDistribution(1, 3), "kind": CategoricalDistribution(["a", "b"])}
    study = optuna.create_study(sampler=qgd.optuna.Sampler("grid", search_space=space))
    study.optimize(lambda t: t.suggest_int("layers", 1, 3) + (t.suggest_categorical("kind", ["a", "b"]) == "b"), 100)
    assert sorted((p["layers"], p["kind"]) for p in tried(study)) == [(n, kind) for n in (1, 2, 3) for kind in "ab"]


def test_choices_may_be_any_objects_and_ranges_may_change():
    def changing(trial):
        choice = trial.suggest_categorical("c", [None, (1, 2), True, 1.0, "x"])
        return trial.suggest_int("n", 0, 5 + trial.number % 3) + (choice is None)

    study = optuna.create_study(sampler=qgd.optuna.Sampler("tpe", seed=0))
    with pytest.warns(UserWarning, match="Choices"):
        study.optimize(changing, n_trials=40)
    assert study.best_value == 0


def test_one_sampler_serves_several_studies():
    sampler = qgd.optuna.Sampler("tpe", seed=0)
    studies = [optuna.create_study(sampler=sampler) for _ in range(2)]
    for _ in range(15):
        for study in studies:
            study.optimize(objective, n_trials=1)
    assert tried(studies[0]) == tried(studies[1])


def test_threads_share_a_sampler():
    sampler = qgd.optuna.Sampler("tpe", seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=40, n_jobs=4)
    assert len(study.trials) == 40 and all(trial.state.name == "COMPLETE" for trial in study.trials)
    assert len({trial.params["lr"] for trial in study.trials}) == 40


WORKER = """
import sys, optuna, qgd.optuna
study = optuna.load_study(study_name="s", storage=sys.argv[1], sampler=qgd.optuna.Sampler("tpe", seed=0))
study.optimize(lambda trial: abs(trial.suggest_float("x", 0, 1) - 0.3), n_trials=6)
"""


@pytest.fixture
def fast_path(tmp_path):
    """A folder in memory, where there is one: Optuna makes its tables one by one, which takes a slow disk seconds."""
    if not os.path.isdir("/dev/shm"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


def test_processes_share_a_study(fast_path):
    need("sqlalchemy")
    url = f"sqlite:///{fast_path}/study.db"
    study = optuna.create_study(study_name="s", storage=url, sampler=qgd.optuna.Sampler("tpe", seed=0))
    workers = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", WORKER, url]) for _ in range(2)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    assert len(study.trials) == 12 and len({trial.params["x"] for trial in study.trials}) == 12
    assert study.best_value < 0.15
    # The same file is a study of ours.
    ours = qgd.Study({"x": {"type": "float", "low": 0, "high": 1}}, name="s", storage=url)
    assert ours.best_value == study.best_value


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"sampler": "annealing"}, "annealing.*tpe"),
        ({"sampler": "tpe:gamma=2"}, "gamma"),
        ({"sampler": "grid"}, "search_space"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "float"),
        ({"sampler": None}, "sampler is None"),
        ({"search_space": {"x": 5}}, r"search_space\['x'\] is 5"),
    ],
)
def test_what_is_wrong_is_said_at_once(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        qgd.optuna.Sampler(**settings)


def test_a_sampler_for_one_objective_refuses_several():
    study = optuna.create_study(directions=["minimize"] * 2, sampler=qgd.optuna.Sampler("cmaes"))
    with pytest.raises(ValueError, match="one objective"):
        study.optimize(lambda trial: (objective(trial), 0.0), n_trials=1)
