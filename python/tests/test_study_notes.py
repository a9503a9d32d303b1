"""Studies that are opened by their name alone, and notes on studies and trials."""

import numpy as np
import pytest
from conftest import need

import qgd

SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "layers": {"type": "int", "low": 1, "high": 3},
}
SETTINGS = {"name": "nets", "direction": "maximize", "sampler": "random", "pruner": "median", "seed": 7, "lag": 3}


def objective(trial):
    trial.set_user_attr("n_params", np.int64(10 * trial.params["layers"]))
    return trial.params["lr"]


def tried(study):
    return [trial.params for trial in study.trials]


def test_a_study_is_opened_by_its_name_and_goes_on_as_if_its_space_had_been_given(tmp_path):
    storages = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "other")]
    for storage in storages:
        qgd.Study(SPACE, storage=storage, **SETTINGS).optimize(objective, n_trials=3)
    opened, given = qgd.Study.open(storages[0], "nets"), qgd.Study(SPACE, storage=storages[1], **SETTINGS)
    assert (opened.name, opened.lag, opened.direction) == ("nets", 3, "maximize")
    for study in (opened, given):
        study.optimize(objective, n_trials=3)
    assert len(tried(opened)) == 6 and tried(opened) == tried(given)


def test_a_study_that_is_not_there_is_named(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    qgd.Study(SPACE, storage=storage, **SETTINGS)
    with pytest.raises(ValueError, match="cats"):
        qgd.Study.open(storage, "cats")
    with pytest.raises(ValueError, match="no storage"):
        qgd.Study.open("study.db", "nets")


@pytest.mark.parametrize("storage", ["memory:", "sqlite"])
def test_notes_stand_with_their_trial_and_study(tmp_path, storage):
    if storage == "sqlite":
        storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = qgd.Study(SPACE, storage=storage, **SETTINGS)
    study.set_user_attr("data", "letters")
    study.set_user_attr("data", {"rows": [6000, 2000], "note": None})
    assert study.user_attrs == {"data": {"rows": [6000, 2000], "note": None}}
    study.optimize(objective, n_trials=4)
    assert [trial.user_attrs for trial in study.trials] == [{"n_params": 10 * p["layers"]} for p in tried(study)]
    trial = study.ask()
    trial.set_user_attr("mean", np.array([0.5, 1.0]))
    study.tell(trial, 1.0)
    assert study.best_trial.user_attrs == {"mean": [0.5, 1.0]}


def test_optuna_reads_the_notes(tmp_path):
    optuna = need("optuna")
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = qgd.Study(SPACE, storage=storage, **SETTINGS)
    study.set_user_attr("data", "letters")
    study.optimize(objective, n_trials=2)
    read = optuna.load_study(study_name="nets", storage=storage)
    assert read.user_attrs == {"data": "letters"}
    assert [trial.user_attrs for trial in read.trials] == [trial.user_attrs for trial in study.trials]
    read.set_user_attr("who", "optuna")
    assert study.user_attrs == {"data": "letters", "who": "optuna"}


def test_what_is_wrong_with_a_note_is_named():
    study = qgd.Study(SPACE, **SETTINGS)
    trial = study.ask()
    for value in (float("nan"), object(), {1, 2}):
        for target in (study, trial):
            with pytest.raises(TypeError, match="the note 'x' is"):
                target.set_user_attr("x", value)
    study.tell(trial, 1.0)
    with pytest.raises(ValueError, match="0"):
        trial.set_user_attr("late", 1)
