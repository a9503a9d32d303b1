"""The features of `lr`, computed from the signals of a run by the formulas and symbols that `qgd export` writes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import qgd
from qgd.__main__ import find_program

BUDGET, EPOCH, DECAY = 400, 16.0, 1e-3


@pytest.fixture(scope="module")
def features():
    """What the file says of every feature, by name."""
    try:
        find_program()
    except SystemExit as missing:
        pytest.skip(str(missing))
    found = subprocess.check_output([sys.executable, "-m", "qgd", "export", "lr", "--format", "json", "-o", "-"])
    return {feature["name"]: feature for feature in json.loads(found)["features"]}


class Ema:
    """An average over decisions, with the variance of what it is."""

    def __init__(self, half_life=4.0):
        self.r, self.value, self.variance = 1 - 2 ** (-1 / half_life), np.nan, np.nan

    def push(self, v, variance=np.nan):
        if np.isfinite(v) and np.isfinite(variance):
            before = variance if np.isnan(self.variance) else self.variance
            self.variance = (1 - self.r) ** 2 * before + self.r**2 * variance
        if np.isfinite(v):
            self.value = v if np.isnan(self.value) else self.value + self.r * (v - self.value)
        return self.value


def softsign(v):
    return np.sign(v) if np.isinf(v) else v / (1 + abs(v))


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


class ByHand:
    """Features of one run. Signals: losses since the last decision, parameters, gradient, learning rate."""

    TINY = 1e-12

    def __init__(self, lr):
        self.lr_0 = self.highest = lr
        self.fast, self.slow, self.run = Ema(2), Ema(8), Ema(32)
        self.spread, self.grad_fast, self.grad_slow, self.moves = Ema(8), Ema(2), Ema(12), Ema(6)
        self.alignment, self.cosines, self.descent, self.improvement = Ema(), Ema(), Ema(), Ema()
        self.losses, self.way, self.min, self.min_variance = [], 0.0, np.inf, np.nan
        self.x = self.g = self.dx = None
        self.L, self.n = np.nan, np.nan

    def see(self, t, losses, x, g, lr, move):
        n, L = len(losses), max(np.mean(losses), self.TINY)
        x, g = x.astype(np.float64), g.astype(np.float64)
        if self.x is None:
            self.x_0, self.first_L, self.first_g, self.average = x, L, np.linalg.norm(g), g
            dx = dx_prev = np.zeros_like(x)
        else:
            dx, dx_prev = x - self.x, self.dx
        self.average = 0.75 * self.average + 0.25 * g
        norm_g, norm_x, u = np.linalg.norm(g), np.linalg.norm(x), np.linalg.norm(dx)
        F = sorted(self.losses)[:10]
        rank = 1.0 if not F or L <= F[0] else 0.0 if L <= F[-1] else -1.0
        self.losses.append(L)
        error = np.sqrt(self.spread.value * (1 / n + 1 / self.n))
        improvement = np.nan_to_num(softsign((self.L - L) / (error + self.TINY) / 3))
        s = self.spread.push(np.var(losses) if n > 1 else (self.L - L) ** 2 / 2)
        fast, slow, run = (average.push(L, s / n) for average in (self.fast, self.slow, self.run))
        if fast < self.min:
            self.min, self.min_variance = fast, self.fast.variance
        elif np.isnan(self.min_variance):
            self.min_variance = self.fast.variance

        def errors(difference, one, other):
            return difference / (np.sqrt(one + other) + self.TINY)

        self.way += u**2
        self.highest = max(self.highest, lr)
        x2 = DECAY * norm_x**2
        aligned = np.mean(np.sign(dx) * np.sign(dx_prev)) if u > 0 else np.nan
        along, descent = cosine(dx, dx_prev), -cosine(dx, g)
        descent_ema = self.descent.push(descent)
        grad_fast, grad_slow = self.grad_fast.push(norm_g), self.grad_slow.push(norm_g)
        found = {
            "rank": rank,
            "alignment": aligned,
            "alignment_ema": self.alignment.push(aligned),
            "update_cosine_ema": self.cosines.push(along),
            "travel": np.log(np.linalg.norm(x - self.x_0) / np.sqrt(self.way)) / 3,
            "descent_cosine": descent,
            "descent_cosine_ema": descent_ema,
            "grad_cosine": np.nan if self.g is None else cosine(g, self.g),
            "grad_snr": 2 * np.linalg.norm(self.average) / norm_g - 1,
            "lr_ratio": np.log10(lr / self.lr_0) / 5,
            "below_highest": np.log10(self.highest / lr) / 3,
            "below_ceiling": 1.0,
            "relative_update": (np.log10(u / (n * norm_x)) + 3.5) / 3.5,
            "predicted_descent": (np.log10(u * norm_g / (n * L)) + 1.5) / 2.5,
            "loss_change": softsign(np.log(self.L / L)),
            "loss_fast_slow": softsign(2 * np.log(slow / fast)),
            "loss_slow_run": softsign(2 * np.log(run / slow)),
            "loss_fast_min": softsign(np.log(fast / self.min)),
            "loss_first": np.log(fast / self.first_L) / 7,
            "loss_noise": (np.log10(np.sqrt(s) / fast) + 1) / 2,
            "improvement": improvement,
            "improvement_ema": self.improvement.push(improvement),
            "grad_trend": softsign(2 * np.log(grad_fast / grad_slow)),
            "grad_first": np.log(norm_g / self.first_g) / 7,
            "param_growth": softsign(np.log(norm_x / np.linalg.norm(self.x_0))),
            "last_action": move,
            "moves_ema": self.moves.push(move),
            "decay_share": 2 * x2 / (x2 + L) - 1,
            "validation_gap": 0.0,
            "budget": 2 * t / BUDGET - 1,
            "doublings_left": 1 - np.log2(BUDGET / t) / 5 if t else -np.inf,
            "time": np.log2(t + 1) / 8 - 1,
            "loss_rise": softsign(errors(fast - self.min, self.fast.variance, self.min_variance) / 3),
            "loss_trend": softsign(errors(slow - fast, self.slow.variance, self.fast.variance) / 3),
            "loss_long_trend": softsign(errors(run - slow, self.run.variance, self.slow.variance) / 3),
            "epochs_known": 1.0,
            "epochs": np.log2(max(t, 1) / EPOCH) / 8,
            "epochs_at_end": np.log2(BUDGET / EPOCH) / 8,
            "oscillation": softsign(-2.5 * descent_ema * u * grad_fast / fast),
        }
        self.x, self.g, self.dx, self.L, self.n = x, g, dx, L, n
        return {name: 0.0 if np.isnan(v) else min(max(v, -1.0), 1.0) for name, v in found.items()}


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_the_formulas_in_the_file_are_enough_to_compute_the_features(features):
    lr, rng = 3e-3, np.random.default_rng(3)
    driver = qgd.Driver("lr", lr, weight_decay=DECAY, total_steps=BUDGET, steps_per_epoch=EPOCH)
    hand, x, losses, rows, move = ByHand(lr), np.ones(30, dtype=np.float32), [], [], 0.0
    for t in range(BUDGET):
        noise = 0.05 * rng.normal(size=30)
        grad = (np.linspace(0.5, 5, 30) * (x - noise)).astype(np.float32)
        loss = np.float32(0.1 + 0.5 * float((x - noise) @ grad) + 0.02 * rng.random())
        losses.append(loss)
        if driver.is_due:
            rows.append((t, hand.see(t, np.array(losses, dtype=np.float64), x, grad, driver.lr, move)))
            losses = []
        order = driver.step([float(loss)], params=x, grad=grad)
        assert order.kind == "apply"
        if rows[-1][0] == t:
            record = json.loads(driver.take_records()[-1])
            move = {"halve": -1.0, "accept": 0.0, "grow": 1.0}[record["action"]["lr"]]
            rows[-1] = (*rows[-1], record)
        x = x - np.float32(order.lr) * grad
    assert driver.rollbacks == 0 and len(rows) > 70
    moved = {name: 0 for name in features}
    for t, found, record in rows:
        assert found.keys() == features.keys() and record["step"] == t
        for (name, about), own in zip(features.items(), record["features"]):
            value = min(max(found[name], about["low"]), about["high"])
            assert abs(value - own) < 1e-4, (t, name, about["formula"], value, own)
            moved[name] += abs(value - found[name]) < 1e-7 and abs(value) > 1e-3
    # Nearly all of them are seen at values of their own, not at the ends of their ranges.
    assert sum(n > 5 for n in moved.values()) > 30, moved
