"""Real training scripts, from three learning rates under qgd, beside their own schedule with its rate tuned.

    python bench/scripts.py ../../data --out runs.jsonl

Each schedule is run at every rate of a grid of half-decades, with the same seeds; the rate with the lowest mean
training loss is the tuned one. Every run is written as it ends, and is not run again. Prints one table: mean (and
standard deviation over seeds) of the final training loss, and the mean of the test metric.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from datetime import date
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import scripts_hosts  # noqa: E402

STARTS = [1e-5, 1e-3, 1e-1]
#: Name: (what it is, lowest and highest half-decade of the grid, name of the metric).
SCRIPTS = {
    "hf": ("HF Trainer, GPT-2, tinyshakespeare", (-4.0, -1.5), "test loss"),
    "lightning": ("Lightning, MNIST", (-4.0, -1.0), "test accuracy"),
    "bf16": ("loop, bf16, 4 accumulated, digits", (-4.0, -1.0), "test accuracy"),
    "scaler": ("loop, fp16 and GradScaler, 4 accumulated, digits", (-4.0, -1.0), "test accuracy"),
    "ddp": ("DDP, 2 processes, letters", (-3.0, 0.5), "test accuracy"),
}


def grid(low, high):
    return [float(f"{10 ** (low + 0.5 * i):.1e}") for i in range(round((high - low) / 0.5) + 1)]


def planned(name, n_seeds):
    """All runs of a script: whether qgd controls it, learning rate, seed."""
    of_seed = [(True, lr) for lr in STARTS] + [(False, lr) for lr in grid(*SCRIPTS[name][1])]
    return [(controlled, lr, seed) for seed in range(n_seeds) for controlled, lr in of_seed]


def read(path):
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


def run_script(name, folder, out, n_seeds):
    """Runs what is missing of a script, and writes it."""
    is_writer = int(os.environ.get("RANK", "0")) == 0
    done = {(one["controlled"], one["lr"], one["seed"]) for one in read(out) if one["script"] == name}
    for controlled, lr, seed in planned(name, n_seeds):
        if (controlled, lr, seed) in done:
            continue
        start = time.perf_counter()
        loss, metric = getattr(scripts_hosts, f"train_{name}")(folder, lr, seed, controlled)
        record = {"script": name, "controlled": controlled, "lr": lr, "seed": seed, "loss": loss, "metric": metric}
        if is_writer:
            with open(out, "a") as file:
                print(json.dumps({**record, "seconds": round(time.perf_counter() - start, 2)}), file=file)


def work(rank, port, *arguments):
    """One of two processes."""
    os.environ.update(RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    run_script(*arguments)
    torch.distributed.destroy_process_group()


def finite_mean(values):
    """The mean; infinite where a run has not ended in a number."""
    return statistics.fmean(values) if all(map(math.isfinite, values)) else math.inf


def cell(records):
    losses, metrics = [one["loss"] for one in records], [one["metric"] for one in records]
    spread = statistics.stdev(losses) if len(losses) > 1 and all(map(math.isfinite, losses)) else 0.0
    return f"{finite_mean(losses):.3g} ± {spread:.2g} ({finite_mean(metrics):.4g})"


def table(records, n_seeds):
    lines = [
        f"Seeds 0 to {n_seeds - 1}, torch {torch.__version__}, {date.today()}. Final training loss ± standard "
        "deviation over seeds, in brackets the test metric.",
        "",
        "| script | metric | own schedule, tuned | " + " | ".join(f"qgd from {lr:g}" for lr in STARTS) + " |",
        "|---|---|---" + "|---" * len(STARTS) + "|",
    ]
    for name, (what, bounds, metric) in SCRIPTS.items():
        of = {}
        for one in records:
            if one["script"] == name and one["seed"] < n_seeds:
                of.setdefault((one["controlled"], one["lr"]), []).append(one)
        complete = {key: runs for key, runs in of.items() if len(runs) == n_seeds}
        schedules = {lr: runs for (controlled, lr), runs in complete.items() if not controlled}
        if len(schedules) < len(grid(*bounds)) or any((True, lr) not in complete for lr in STARTS):
            continue
        best = min(schedules, key=lambda lr: finite_mean([one["loss"] for one in schedules[lr]]))
        cells = [f"{cell(schedules[best])} at {best:g}", *(cell(complete[True, lr]) for lr in STARTS)]
        lines.append(f"| {what} | {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="folder with tinyshakespeare, mnist, sklearn_builtin and letter_recognition")
    parser.add_argument("--out", default="scripts.jsonl", help="file that every run is written to")
    parser.add_argument("--only", default=",".join(SCRIPTS), help="names, with commas between them")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.only.split(","):
        if name == "ddp":
            port = 20000 + os.getpid() % 20000
            torch.multiprocessing.spawn(work, (port, name, args.data, args.out, args.seeds), nprocs=2)
        else:
            run_script(name, args.data, args.out, args.seeds)
    print(table(read(args.out), args.seeds))


if __name__ == "__main__":
    main()
