"""Studies: ask and tell, the whole loop, storages, and what is said about wrong use."""

import json
import math
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import qgd

SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 3},
    "skip": {"type": "categorical", "choices": ["none", "add"], "when": {"layers": [2, 3]}},
}
SPACE_FILE = """
direction = "maximize"
[params.lr]
type = "float"
low = 1e-5
high = 1e-1
log = true
[params.layers]
type = "int"
low = 1
high = 3
[params.skip]
type = "categorical"
choices = ["none", "add"]
when = { layers = [2, 3] }
"""


def cost(params):
    return (math.log10(params["lr"]) + 3) ** 2 + params["layers"] + (params.get("skip") == "add")


def objective(trial):
    return cost(trial.params)


def tried(study):
    return [trial.params for trial in study.trials]


def test_a_study_finds_what_is_good_and_says_so():
    study = qgd.Study(SPACE)
    study.optimize(objective, n_trials=60)
    assert len(study.trials) == 60
    assert study.best_value == min(trial.value for trial in study.trials) < 1.1
    assert study.best_trial.params == study.best_params and study.best_params["layers"] == 1
    assert "skip" not in study.best_params
    assert type(study.best_params["layers"]) is int and type(study.best_params["lr"]) is float
    assert study.direction == "minimize"


def test_ask_and_tell_do_what_optimize_does():
    whole, by_hand = qgd.Study(SPACE, seed=3), qgd.Study(SPACE, seed=3)
    whole.optimize(objective, n_trials=25)
    for number in range(25):
        trial = by_hand.ask()
        assert trial.number == number
        by_hand.tell(trial if number % 2 else number, cost(trial.params))
    assert whole.trials == by_hand.trials


def find_program():
    """The program `qgd`, where it is installed beside this Python, on the path or built in the repository."""
    root = Path(__file__).resolve().parents[2]
    beside = [Path(sys.executable).parent / "qgd", root / "target" / "debug" / "qgd"]
    found = [str(path) for path in beside if path.exists()] + [shutil.which("qgd")]
    return found[0] or pytest.skip("the program `qgd` is not installed")


@pytest.mark.parametrize("sampler", ["tpe", "q-learning", "cmaes"])
def test_the_program_with_the_same_seed_tries_the_same(tmp_path, sampler):
    (tmp_path / "space.toml").write_text(SPACE_FILE)
    study = qgd.Study(tmp_path / "space.toml", sampler=sampler, seed=11)
    study.optimize(lambda trial: -cost(trial.params), n_trials=30)
    command = [find_program(), "ask-tell", "--space", "space.toml", "--sampler", sampler, "--seed", "11"]
    with subprocess.Popen(
        command, cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
    ) as served:

        def answer(line):
            served.stdin.write(json.dumps(line) + "\n")
            return json.loads(served.stdout.readline())

        for trial in study.trials:
            asked = answer({"ask": {}})
            assert asked == {"trial": trial.number, "params": trial.params}
            assert answer({"tell": {"trial": trial.number, "values": trial.values}}) == {"ok": True}
        served.stdin.close()


def test_a_space_file_gives_its_direction_and_a_dict_does_too(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE_FILE)
    assert qgd.Study(str(tmp_path / "space.toml")).direction == "maximize"
    assert qgd.Study({"direction": "maximize", "params": SPACE}).direction == "maximize"
    assert qgd.Study({"params": SPACE}, direction="maximize").direction == "maximize"
    # A parameter may have that name.
    study = qgd.Study({"params": {"type": "categorical", "choices": [2]}})
    assert study.ask().params == {"params": 2}


def test_numpy_values_and_tuples_make_a_space():
    step = {"type": "float", "low": np.float64(0), "high": np.float32(1), "step": None}
    study = qgd.Study({"x": step, "n": {"type": "categorical", "choices": (np.int64(4), True, [1, 2])}})
    study.enqueue({"x": np.float64(0.25), "n": [1, 2]})
    assert study.ask().params == {"x": 0.25, "n": [1, 2]}


def test_a_study_in_a_file_goes_on_as_if_it_had_not_ended(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    qgd.Study(SPACE, storage=url, seed=5).optimize(objective, n_trials=15)
    again = qgd.Study(SPACE, storage=url, seed=5)
    again.optimize(objective, n_trials=15)
    whole = qgd.Study(SPACE, seed=5)
    whole.optimize(objective, n_trials=30)
    assert tried(again) == tried(whole)
    with pytest.raises(ValueError, match="seed"):
        qgd.Study(SPACE, storage=url, seed=6)


def test_an_interrupted_trial_is_tried_again(tmp_path):
    study = qgd.Study(SPACE, storage=f"sqlite:///{tmp_path}/study.db")

    def interrupted(trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.optimize(interrupted, n_trials=3)
    assert [trial.state for trial in study.trials] == ["waiting"]
    waiting = study.trials[0].params
    study.optimize(objective, n_trials=1)
    assert [(trial.state, trial.params) for trial in study.trials] == [("complete", waiting)]


def test_bad_trials_are_pruned_and_keep_their_last_value():
    study = qgd.Study(SPACE, pruner="median:n_startup_trials=4")

    def reporting(trial):
        for step in range(5):
            trial.report(cost(trial.params) + 1 / (step + 1), step)
            if trial.should_prune():
                raise qgd.Pruned
        return cost(trial.params)

    study.optimize(reporting, n_trials=40)
    pruned = [trial for trial in study.trials if trial.state is qgd.TrialState.PRUNED]
    assert 5 <= len(pruned) <= 35
    assert all(trial.value == list(trial.intermediate_values.values())[-1] for trial in pruned)
    assert study.best_trial.state == "complete"


def test_a_failing_objective_ends_the_study_unless_it_is_caught(caplog):
    study = qgd.Study(SPACE)

    def failing(trial):
        if trial.number % 2:
            raise ZeroDivisionError("nothing to divide by")
        return cost(trial.params)

    with pytest.raises(ZeroDivisionError):
        study.optimize(failing, n_trials=10)
    assert [trial.state for trial in study.trials] == ["complete", "fail"]
    study.optimize(failing, n_trials=10, catch=ZeroDivisionError)
    assert len(study.trials) == 12
    assert study.trials[3].reason == "ZeroDivisionError: nothing to divide by" and study.trials[3].value is None
    assert "trial 3 failed" in caplog.text


@pytest.mark.parametrize("answer, reason", [(math.nan, "NaN"), (None, "None"), ("low", "'low'"), ([1, 2], "2")])
def test_an_answer_that_is_no_number_fails_its_trial_alone(answer, reason):
    study = qgd.Study(SPACE)
    study.optimize(lambda trial: answer if trial.number == 1 else 1.0, n_trials=3)
    assert [trial.state for trial in study.trials] == ["complete", "fail", "complete"]
    assert reason in study.trials[1].reason


def test_several_objectives_have_a_front():
    study = qgd.Study(SPACE, directions=["minimize", "maximize"], sampler="nsga2:population=8")
    study.optimize(lambda trial: (cost(trial.params), trial.params["layers"]), n_trials=40)
    front = study.best_trials
    assert front and all(len(trial.values) == 2 for trial in front)
    for one in front:
        assert not any(b.values[0] < one.values[0] and b.values[1] > one.values[1] for b in study.trials)
    for name in ["best_trial", "best_params", "best_value", "direction"]:
        with pytest.raises(RuntimeError, match="2 objectives"):
            getattr(study, name)


def test_a_trial_that_breaks_a_constraint_is_not_the_best():
    study = qgd.Study(SPACE)

    def constrained(trial):
        trial.set_constraints([1.5 - trial.params["layers"]])
        return cost(trial.params)

    study.optimize(constrained, n_trials=30)
    assert study.best_params["layers"] == 2
    study.tell(study.ask(), -1.0, constraints=[0.5])
    assert study.best_value > -1 and study.trials[-1].constraints == [0.5]


def test_what_is_enqueued_is_tried_next():
    study = qgd.Study(SPACE)
    study.enqueue({"lr": 0.001, "layers": 1})
    study.enqueue_trial({"lr": 0.01})
    study.optimize(objective, n_trials=3)
    assert study.trials[0].params == {"lr": 0.001, "layers": 1} and study.trials[1].params["lr"] == 0.01


def test_as_many_trials_run_at_a_time_as_the_lag_says():
    study, together = qgd.Study(SPACE, lag=3, seed=2), threading.Barrier(3, timeout=20)

    def waits_for_others(trial):
        together.wait()
        return cost(trial.params)

    study.optimize(waits_for_others, n_trials=12, n_jobs=3)
    alone = qgd.Study(SPACE, lag=3, seed=2)
    alone.optimize(objective, n_trials=12)
    assert tried(study) == tried(alone)
    with pytest.raises(ValueError, match="n_jobs is 4, but must be from 1 to 3"):
        study.optimize(objective, n_trials=1, n_jobs=4)
    one = qgd.Study(SPACE)
    one.ask()
    with pytest.raises(qgd.Waits, match="trial 1"):
        one.ask()


def test_an_error_in_one_thread_ends_the_others():
    study = qgd.Study(SPACE, lag=2)

    def failing(trial):
        if trial.number == 5:
            raise OSError("disk full")
        return cost(trial.params)

    with pytest.raises(OSError, match="disk full"):
        study.optimize(failing, n_jobs=2)
    assert len(study.trials) <= 8


def test_callbacks_see_each_trial_and_may_stop_the_study():
    study, seen = qgd.Study(SPACE), []

    def callback(same, trial):
        assert same is study
        seen.append((trial.number, trial.value))
        if len(seen) == 4:
            study.stop()

    study.optimize(objective, n_trials=10, callbacks=[callback])
    assert seen == [(trial.number, trial.value) for trial in study.trials] and len(seen) == 4


def test_a_timeout_ends_the_study():
    study = qgd.Study(SPACE)
    study.optimize(objective, timeout=0.2)
    assert len(study.trials) >= 1


def test_a_grid_that_is_tried_ends_the_study():
    a, b = {"type": "int", "low": 1, "high": 3}, {"type": "categorical", "choices": ["u", "v"]}
    study = qgd.Study({"a": a, "b": b}, sampler="grid")
    study.optimize(lambda trial: trial.params["a"], n_trials=100)
    assert sorted((t["a"], t["b"]) for t in tried(study)) == [(a, b) for a in (1, 2, 3) for b in "uv"]
    with pytest.raises(qgd.Exhausted):
        study.ask()


def test_samplers_and_pruners_are_listed():
    assert {"tpe", "gp", "cmaes", "nsga2", "q-learning"} <= set(qgd.samplers())
    assert {"none", "median", "asha"} <= set(qgd.pruners())
    assert all(sentence.endswith(".") or "default" in sentence for sentence in qgd.samplers().values())
    for name in qgd.pruners():
        qgd.Study(SPACE, pruner=name)


@pytest.mark.parametrize(
    "space, error, message",
    [
        ({"lr": {"type": "float", "low": 1.0}}, ValueError, "params.lr.high"),
        ({"lr": {"type": "float", "low": 1.0, "high": 0.0}}, ValueError, "lr"),
        ({"lr": {"type": "real", "low": 1.0, "high": 0.0}}, ValueError, "params.lr.type"),
        ({"lr": {"type": "float", "low": 0.0, "high": math.inf}}, ValueError, "`params.lr.high` is inf"),
        ({"c": {"type": "categorical", "choices": ["a", None]}}, TypeError, r"`params.c.choices\[1\]` is None"),
        ({"c": {"type": "categorical", "choices": [object]}}, TypeError, r"`params.c.choices\[0\]`"),
        ({3: {"type": "int", "low": 0, "high": 1}}, TypeError, "key 3"),
        ({}, ValueError, "param"),
        ([1], TypeError, r"the space is \[1\]"),
        ("no/such/file.toml", FileNotFoundError, "no/such/file.toml"),
    ],
)
def test_what_is_wrong_with_a_space_is_named(space, error, message):
    with pytest.raises(error, match=message):
        qgd.Study(space)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"sampler": "annealing"}, ValueError, "annealing.*tpe"),
        ({"sampler": "tpe:gamma=2"}, ValueError, "gamma"),
        ({"pruner": "scissors"}, ValueError, "scissors"),
        ({"direction": "down"}, ValueError, "down"),
        ({"direction": "minimize", "directions": ["minimize"]}, ValueError, "one of the two"),
        ({"directions": "minimize"}, TypeError, "must be a list"),
        ({"storage": "mysql://x"}, ValueError, "mysql"),
        ({"lag": 0}, ValueError, "lag"),
        ({"lag": -1}, ValueError, "lag is -1"),
        ({"lag": 1.5}, TypeError, "lag is 1.5"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": None}, TypeError, "seed is None"),
        ({"name": ""}, ValueError, "name"),
        ({"directions": ["minimize"] * 2, "sampler": "cmaes"}, ValueError, "one objective"),
    ],
)
def test_what_is_wrong_with_a_setting_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        qgd.Study(SPACE, **settings)


def test_what_is_wrong_with_a_call_is_named():
    study = qgd.Study(SPACE)
    trial = study.ask()
    wrong = [
        (lambda: study.tell(trial), ValueError, "without values"),
        (lambda: study.tell(trial, "low"), TypeError, "'low'"),
        (lambda: study.tell(trial, [1.0, 2.0]), ValueError, "2"),
        (lambda: study.tell(trial, 1.0, "pruned"), ValueError, "only complete"),
        (lambda: study.tell(trial, state="over"), ValueError, "over"),
        (lambda: study.tell(trial, 1.0, constraints=2.0), TypeError, "must be a list"),
        (lambda: study.tell(trial, 1.0, constraints=["x"]), TypeError, "'x'"),
        (lambda: study.tell(7, 1.0), ValueError, "7"),
        (lambda: study.tell(-1, 1.0), ValueError, "-1"),
        (lambda: study.tell(None, 1.0), TypeError, "None"),
        (lambda: trial.suggest_float("lr", 0.0, 1.0), AttributeError, "trial.params"),
        (lambda: trial.report(1.0, 0.5), TypeError, "step is 0.5"),
        (lambda: trial.report("x", 1), TypeError, "'x'"),
        (lambda: trial.report(1.0, 2**40), ValueError, str(2**40)),
        (lambda: study.enqueue({"lr": 5.0}), ValueError, "lr"),
        (lambda: study.enqueue({"rate": 5.0}), ValueError, "rate"),
        (lambda: study.enqueue({"lr": math.nan}), ValueError, "`params.lr` is nan"),
        (lambda: study.enqueue({"lr": np.ones(2)}), ValueError, "lr"),
        (lambda: study.enqueue(["lr"]), TypeError, "must be a dict"),
        (lambda: study.best_trial, ValueError, "no complete and feasible trial"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()
    study.tell(trial, math.inf)
    assert study.trials[0].value == math.inf
    with pytest.raises(ValueError, match="0"):
        study.tell(trial, 1.0)
