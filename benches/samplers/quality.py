"""How good our samplers are beside Optuna's: best value after 100 trials of each test function, many times over.

    cargo build --release --no-default-features --features cli
    python benches/samplers/quality.py --qgd target/release/qgd --ours tpe gp cmaes

Prints the median best value of every sampler on every function, and the effect size A12 (Vargha and Delaney 2000): the chance that a run
of ours ends better than one of the rival, ties counting half. 0.5 means equal. Rivals that cannot be imported are left out. What a rival found is
kept in --cache, so that it need not be run again. Repeats have the seeds --first-seed, --first-seed + 1, ...: choose settings on some, judge
them on others.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import tempfile
import warnings

from functions import functions

RIVALS = {"optuna-tpe": [], "optuna-cmaes": ["cmaes"], "optuna-gp": ["torch", "scipy"], "optuna-random": []}


def main():
    args = arguments()
    chosen = {name: f for name, f in functions().items() if not args.only or name.split("-")[0] in args.only}
    rivals = [name for name in args.rivals if is_there(name)]
    results = load(args.cache)
    for name in rivals:
        for function, (space, cost) in chosen.items():
            fill(results, name, function, n_repeats(args, name), lambda seed: rival(name, space, cost, args.trials, seed), args)
    for name in args.ours:
        for function, (space, cost) in chosen.items():
            results.setdefault(name, {})[function] = ours(args, name, space, cost)
    report(args, chosen, args.ours, rivals, results)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qgd", default="target/release/qgd", help="the program")
    parser.add_argument("--ours", nargs="*", default=["tpe", "gp", "cmaes"], help="samplers, with options (tpe:gamma=0.2)")
    parser.add_argument("--rivals", nargs="*", default=["optuna-tpe", "optuna-gp", "optuna-cmaes"], choices=RIVALS)
    parser.add_argument("--against", default="optuna-tpe", help="the rival that A12 is measured against")
    parser.add_argument("--only", nargs="*", help="first words of the functions to run (sphere branin)")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0, help="the seed of the first repeat")
    parser.add_argument("--gp-repeats", type=int, default=5, help="repeats of Optuna's GP, which is slow")
    parser.add_argument("--cache", default="target/samplers-quality.json", help="what the rivals found")
    parser.add_argument("--out", help="JSON file for all results")
    return parser.parse_args()


def is_there(name):
    missing = [module for module in ["optuna", *RIVALS[name]] if importlib.util.find_spec(module) is None]
    if missing:
        print(f"{name}: left out, {', '.join(missing)} cannot be imported")
    return not missing


def n_repeats(args, name):
    return min(args.repeats, args.gp_repeats) if name == "optuna-gp" else args.repeats


def load(path):
    return json.load(open(path)) if os.path.exists(path) else {}


def fill(results, name, function, n, run, args):
    """Runs what is not in the cache yet; every run is kept at once."""
    key = f"{function}@{args.trials}" + (f"+{args.first_seed}" if args.first_seed else "")
    found = results.setdefault(name, {}).setdefault(key, [])
    while len(found) < n:
        found.append(run(args.first_seed + len(found)))
        with open(args.cache + ".partial", "w") as file:
            json.dump({k: v for k, v in results.items() if k in RIVALS}, file)
        os.replace(args.cache + ".partial", args.cache)
    results[name][function] = found[:n]


def rival(name, space, cost, n_trials, seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore")
    make = {
        "optuna-tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "optuna-cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed),
        "optuna-gp": lambda: optuna.samplers.GPSampler(seed=seed),
        "optuna-random": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    study = optuna.create_study(sampler=make[name]())
    study.optimize(lambda trial: cost(suggest(trial, space)), n_trials=n_trials)
    return study.best_value


def suggest(trial, space):
    values = {}
    for name, p in space.items():
        if any(values.get(parent) not in allowed for parent, allowed in p.get("when", {}).items()):
            continue
        if p["type"] == "categorical":
            values[name] = trial.suggest_categorical(name, p["choices"])
        else:
            kind = trial.suggest_float if p["type"] == "float" else trial.suggest_int
            values[name] = kind(name, p["low"], p["high"], log=p.get("log", False))
    return values


def ours(args, sampler, space, cost):
    """The best value of each repeat, through `qgd ask-tell`."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        for name, p in space.items():
            file.write(f"[params.{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in p.items()))
        file.flush()
        return [one_of_ours(args, sampler, file.name, cost, args.first_seed + i) for i in range(args.repeats)]


def one_of_ours(args, sampler, path, cost, seed):
    command = [args.qgd, "ask-tell", "--space", path, "--sampler", sampler, "--seed", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:

        def say(message):
            child.stdin.write(json.dumps(message) + "\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
            if "error" in answer:
                raise SystemExit(f"{sampler}: {answer['error']}")
            return answer

        best = float("inf")
        for _ in range(args.trials):
            asked = say({"ask": {}})
            value = cost(asked["params"])
            best = min(best, value)
            say({"tell": {"trial": asked["trial"], "values": [value]}})
        child.stdin.close()
    return best


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def a12(a, b):
    """The chance that one of `a` is below one of `b`; ties count half."""
    wins = sum(1.0 if x < y else 0.5 if x == y else 0.0 for x in a for y in b)
    return wins / (len(a) * len(b))


def report(args, chosen, ours, rivals, results):
    columns = ours + rivals
    print(f"median best value after {args.trials} trials, {args.repeats} repeats from seed {args.first_seed}"
          + (f" ({n_repeats(args, 'optuna-gp')} of optuna-gp)" if "optuna-gp" in rivals else ""))
    print(" ".join([f"{'function':14}"] + [f"{name[:20]:>20}" for name in columns]))
    for function in chosen:
        medians = [statistics.median(results[name][function]) for name in columns]
        print(" ".join([f"{function:14}"] + [f"{median:20.4g}" for median in medians]))
    if args.against in rivals:
        effects = {name: {f: a12(results[name][f], results[args.against][f]) for f in chosen} for name in columns if name != args.against}
        print(f"\nA12 over {args.against}: 1 always better, 0.5 equal")
        print(" ".join([f"{'function':14}"] + [f"{name[:20]:>20}" for name in effects]))
        for function in chosen:
            print(" ".join([f"{function:14}"] + [f"{effects[name][function]:20.3f}" for name in effects]))
        print(" ".join([f"{'mean':14}"] + [f"{statistics.mean(effects[name].values()):20.3f}" for name in effects]))
        print(" ".join([f"{'smallest':14}"] + [f"{min(effects[name].values()):20.3f}" for name in effects]))
    else:
        effects = {}
    if args.out:
        best = {name: {f: results[name][f] for f in chosen} for name in columns}
        with open(args.out, "w") as file:
            json.dump({"trials": args.trials, "first_seed": args.first_seed, "best": best, "a12_over": args.against, "a12": effects}, file, indent=1)


if __name__ == "__main__":
    main()
