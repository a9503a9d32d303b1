"""The core decides in Python as it does in Rust, to the bit, on runs that Rust has recorded."""

import pathlib
import struct

import numpy as np
import pytest

import qgd

FIXTURE = pathlib.Path(__file__).parents[2] / "tests" / "fixtures" / "parity.txt"


def runs():
    """The recorded runs: name of the controller, first rate, lines."""
    found = []
    for line in FIXTURE.read_text().splitlines():
        words = line.split()
        if len(words) == 2:
            found.append((words[0], float(words[1]), []))
        else:
            found[-1][2].append(words)
    return found


def singles(words):
    return np.array([int(word, 16) for word in words], dtype=np.uint32).view(np.float32)


def bits(number):
    return struct.pack(">d", number).hex()


@pytest.mark.parametrize(("name", "lr", "lines"), runs())
def test_all_decisions_are_the_same_to_the_bit(name, lr, lines):
    driver = qgd.Driver(name, lr, weight_decay=1e-3, total_steps=len(lines))
    order = None
    for n, words in enumerate(lines):
        loss, params, grad = singles(words[:1]), singles(words[1:7]), singles(words[7:13])
        if order is not None and order.kind == "roll_back":
            driver.rolled_back(params)
        elif order is not None and order.kind == "restart":
            driver.reset_measure()
        order = driver.step(loss.tolist(), True, params=params, grad=grad)
        found = [order.kind, bits(order.lr), bits(order.weight_decay), str(int(order.keep))]
        assert found == words[13:], f"step {n}"
    assert len(lines) == 300 and driver.steps == 300
