"""The program that the wheel carries: `python -m qgd` and `qgd`."""

import subprocess

import pytest
import qgd
from conftest import run_program
from qgd.__main__ import find_program

SPACE = '[params.x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'

pytestmark = pytest.mark.usefixtures("installed_program")


def test_the_module_is_the_program_of_the_same_version():
    assert run_program("--version").stdout == f"qgd {qgd.__version__}\n"
    assert subprocess.check_output([find_program(), "--version"], text=True) == f"qgd {qgd.__version__}\n"


def test_exit_codes_and_messages_come_through():
    found = run_program("no-such-command")
    assert found.returncode == 2 and "no-such-command" in found.stderr


def test_a_study_of_the_program_goes_on_in_python(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    study = ["space.toml", "--storage", "sqlite:///s.db", "--study", "s", "--trials", "4", "--workers", "1"]
    found = run_program("tune", *study, "--", "echo", '{{"value": {x}}}', cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    study = qgd.Study(tmp_path / "space.toml", name="s", storage=f"sqlite:///{tmp_path}/s.db")
    study.optimize(lambda trial: trial.params["x"], n_trials=8)
    alone = qgd.Study(tmp_path / "space.toml")
    alone.optimize(lambda trial: trial.params["x"], n_trials=12)
    assert [trial.params for trial in study.trials] == [trial.params for trial in alone.trials]
