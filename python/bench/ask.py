"""Time of one ask after many trials, of Optuna's TPE and of ours: in a study of Optuna, and in one of qgd.

    python bench/ask.py [N_TRIALS]       1000 trials where none is named

One ask is `study.ask` with values for all of six parameters. What Optuna itself takes for that, whichever sampler it
has, is measured with a sampler that answers a constant.
"""

import statistics
import sys
import time

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import qgd
import qgd.optuna

N_ASKS = 30
SPACE = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "momentum": FloatDistribution(0.0, 0.99),
    "dropout": FloatDistribution(0.0, 0.5, step=0.1),
    "layers": IntDistribution(1, 8),
    "width": IntDistribution(8, 1024, log=True),
    "kind": CategoricalDistribution(["relu", "gelu", "tanh"]),
}
OURS = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
    "layers": {"type": "int", "low": 1, "high": 8},
    "width": {"type": "int", "low": 8, "high": 1024, "log": True},
    "kind": {"type": "categorical", "choices": ["relu", "gelu", "tanh"]},
}


class Constant(optuna.samplers.RandomSampler):
    """Answers the same at once."""

    def infer_relative_search_space(self, study, trial):
        return SPACE

    def sample_relative(self, study, trial, search_space):
        return {"lr": 1e-3, "momentum": 0.9, "dropout": 0.1, "layers": 2, "width": 64, "kind": "relu"}


def cost(params):
    return abs(params["lr"] - 1e-3) + params["momentum"] + params["dropout"] + params["layers"] / params["width"]


def suggested(trial):
    trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    trial.suggest_float("momentum", 0.0, 0.99)
    trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    trial.suggest_int("layers", 1, 8)
    trial.suggest_int("width", 8, 1024, log=True)
    trial.suggest_categorical("kind", ["relu", "gelu", "tanh"])


def asks_of_optuna(sampler, n_trials):
    """Seconds of one ask after another."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: suggested(trial) or cost(trial.params), n_trials=n_trials)
    study.sampler = sampler
    while True:
        begin = time.perf_counter()
        trial = study.ask()
        suggested(trial)
        yield time.perf_counter() - begin
        study.tell(trial, cost(trial.params))


def asks_of_ours(n_trials):
    study = qgd.Study(OURS)
    study.optimize(lambda trial: cost(trial.params), n_trials=n_trials)
    while True:
        begin = time.perf_counter()
        trial = study.ask()
        yield time.perf_counter() - begin
        study.tell(trial, cost(trial.params))


def main(n_trials=1000):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = {
        "Optuna, TPESampler()": asks_of_optuna(optuna.samplers.TPESampler(seed=0), n_trials),
        "Optuna, TPESampler(multivariate=True)": asks_of_optuna(
            optuna.samplers.TPESampler(seed=0, multivariate=True), n_trials
        ),
        "Optuna, qgd.optuna.Sampler('tpe')": asks_of_optuna(qgd.optuna.Sampler("tpe", seed=0), n_trials),
        "Optuna, a constant": asks_of_optuna(Constant(), n_trials),
        "qgd.Study": asks_of_ours(n_trials),
    }
    for asks in rows.values():
        # The first ask reads all trials.
        next(asks)
    # One of each in turn, so that what else the machine does hits all alike.
    rounds = [[next(asks) for asks in rows.values()] for _ in range(N_ASKS)]
    medians = [statistics.median(column) for column in zip(*rounds)]
    print(f"one ask of 6 parameters after {n_trials} trials (median of {N_ASKS})")
    for name, seconds in zip(rows, medians):
        print(f"{name:40} {seconds * 1e6:9.0f} us   1/{medians[0] / seconds:.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
