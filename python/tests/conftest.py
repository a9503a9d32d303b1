"""What all tests share."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REQUIRED = os.environ.get("QGD_REQUIRE", "").split(",")


def need(library):
    """The library, or a skip where it is not installed."""
    if library in REQUIRED:
        return __import__(library)
    return pytest.importorskip(library)


@pytest.fixture
def installed_program():
    """Skips where the package has no program, as when it was built without it."""
    from qgd.__main__ import find_program

    try:
        find_program()
    except SystemExit as missing:
        pytest.skip(str(missing))


def run_program(*arguments, cwd=None):
    """Runs the program that the wheel carries, `python -m qgd`, also in another folder than that of the tests."""
    # The package that is tested, be it installed or not.
    package = Path(importlib.util.find_spec("qgd").origin).resolve().parents[1]
    env = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run([sys.executable, "-m", "qgd", *arguments], cwd=cwd, env=env, text=True, capture_output=True)


def forget_accelerator():
    """Has Accelerate forget the settings of the process, which the first `Accelerator` makes for all that follow."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def in_two_processes(code, folder):
    """Runs code in two processes that know of each other as those of `torchrun` do. `TESTS` is the folder of tests."""
    tests = Path(__file__).resolve().parent
    # Threads of gloo can still hold tensors while the interpreter is taken down, which aborts the process now and then
    # (https://github.com/pytorch/pytorch/pull/179291): what is tested has ended before.
    (folder / "code.py").write_text(f"TESTS = {str(tests)!r}\n{code}\nimport os\n\nos._exit(0)\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The package that is tested, be it installed or not.
    package = Path(importlib.util.find_spec("qgd").origin).resolve().parents[1]
    path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared.update(PYTHONPATH=path, GROUP_RANK="0", TORCHELASTIC_RUN_ID="none", OMP_NUM_THREADS="1")
    workers = []
    try:
        for rank in ("0", "1"):
            environment = {**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank}
            command = [sys.executable, "code.py"]
            workers.append(subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True))
        for worker in workers:
            said = worker.communicate(timeout=300)[1]
            assert worker.returncode == 0, said
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
