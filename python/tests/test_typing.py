"""Types: a user's script passes the strictest check, and what the stubs say of the core is so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import qgd
from conftest import need

need("mypy")

RIGHT = """
import numpy as np
import qgd

def objective(trial: qgd.Trial) -> float:
    trial.report(1.0, 0)
    if trial.should_prune():
        raise qgd.Pruned
    return float(trial.params["lr"])

study = qgd.Study({"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}, pruner="median", seed=1)
study.optimize(objective, n_trials=20, catch=ValueError, callbacks=[lambda study, trial: print(trial.value)])
trial = study.ask()
study.tell(trial, np.float64(0.5), constraints=[0.0])
study.tell(3, state="pruned")
best: float = study.best_value
print(best, study.best_params["lr"], [trial.state.name for trial in study.trials], qgd.samplers()["tpe"])

x = np.zeros(3, dtype=np.float32)
session = qgd.Session("lr", 1e-3, total_steps=100)
rates = session.step(1.0, x, x)
if rates is not None:
    print(rates[0] + session.lr)
driver = qgd.Driver("lr", 1e-3, seed=2)
order: qgd.Order = driver.step([0.5], params=x, grad=x)
print(order.kind, qgd.inspect("lr")["card"], qgd.controllers()[0])
"""
WRONG = """\
import qgd

study = qgd.Study({}, seed="one")
study.best_value.upper()
"""
# PyTorch takes mypy half a minute to read, and nothing here needs its types.
CONFIG = """
[mypy]
strict = true
[mypy-torch.*,optuna.*]
follow_imports = skip
[mypy-qgd.torch.*,qgd.optuna,qgd._optuna_history]
ignore_errors = true
"""


def test_a_users_script_passes_the_strictest_check_and_wrong_types_are_found(tmp_path):
    (tmp_path / "mypy.ini").write_text(CONFIG)
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    source = str(Path(qgd.__file__).parent.parent)
    # mypy finds what is installed by itself, and refuses to be told.
    env = os.environ if "site-packages" in source else {**os.environ, "MYPYPATH": source}
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "right.py", "wrong.py"]
    found = subprocess.run(command, cwd=tmp_path, env=env, text=True, capture_output=True)
    errors = [line for line in found.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[:2] for line in errors] == [["wrong.py", "3"], ["wrong.py", "4"]], found
    assert '"seed"' in errors[0] and "upper" in errors[1]


@pytest.mark.parametrize("modules", [["qgd._core"], ["qgd.torch._controller", "qgd.torch._orthogonal"]])
def test_the_stubs_say_what_there_is(tmp_path, modules):
    if modules != ["qgd._core"]:
        need("torch")
    # The types of other packages take long to read, and are not what is looked at.
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-numpy.*,torch.*,optuna.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy.stubtest", *modules, "--mypy-config-file", str(tmp_path / "mypy.ini")]
    found = subprocess.run(command, text=True, capture_output=True)
    assert found.returncode == 0, found.stdout + found.stderr
