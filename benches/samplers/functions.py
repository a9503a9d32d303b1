"""The test functions of quality.py: each has a space as `qgd` reads it (TOML) and a cost, smallest at the optimum.

Sphere, Rastrigin, Ackley and Levy are moved away from the middle of their box, where a sampler that begins in the middle would find them
for nothing. Sources: Surjanovic and Bingham, Virtual Library of Simulation Experiments; Dixon and Szegoe 1978 for Branin and Hartmann.
"""

import math


def floats(n, low, high):
    return {f"x{i:02}": {"type": "float", "low": low, "high": high} for i in range(n)}


def moved(x, width, center=0.0):
    """Coordinates of which the optimum `center` lies at a place of its own in each dimension, up to 30 % of the width off the middle."""
    return [v - width * 0.3 * math.sin(1.0 + 2.0 * i) for i, v in enumerate(x)]


def sphere(x):
    return sum(v * v for v in moved(x, 10.0))


def rosenbrock(x):
    return sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in zip(x, x[1:]))


def rastrigin(x):
    return sum(10.0 + v * v - 10.0 * math.cos(2.0 * math.pi * v) for v in moved(x, 10.24))


def ackley(x):
    x = moved(x, 64.0)
    root = math.sqrt(sum(v * v for v in x) / len(x))
    waves = sum(math.cos(2.0 * math.pi * v) for v in x) / len(x)
    return 20.0 + math.e - 20.0 * math.exp(-0.2 * root) - math.exp(waves)


def levy(x):
    w = [1.0 + (v - 1.0) / 4.0 for v in moved(x, 20.0)]
    ends = math.sin(math.pi * w[0]) ** 2 + (w[-1] - 1.0) ** 2 * (1.0 + math.sin(2.0 * math.pi * w[-1]) ** 2)
    return ends + sum((v - 1.0) ** 2 * (1.0 + 10.0 * math.sin(math.pi * v + 1.0) ** 2) for v in w[:-1])


def branin(x, y):
    slope = y - 5.1 / (4.0 * math.pi**2) * x * x + 5.0 / math.pi * x - 6.0
    return slope**2 + 10.0 * (1.0 - 1.0 / (8.0 * math.pi)) * math.cos(x) + 10.0


A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [
    [1312, 1696, 5569, 124, 8283, 5886],
    [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650],
    [4047, 8828, 8732, 5743, 1091, 381],
]


def hartmann6(x):
    distance = lambda a, p: sum(a_i * (v - 1e-4 * p_i) ** 2 for a_i, p_i, v in zip(a, p, x))
    return -sum(w * math.exp(-distance(a, p)) for w, a, p in zip([1.0, 1.2, 3.0, 3.2], A, P))


CONDITIONAL = {
    "model": {"type": "categorical", "choices": ["kernel", "net"]},
    "c": {"type": "float", "low": 1e-3, "high": 1e3, "log": True, "when": {"model": ["kernel"]}},
    "gamma": {"type": "float", "low": 1e-5, "high": 10.0, "log": True, "when": {"model": ["kernel"]}},
    "layers": {"type": "int", "low": 1, "high": 3, "when": {"model": ["net"]}},
    "lr": {"type": "float", "low": 1e-5, "high": 1.0, "log": True, "when": {"model": ["net"]}},
    "units1": {"type": "int", "low": 4, "high": 512, "log": True, "when": {"model": ["net"]}},
    "units2": {"type": "int", "low": 4, "high": 512, "log": True, "when": {"layers": [2, 3]}},
    "units3": {"type": "int", "low": 4, "high": 512, "log": True, "when": {"layers": [3]}},
}


def conditional(p):
    """Two models with parameters of their own; the net is better once its layers, units and rate fit."""
    if p["model"] == "kernel":
        return 0.3 + 0.05 * ((math.log10(p["c"]) - 1.0) ** 2 + (math.log10(p["gamma"]) + 2.0) ** 2)
    units = [p[f"units{i}"] for i in range(1, p["layers"] + 1)]
    misfit = sum((math.log2(n) - 6.0 + i) ** 2 for i, n in enumerate(units)) / len(units)
    return 0.05 + 0.1 * abs(p["layers"] - 2) + 0.03 * misfit + 0.1 * (math.log10(p["lr"]) + 2.5) ** 2


def functions():
    """All of them: name -> (parameters, cost of a dict of values)."""
    found = {}
    in_dims = [(sphere, 5.0), (rosenbrock, 2.048), (rastrigin, 5.12), (ackley, 32.0), (levy, 10.0)]
    for f, high in in_dims:
        for n in (2, 5, 10):
            names = sorted(floats(n, -high, high))
            found[f"{f.__name__}-{n}"] = (floats(n, -high, high), lambda p, f=f, names=names: f([p[k] for k in names]))
    box = {"x": {"type": "float", "low": -5.0, "high": 10.0}, "y": {"type": "float", "low": 0.0, "high": 15.0}}
    found["branin-2"] = (box, lambda p: branin(p["x"], p["y"]))
    found["hartmann-6"] = (floats(6, 0.0, 1.0), lambda p: hartmann6([p[f"x{i:02}"] for i in range(6)]))
    found["conditional"] = (CONDITIONAL, conditional)
    return found
