"""How a run ends whose length was not known beforehand: as it is, at a running average of its weights, after a cooldown on
demand, and beside it runs that knew their length.

    python bench/unknown_budget.py DATA [--tasks letter,digits,wine] [--seeds 5]

DATA holds letter_recognition/ and wine_quality_red/. The average moves by 1 / max(1, share * t) of the way to the weights
after step t: an exponential average whose window is a share of the steps so far (the power function averages of Karras et
al. 2023, arXiv 2312.02696).
"""

import argparse
import math
import pathlib
import statistics

import numpy as np
import torch
from same_nets import digits, letter

import qgd

BASES = {
    "Adam": lambda params, lr: torch.optim.Adam(params, lr=lr),
    "momentum": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9),
}
#: Rates that cosine is tried at, a third of a decade apart.
RATES = [10 ** (k / 3) for k in range(-11, 1)]
STARTS = (1e-4, 0.3)
SHARES = (0.05, 0.1, 0.15)
COOLDOWNS = (0.1, 0.2, 0.3)


def wine(folder):
    """Residual sugar of red wines from their other ten measurements and their grade."""
    table = np.loadtxt(folder / "wine_quality_red" / "winequality-red.csv", delimiter=";", skiprows=1)
    sugar = table[:, 3]
    return np.delete(table, 3, axis=1), (sugar - sugar.mean()) / sugar.std(), [32, 32], 1000


TASKS = {"letter": letter, "digits": digits, "wine": wine}


class Run:
    """A net, its batches, and its losses: four fifths of the rows to train by (the last tenth of the others tests)."""

    def __init__(self, task, seed):
        inputs, targets, hidden, self.n_steps = task
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        order, n = self.rng.permutation(len(inputs)), len(inputs) * 8 // 10
        self.train, self.test = order[:n], order[len(inputs) * 9 // 10 :]
        mean, deviation = inputs[self.train].mean(0), inputs[self.train].std(0)
        self.x = torch.tensor((inputs - mean) / np.where(deviation > 0, deviation, 1.0), dtype=torch.float32)
        is_class = targets.dtype == np.int64
        self.y = torch.tensor(targets if is_class else targets[:, None], dtype=None if is_class else torch.float32)
        self.batch_size, self.loss_fn = (64, torch.nn.CrossEntropyLoss()) if is_class else (32, torch.nn.MSELoss())
        unit = torch.nn.ReLU if is_class else torch.nn.Tanh
        widths = [self.x.shape[1], *hidden]
        layers = [part for a, b in zip(widths, widths[1:]) for part in (torch.nn.Linear(a, b), unit())]
        self.net = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], int(targets.max()) + 1 if is_class else 1))
        self.params = list(self.net.parameters())

    def losses(self):
        with torch.no_grad():
            return [self.loss_fn(self.net(self.x[part]), self.y[part]).item() for part in (self.train, self.test)]

    def steps(self, take):
        """Calls `take(step, loss)` with every loss, whose gradient is there."""
        batches = []
        for step in range(self.n_steps):
            if not batches:
                batches = list(torch.tensor(self.rng.permutation(self.train)).split(self.batch_size))
            batch = batches.pop()
            loss = self.loss_fn(self.net(self.x[batch]), self.y[batch])
            self.net.zero_grad()
            loss.backward()
            take(step, loss)


def by_cosine(task, seed, base, lr):
    run = Run(task, seed)
    opt = BASES[base](run.params, lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, run.n_steps)
    run.steps(lambda step, loss: (opt.step(), scheduler.step()))
    return run.losses()


def by_qgd(task, seed, base, start, total_steps=None, cooldown=None):
    run = Run(task, seed)
    opt = qgd.QController(BASES[base](run.params, start), total_steps=total_steps)
    n_cooling = None if cooldown is None else round(cooldown * run.n_steps)

    def take(step, loss):
        if n_cooling == run.n_steps - step:
            opt.cool_down(n_cooling)
        opt.step(loss=loss)

    run.steps(take)
    return run.losses()


def averaged(task, seed, base, start):
    """Losses at the weights in training, and at each of the averages."""
    run = Run(task, seed)
    opt = qgd.QController(BASES[base](run.params, start))
    averages = {share: [p.detach().clone() for p in run.params] for share in SHARES}

    def take(step, loss):
        opt.step(loss=loss)
        for share, average in averages.items():
            torch._foreach_lerp_(average, [p.detach() for p in run.params], 1.0 / max(1.0, share * (step + 1)))

    run.steps(take)
    ends = {"no cooldown": run.losses()}
    for share, average in averages.items():
        for p, mean in zip(run.params, average):
            p.data.copy_(mean)
        ends[f"average {share:g}"] = run.losses()
    return ends


def mean(found):
    """Geometric means of the training and of the test losses; a run that diverged counts as a loss of 1000."""
    return [math.exp(statistics.mean(math.log(min(end[i], 1e3) if end[i] > 0 else 1e3) for end in found)) for i in (0, 1)]


def tuned(task, seeds, base):
    """Cosine at its best rate: one seed finds it, and its neighbours are tried with all."""
    tried = {lr: by_cosine(task, 0, base, lr)[0] for lr in RATES}
    best = min(tried, key=lambda lr: tried[lr] if math.isfinite(tried[lr]) else math.inf)
    ends = {lr: mean([by_cosine(task, seed, base, lr) for seed in seeds]) for lr in RATES if 0.4 < lr / best < 2.5}
    lr = min(ends, key=lambda lr: ends[lr][0])
    return {f"cosine at {lr:.3g}": ends[lr]}


def ended(task, seeds, base, start):
    ends = [averaged(task, seed, base, start) for seed in seeds]
    rows = {name: mean([end[name] for end in ends]) for name in ends[0]}
    for cooldown in COOLDOWNS:
        cooled = [by_qgd(task, seed, base, start, cooldown=cooldown) for seed in seeds]
        rows[f"cool_down, {100 * cooldown:.0f} %"] = mean(cooled)
    rows["total_steps"] = mean([by_qgd(task, seed, base, start, total_steps=task[3]) for seed in seeds])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--tasks", default="letter,digits,wine")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("training loss / test loss, geometric means over the seeds")
    for name in args.tasks.split(","):
        task = TASKS[name](args.data)
        for base in BASES:
            runs = {"": tuned(task, range(args.seeds), base)}
            runs |= {f"from {start:g}": ended(task, range(args.seeds), base, start) for start in STARTS}
            for start, rows in runs.items():
                for how, (train, test) in rows.items():
                    print(f"{name:8}{base:10}{start:12}{how:18}{train:9.4f} / {test:.4f}", flush=True)


if __name__ == "__main__":
    main()
