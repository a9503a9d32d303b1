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


def time_of_optuna(sampler, n_trials, n_asks):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: suggested(trial) or cost(trial.params), n_trials=n_trials)
    study.sampler = sampler
    times = []
    for _ in range(n_asks):
        begin = time.perf_counter()
        trial = study.ask()
        suggested(trial)
        times.append(time.perf_counter() - begin)
        study.tell(trial, cost(trial.params))
    # The first ask reads all trials.
    return statistics.median(times[1:])


def time_of_ours(n_trials, n_asks):
    study, times = qgd.Study(OURS), []
    for _ in range(n_trials + n_asks):
        begin = time.perf_counter()
        trial = study.ask()
        times.append(time.perf_counter() - begin)
        study.tell(trial, cost(trial.params))
    return statistics.median(times[n_trials + 1 :])


def main(n_trials=1000):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = {
        "Optuna, TPESampler()": time_of_optuna(optuna.samplers.TPESampler(seed=0), n_trials, 30),
        "Optuna, TPESampler(multivariate=True)": time_of_optuna(
            optuna.samplers.TPESampler(seed=0, multivariate=True), n_trials, 30
        ),
        "Optuna, qgd.optuna.Sampler('tpe')": time_of_optuna(qgd.optuna.Sampler("tpe", seed=0), n_trials, 200),
        "Optuna, a constant": time_of_optuna(Constant(), n_trials, 200),
        "qgd.Study": time_of_ours(n_trials, 200),
    }
    reference = rows["Optuna, TPESampler()"]
    print(f"one ask of 6 parameters after {n_trials} trials (median)")
    for name, seconds in rows.items():
        print(f"{name:40} {seconds * 1e6:9.0f} us   1/{reference / seconds:.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
