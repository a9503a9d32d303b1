"""What all tests share."""

import os

import pytest

REQUIRED = os.environ.get("QGD_REQUIRE", "").split(",")


def pytest_ignore_collect(collection_path, config):
    """Tests that need a library stand in a folder of its name. They are skipped, by name, where it is missing, unless
    QGD_REQUIRE names it."""
    return None


def need(library):
    """The library, or a skip where it is not installed."""
    if library in REQUIRED:
        return __import__(library)
    return pytest.importorskip(library)


def forget_accelerator():
    """Has Accelerate forget the settings of the process, which the first `Accelerator` makes for all that follow."""
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
