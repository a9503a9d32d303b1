"""The program that the wheel carries: `python -m qgd` and `qgd`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import qgd
from qgd.__main__ import find_program

SPACE = '[params.x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'


@pytest.fixture(autouse=True)
def installed():
    try:
        find_program()
    except SystemExit as missing:
        pytest.skip(str(missing))


def run(*arguments, cwd=None):
    # Another folder than this one finds the package too, where it is not installed but lies in its source folder.
    env = {**os.environ, "PYTHONPATH": str(Path(qgd.__file__).parent.parent)}
    return subprocess.run([sys.executable, "-m", "qgd", *arguments], cwd=cwd, env=env, text=True, capture_output=True)


def test_the_module_is_the_program_of_the_same_version():
    assert run("--version").stdout == f"qgd {qgd.__version__}\n"
    assert subprocess.check_output([find_program(), "--version"], text=True) == f"qgd {qgd.__version__}\n"


def test_exit_codes_and_messages_come_through():
    found = run("no-such-command")
    assert found.returncode == 2 and "no-such-command" in found.stderr


def test_a_study_of_the_program_goes_on_in_python(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    study = ["space.toml", "--storage", "sqlite:///s.db", "--study", "s", "--trials", "4", "--workers", "1"]
    found = run("tune", *study, "--", "echo", '{{"value": {x}}}', cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    study = qgd.Study(tmp_path / "space.toml", name="s", storage=f"sqlite:///{tmp_path}/s.db")
    study.optimize(lambda trial: trial.params["x"], n_trials=8)
    alone = qgd.Study(tmp_path / "space.toml")
    alone.optimize(lambda trial: trial.params["x"], n_trials=12)
    assert [trial.params for trial in study.trials] == [trial.params for trial in alone.trials]
