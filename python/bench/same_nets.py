"""The same task in PyTorch and by `qgd train`: final losses under the controller, five seeds each.

    python bench/same_nets.py QGD DATA        # the program `qgd`, and the folder with letter_recognition/
"""

import argparse
import gzip
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import torch

import qgd

TASKS = pathlib.Path(__file__).parents[2] / "examples"
STARTS = (1e-5, 1e-3, 1.0)


def digits(_):
    with gzip.open(TASKS / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float64)
    return table[:, :-1], table[:, -1].astype(np.int64), [64], 400


def letter(folder):
    rows = [line.strip().split(",") for line in open(folder / "letter_recognition" / "letter-recognition.data")]
    inputs = np.array([row[1:] for row in rows], dtype=np.float64)
    return inputs, np.array([ord(row[0]) - ord("A") for row in rows]), [128, 128], 800


def geometric_means(runs):
    """Geometric means of the training and of the test losses; a run that diverged counts as a loss of 1000."""
    return [math.exp(statistics.mean(math.log(min(run[i], 1e3) if run[i] > 0 else 1e3) for run in runs)) for i in (0, 1)]


def arguments(about, tasks):
    """Folder of the data, tasks and number of seeds, from the command line."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--tasks", default=tasks)
    parser.add_argument("--seeds", type=int, default=5)
    return parser.parse_args()


def controlled(params, n_steps, lr):
    """Adam under the shipped controller: what takes a step, given the loss."""
    opt = qgd.QController(torch.optim.Adam(params, lr=lr), "lr", total_steps=n_steps)
    return lambda loss: opt.step(loss=loss)


def in_torch(inputs, classes, hidden, n_steps, seed, stepper):
    """Training loss, test loss and test accuracy of a run as `qgd train` makes it: four fifths to train by, standardized,
    batches of 64. `stepper(params, n_steps)` answers what takes a step, given the loss."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    order = rng.permutation(len(inputs))
    n = len(inputs) * 8 // 10
    train, test = order[:n], order[len(inputs) * 9 // 10 :]
    mean, deviation = inputs[train].mean(0), inputs[train].std(0)
    x = torch.tensor((inputs - mean) / np.where(deviation > 0, deviation, 1.0), dtype=torch.float32)
    y = torch.tensor(classes)
    widths = [x.shape[1], *hidden]
    layers = [part for a, b in zip(widths, widths[1:]) for part in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], int(classes.max()) + 1))
    step, batches = stepper(list(net.parameters()), n_steps), []
    for _ in range(n_steps):
        if not batches:
            batches = list(torch.tensor(rng.permutation(train)).split(64))
        batch = batches.pop()
        loss = torch.nn.functional.cross_entropy(net(x[batch]), y[batch])
        net.zero_grad()
        loss.backward()
        step(loss)
    with torch.no_grad():
        losses = [torch.nn.functional.cross_entropy(net(x[part]), y[part]).item() for part in (train, test)]
        return [*losses, (net(x[test]).argmax(1) == y[test]).float().mean().item()]


def by_qgd(program, folder, name, lr, seed):
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch) / "out.json"
        command = [program, "train", name, "--controller", "lr", "--lr", str(lr), "--seed", str(seed), "--json", str(out)]
        if name != "digits":
            command += ["--data-dir", str(folder)]
        subprocess.run(command, check=True, capture_output=True, cwd=scratch)
        result = json.loads(out.read_text())
    return result["train_loss"], result["test_loss"]


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.set_num_threads(1)
    print(f"{'task':8}{'start':>8}{'':4}{'train loss, PyTorch':>34}{'qgd train':>34}{'test loss, PyTorch':>30}{'qgd train':>30}")
    for name, load in {"digits": digits, "letter": letter}.items():
        task = load(folder)
        for start in STARTS:
            ours = [by_qgd(program, folder, name, start, seed) for seed in range(5)]
            theirs = [in_torch(*task, seed, lambda *run: controlled(*run, start)) for seed in range(5)]  # noqa: B023
            shown = [
                f"{statistics.mean(side):.4g} ({min(side):.3g} to {max(side):.3g})"
                for part in range(2)
                for side in ([run[part] for run in theirs], [run[part] for run in ours])
            ]
            print(f"{name:8}{start:>8g}{'':4}{shown[0]:>34}{shown[1]:>34}{shown[2]:>30}{shown[3]:>30}", flush=True)


if __name__ == "__main__":
    main()
