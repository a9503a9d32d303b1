"""Without PyTorch: the controller in a loop on numpy arrays."""

import subprocess
import sys

import numpy as np
import pytest

import qgd


def bowl(x):
    """A bowl that is fifty times steeper one way than the other: its value and gradient."""
    slopes = np.array([50.0, 1.0], dtype=np.float32)
    return float(0.5 * (slopes * x * x).sum()), slopes * x


def run(session, x, n_steps):
    for _ in range(n_steps):
        loss, grad = bowl(x)
        rates = session.step(loss, x, grad)
        if rates is not None:
            x -= np.float32(rates[0]) * grad


def test_a_session_finds_a_rate_from_a_hopeless_start():
    x = np.array([1.0, -2.0], dtype=np.float32)
    session = qgd.Session("lr", 1e-5, total_steps=200)
    run(session, x, 200)
    assert bowl(x)[0] < 1e-3, (x, session.lr)
    assert session.steps == 200


def test_a_saved_session_goes_on_to_the_bit():
    x = np.array([1.0, -2.0], dtype=np.float32)
    session = qgd.Session("lr", 1e-4, total_steps=200)
    run(session, x, 100)
    state, other = session.state(x), np.zeros(2, dtype=np.float32)
    run(session, x, 100)
    resumed = qgd.Session("lr", 1e-4, total_steps=200)
    resumed.load_state(state, other)
    run(resumed, other, 100)
    assert other.tobytes() == x.tobytes() and resumed.lr == session.lr
    with pytest.raises(ValueError):
        resumed.load_state(state[:-3], other)


def test_a_driver_is_told_what_it_is_missing():
    driver = qgd.Driver("lr", 1e-3, total_steps=10)
    assert driver.is_due
    with pytest.raises(ValueError, match="a decision is due"):
        driver.step([1.0])
    x = np.ones(3, dtype=np.float32)
    order = driver.step([1.0], params=x, grad=x)
    assert (order.kind, order.keep) == ("apply", True) and driver.steps == 1
    with pytest.raises(ValueError, match="3 values, but `grad` has 2"):
        driver.step([1.0], params=x, grad=x[:2])
    with pytest.raises(RuntimeError, match="the same coordinates"):
        driver.step([1.0], params=x[:2], grad=x[:2])
    assert driver.step([float("nan")], params=x, grad=x).kind == "skip"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"controller": "nothing"}, "'nothing' is no controller"),
        ({"controller": "hu-lr"}, "line search"),
        ({"lr": 0.0}, "lr is 0"),
        ({"lr": float("nan")}, "lr is NaN"),
        ({"total_steps": 0}, "total_steps is 0"),
        ({"total_steps": -3}, "total_steps is -3"),
        ({"steps_per_epoch": 0.0}, "steps_per_epoch is 0"),
        ({"controller": "cosine"}, "steps"),
        ({"controller": "/no/such/file.qgd"}, "/no/such/file.qgd"),
        ({"controller": __file__}, r"test_by_hand.py is not usable: \w+"),
        ({"weight_decay": -1.0}, "weight_decay is -1"),
    ],
)
def test_bad_values_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        qgd.Driver(**{"controller": "lr", "lr": 1e-3, **arguments})


def test_a_pretrained_file_tells_what_it_is():
    assert "lr" in qgd.controllers()
    about = qgd.inspect("lr")
    assert about["recipe"]["name"] == "lr" and about["card"]["seed"] >= 0


def test_torch_is_imported_by_those_who_ask_for_it_alone():
    code = "import sys, qgd; qgd.Driver('lr', 1e-3); assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_arrays_and_numbers_that_cannot_be_used_are_named():
    driver, session = qgd.Driver("lr", 1e-3), qgd.Session("lr", 1e-3)
    x, out = np.ones(4, dtype=np.float32), np.zeros(4, dtype=np.float32)
    fixed = np.ones(4, dtype=np.float32)
    fixed.setflags(write=False)
    for call, message in [
        (lambda: driver.step([1.0], params=x.astype(np.float64), grad=x), r"float64 and shape \(4,\).*ascontiguous.*'params'"),
        (lambda: driver.step([1.0], params=x, grad=x.reshape(2, 2)), r"shape \(2, 2\).*'grad'"),
        (lambda: driver.step([1.0], params=x[::2], grad=x[::2]), "contiguous.*'params'"),
        (lambda: driver.step([1.0], params=[1.0], grad=x), "a list.*'params'"),
        (lambda: session.step(1.0, fixed, x), "read-only.*'params'"),
        (lambda: session.step(1.0, x, x), "given twice.*'grad'"),
        (lambda: session.step(1.0, x, out, out.astype(np.float16)), "float16.*'moments'"),
        (lambda: qgd.Driver("lr", 1e-3, seed=-1), "-1.*from 0.*'seed'"),
        (lambda: qgd.Session("lr", 1e-3, seed=None), "None.*'seed'"),
    ]:
        with pytest.raises(TypeError, match=f"(?s){message}"):
            call()
    with pytest.raises(ValueError, match="n_params is 3, but `params` alone has 4"):
        driver.step([1.0], params=x, grad=x, n_params=3)
    assert driver.steps == session.steps == 0
    session.step(1.0, x, out)
    with pytest.raises(ValueError, match="2 values, but 4 were expected.*call `replaced` first"):
        session.state(x[:2].copy())
