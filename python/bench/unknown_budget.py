"""How a run ends whose length was not known beforehand: as it is, at a running average of its weights, after a cooldown on
demand; and beside it runs that knew their length.

    python bench/unknown_budget.py DATA [--tasks letter,digits,wine] [--seeds 5]

DATA holds letter_recognition/ and wine_quality_red/. The average moves by 1 / max(1, share * t) of the way to the weights
after step t: an exponential average whose window is a share of the steps so far (the power function averages of Karras et
al. 2023, arXiv 2312.02696). Cooldowns branch off the run that has none.
"""

import copy
import math

import numpy as np
import torch
from same_nets import arguments, digits, geometric_means, letter

import qgd

BASES = {
    "Adam": lambda params, lr: torch.optim.Adam(params, lr=lr),
    "momentum": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9),
}
#: Rates that cosine is tried at, a third of a decade apart.
RATES = {"Adam": [10 ** (k / 3) for k in range(-8, -1)], "momentum": [10 ** (k / 3) for k in range(-5, 2)]}
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
    """A net and an optimizer beside its batches: four fifths of the rows to train by, the last tenth of the others to test."""

    def __init__(self, task, seed, optimizer):
        inputs, targets, hidden, self.n_steps = task
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        order, n = rng.permutation(len(inputs)), len(inputs) * 8 // 10
        self.train, self.test = order[:n], order[len(inputs) * 9 // 10 :]
        mean, deviation = inputs[self.train].mean(0), inputs[self.train].std(0)
        self.x = torch.tensor((inputs - mean) / np.where(deviation > 0, deviation, 1.0), dtype=torch.float32)
        is_class = targets.dtype == np.int64
        self.y = torch.tensor(targets if is_class else targets[:, None], dtype=None if is_class else torch.float32)
        size, self.loss_fn = (64, torch.nn.CrossEntropyLoss()) if is_class else (32, torch.nn.MSELoss())
        unit = torch.nn.ReLU if is_class else torch.nn.Tanh
        widths = [self.x.shape[1], *hidden]
        layers = [part for a, b in zip(widths, widths[1:]) for part in (torch.nn.Linear(a, b), unit())]
        self.net = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], int(targets.max()) + 1 if is_class else 1))
        self.params = list(self.net.parameters())
        self.opt, self.step, self.batches = optimizer(self.params), 0, []
        while len(self.batches) < self.n_steps:
            self.batches += reversed(torch.tensor(rng.permutation(self.train)).split(size))

    def take(self, until, on_step=lambda: None):
        """Steps up to step `until`."""
        for self.step in range(self.step, until):
            batch = self.batches[self.step]
            self.net.zero_grad()
            loss = self.loss_fn(self.net(self.x[batch]), self.y[batch])
            loss.backward()
            self.opt.step(loss=loss) if isinstance(self.opt, qgd.QController) else self.opt.step()
            on_step()
        self.step = until
        return self

    def losses(self):
        """Training loss and test loss now."""
        with torch.no_grad():
            return [self.loss_fn(self.net(self.x[part]), self.y[part]).item() for part in (self.train, self.test)]


def by_cosine(task, seed, base, lr):
    run = Run(task, seed, lambda params: BASES[base](params, lr))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(run.opt, run.n_steps)
    return run.take(run.n_steps, scheduler.step).losses()


def ends_of(task, seed, base, start):
    """Losses of all the ways to end a run under the controller."""
    controlled = lambda total_steps: Run(  # noqa: E731
        task, seed, lambda params: qgd.QController(BASES[base](params, start), total_steps=total_steps)
    )
    run = controlled(None)
    averages = {share: [p.detach().clone() for p in run.params] for share in SHARES}

    def average():
        for share, mean in averages.items():
            torch._foreach_lerp_(mean, [p.detach() for p in run.params], 1.0 / max(1.0, share * (run.step + 1)))

    cooled = {}
    for share in sorted(COOLDOWNS, reverse=True):
        n_left = round(share * run.n_steps)
        run.take(run.n_steps - n_left, average)
        branch = copy.deepcopy(run)
        branch.opt.cool_down(n_left)
        cooled[f"cool_down, {100 * share:.0f} %"] = branch.take(run.n_steps).losses()
    ends = {"no cooldown": run.take(run.n_steps, average).losses()}
    for share, mean in averages.items():
        for p, value in zip(run.params, mean):
            p.data.copy_(value)
        ends[f"average {share:g}"] = run.losses()
    return {**ends, **cooled, "total_steps": controlled(run.n_steps).take(run.n_steps).losses()}


def tuned(task, seeds, base):
    """Cosine at its best rate: one seed finds it, and its neighbours are tried with all."""
    tried = {lr: by_cosine(task, 0, base, lr)[0] for lr in RATES[base]}
    best = min(tried, key=lambda lr: tried[lr] if math.isfinite(tried[lr]) else math.inf)
    ends = {lr: geometric_means([by_cosine(task, seed, base, lr) for seed in seeds]) for lr in tried if 0.4 < lr / best < 2.5}
    lr = min(ends, key=lambda lr: ends[lr][0])
    return {f"cosine at {lr:.3g}": ends[lr]}


def main():
    args = arguments(__doc__, "letter,digits,wine")
    torch.set_num_threads(1)
    print("training loss / test loss, geometric means over the seeds")
    for name in args.tasks.split(","):
        task, seeds = TASKS[name](args.data), range(args.seeds)
        for base in BASES:
            for start in STARTS:
                runs = [ends_of(task, seed, base, start) for seed in seeds]
                show(name, base, f"from {start:g}", {how: geometric_means([run[how] for run in runs]) for how in runs[0]})
            show(name, base, "", tuned(task, seeds, base))


def show(name, base, start, rows):
    for how, (train, test) in rows.items():
        print(f"{name:8}{base:10}{start:12}{how:18}{train:9.3g} / {test:.3g}", flush=True)


if __name__ == "__main__":
    main()
