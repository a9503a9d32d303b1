"""A long run of a transformer of a million parameters on characters: from any rate under qgd, beside rivals whose rates are
tuned.

    python bench/long_transformer.py DATA --out runs                 # all runs, two seeds; the same line again goes on
    python bench/long_transformer.py DATA --out runs --controller mine.qgd --only qgd

DATA holds tinyshakespeare/input.txt, in pieces of 64 characters as in examples/tasks/chars-transformer.toml: nine tenths to
train by, half of the rest to test. Batches of 4 pieces: 5000 steps see every piece 1.3 times. Everyone has AdamW's weight
decay of 0.1, gradients clipped at a norm of 1, and the same batches from the same initial weights. Warm-up + cosine (5 %
warm-up) and Schedule-Free AdamW (the same warm-up) try half-decades with the first seed, from the middle of a grid on until
both neighbors of the best one are worse; it and its neighbors are run with the other seeds, and the best of these is the tuned
one. Prodigy has its default rate of 1 and a cosine, as its authors advise (`pip install prodigyopt==1.1.2`).

Every run is a file in the folder of --out. Losses are in nats per character, those of the weights at the end: of the test
pieces, and of as many training pieces. table.md there is the table of the runs so far; curves.svg is drawn at the end, where
matplotlib is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

import qgd

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from long_transformer_table import STARTS, draw, table  # noqa: E402
from task_nets import net_of, task_of  # noqa: E402

RATES = tuple(float(f"{10 ** (k / 2):.2g}") for k in range(-8, -2))
WAYS = ("qgd", "guess", "cosine", "prodigy", "schedule-free")
BATCH, DECAY, CLIP, WARM_UP = 4, 0.1, 1.0, 0.05
N_WINDOWS = 200


class Run(NamedTuple):
    """`way` is one of WAYS, but a guess is a cosine; `controller` is a name or a file, of runs under qgd."""

    way: str
    lr: float
    seed: int
    controller: str | None = None

    @property
    def name(self):
        controller = [] if self.controller is None else [pathlib.Path(self.controller).stem]
        return "-".join([self.way, *controller, f"{self.lr:g}", f"seed{self.seed}"])


def planned(train_losses: dict, ways, controllers, n_seeds):
    """The runs to make, seed by seed. `train_losses` holds those at the end of the runs that are done: a way that is tuned
    gets its other seeds when its best rate is known with the first one."""
    runs = []
    for seed in range(n_seeds):
        for way in ways:
            if way == "qgd":
                runs += [Run(way, lr, seed, controller) for controller in controllers for lr in STARTS]
            elif way == "guess":
                runs += [Run("cosine", lr, seed) for lr in STARTS]
            elif way == "prodigy":
                runs.append(Run(way, 1.0, seed))
            else:
                tried, beside_best = search(way, train_losses)
                runs += [Run(way, lr, seed) for lr in (tried if seed == 0 else beside_best)]
    return list(dict.fromkeys(runs))


def search(way, train_losses):
    """The rates to try with the first seed, and the best of them with those beside it; none of these as long as it is not
    known."""
    first, last = 1, 3
    while True:
        tried = RATES[first : last + 1]
        losses = [train_losses.get(Run(way, lr, 0)) for lr in tried]
        if None in losses:
            return tried, ()
        best = RATES.index(tried[losses.index(min(losses))])
        if best == first > 0:
            first -= 1
        elif best == last < len(RATES) - 1:
            last += 1
        else:
            return tried, RATES[max(best - 1, 0) : best + 2]


class Pieces:
    """The text in pieces of a context, and the next characters: parts to train by and to test, shuffled by the seed."""

    def __init__(self, folder, seed, device):
        data = task_of("chars-transformer")["data"]
        text = (folder / data["path"]).read_text(encoding="utf-8")
        alphabet = {c: number for number, c in enumerate(sorted(set(text)))}
        numbers, self.length = torch.tensor([alphabet[c] for c in text], device=device), data["context"]
        self.n_tokens, n = len(alphabet), (len(text) - 1) // self.length
        self.x, self.y = (numbers[i:][: n * self.length].view(n, self.length) for i in (0, 1))
        self.rng = np.random.default_rng(seed)
        order = self.rng.permutation(n)
        first, second = (round(sum(data["split"][:k]) * n) for k in (1, 2))
        self.train, self.test = order[:first], order[second:]

    def batches(self, n_steps):
        """Epoch after epoch in an order of its own; what is left of an epoch is left out."""
        per_epoch = len(self.train) // BATCH
        for step in range(n_steps):
            if step % per_epoch == 0:
                order = self.rng.permutation(self.train)
            yield torch.from_numpy(order[step % per_epoch * BATCH :][:BATCH])

    def loss(self, net, rows):
        logits = net(self.x[rows]).flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, self.y[rows].flatten()), logits

    @torch.no_grad()
    def end(self, net, rows):
        """Loss and share of characters that are foretold, over whole pieces."""
        losses, n_right = [], 0
        for part in torch.from_numpy(rows).split(64):
            loss, logits = self.loss(net, part)
            losses.append(loss.item() * len(part))
            n_right += (logits.argmax(1) == self.y[part].flatten()).sum().item()
        return sum(losses) / len(rows), n_right / len(rows) / self.length


def warm_cosine(step, n_steps):
    n_warm = max(1, round(WARM_UP * n_steps))
    done = (step - n_warm) / max(1, n_steps - n_warm)
    return (step + 1) / n_warm if step < n_warm else 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def optimizer(run, net, n_steps, per_epoch):
    """The optimizer of a run, and what moves its rate after each step."""
    params, no_schedule = net.parameters(), lambda: None
    if run.way == "prodigy":
        import prodigyopt

        opt = prodigyopt.Prodigy(params, lr=run.lr, weight_decay=DECAY)
        return opt, torch.optim.lr_scheduler.CosineAnnealingLR(opt, n_steps).step
    if run.way == "schedule-free":
        import schedulefree

        warm_up = round(WARM_UP * n_steps)
        opt = schedulefree.AdamWScheduleFree(params, lr=run.lr, weight_decay=DECAY, warmup_steps=warm_up)
        opt.train()
        return opt, no_schedule
    opt = torch.optim.AdamW(params, lr=run.lr, weight_decay=DECAY)
    if run.way == "qgd":
        told = {"total_steps": n_steps, "steps_per_epoch": per_epoch, "model": net}
        return qgd.QController(opt, run.controller, **told), no_schedule
    return opt, torch.optim.lr_scheduler.LambdaLR(opt, lambda step: warm_cosine(step, n_steps)).step


def rate(opt):
    """The learning rate of the step that was taken: Prodigy has a factor `d`, Schedule-Free a warm-up of its own."""
    group = opt.param_groups[0]
    return float(group.get("scheduled_lr", group["lr"])) * float(group.get("d", 1.0))


def setting(run, n_steps):
    """What a run depends on, beside its name."""
    path = pathlib.Path(run.controller or "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else None
    return {"steps": n_steps, "batch": BATCH, "weight_decay": DECAY, "clip": CLIP, "warm_up": WARM_UP, "controller": digest}


def train(run, folder, n_steps, device):
    """Makes a run: everything that its file holds."""
    torch.manual_seed(run.seed)
    pieces = Pieces(folder, run.seed, device)
    task = task_of("chars-transformer")
    task["net"] |= {"embedding": 128, "layers": 5}
    net = net_of(task, pieces.n_tokens, n_tokens=pieces.n_tokens, length=pieces.length).to(device)
    opt, after_step = optimizer(run, net, n_steps, len(pieces.train) // BATCH)
    decisions: list = []
    if run.way == "qgd":
        opt.on_decision(decisions.append)
    losses, rates, clock = [], [], Clock(device)
    for batch in pieces.batches(n_steps):
        loss = pieces.loss(net, batch)[0]
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        opt.step(loss=loss.detach()) if run.way == "qgd" else opt.step()
        losses.append(loss.detach())
        rates.append(rate(opt))
        after_step()
    seconds = clock.seconds()
    if run.way == "schedule-free":
        opt.eval()
    test_loss, accuracy = pieces.end(net, pieces.test)
    train_loss = pieces.end(net, pieces.train[: len(pieces.test)])[0]
    losses = torch.stack(losses).tolist()
    window = max(1, n_steps // N_WINDOWS)
    ended = {"train_loss": train_loss, "test_loss": test_loss, "test_accuracy": accuracy}
    taken = {
        "last_losses": statistics.fmean(losses[-max(1, n_steps // 20) :]),
        "seconds_per_1000_steps": 1000 * seconds / n_steps,
    }
    traces = {
        "steps": list(range(window, n_steps + 1, window)),
        "losses": [statistics.fmean(losses[i : i + window]) for i in range(0, n_steps - window + 1, window)],
        "rates": rates[window - 1 :: window],
        "decisions": decisions,
    }
    n_params = sum(p.numel() for p in net.parameters())
    return {**run._asdict(), "setting": setting(run, n_steps), "n_params": n_params, **ended, **taken, **traces}


class Clock:
    """Seconds of work: of the processor, which other programs do not lengthen, or of an accelerator by the clock."""

    def __init__(self, device):
        self.device, self.now = device, time.process_time if device == "cpu" else time.perf_counter
        self.start = self.seconds_so_far()

    def seconds_so_far(self):
        if self.device != "cpu":
            torch.accelerator.synchronize()
        return self.now()

    def seconds(self):
        return self.seconds_so_far() - self.start


def finite(value):
    """Numbers as JSON knows them: None for what is not finite."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Results:
    """The files of the runs in a folder."""

    def __init__(self, folder, n_steps):
        self.folder, self.n_steps = folder, n_steps
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, run):
        return self.folder / f"{run.name}.json"

    def read(self, run):
        """What the file of a run holds; None where there is none.

        Raises:
            SystemExit: it was made with other settings.
        """
        if not self.path(run).exists():
            return None
        record, now = json.loads(self.path(run).read_text()), setting(run, self.n_steps)
        if record["setting"] != now:
            sys.exit(f"{self.path(run)} was made with {record['setting']}, but now it is {now}: delete it, or give another --out")
        return record

    def all(self):
        """All runs of this number of steps."""
        records = [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))]
        return [record for record in records if record["setting"]["steps"] == self.n_steps]

    def write(self, run, record):
        scratch = self.path(run).with_suffix(".tmp")
        scratch.write_text(json.dumps(finite(record)))
        os.replace(scratch, self.path(run))


def make(job):
    """One run in a process of a pool."""
    run, results, folder, device = job
    torch.set_num_threads(1)
    record = train(run, folder, results.n_steps, device)
    results.write(run, record)
    return run, record


def make_all(plan: Callable, results, jobs, folder, device):
    """Makes the runs that are planned and not done, and yields each one."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        done = {run: record for run in plan({}) if (record := results.read(run))}
        while True:
            runs = plan({run: loss_of(record) for run, record in done.items()})
            done |= {run: record for run in runs if run not in done and (record := results.read(run))}
            missing = [run for run in runs if run not in done]
            if not missing:
                return
            for run, record in pool.imap_unordered(make, [(run, results, folder, device) for run in missing]):
                done[run] = record
                told = "{train_loss:.4f} train, {test_loss:.4f} test, {seconds_per_1000_steps:.0f} s per 1000 steps"
                print(f"{run.name}: {told.format(**record)}; {len(done)} of {len(runs)} runs", file=sys.stderr, flush=True)
                yield run


def loss_of(record):
    return math.inf if record["train_loss"] is None or math.isnan(record["train_loss"]) else record["train_loss"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("long"))
    parser.add_argument("--only", default=",".join(WAYS), help="names, with commas between them")
    parser.add_argument("--controller", action="append", help="name or file of a pretrained controller; default lr")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    args = parser.parse_args()
    args.only = args.only.split(",")
    unknown = [way for way in args.only if way not in WAYS]
    if unknown:
        parser.error(f"--only is {unknown[0]!r}, but it can be of {', '.join(WAYS)}")
    for option in ("steps", "seeds", "jobs"):
        if getattr(args, option) < 1:
            parser.error(f"--{option} is {getattr(args, option)}, but it must be at least 1")
    return args


def main():
    args = arguments()
    controllers = args.controller or ["lr"]
    plan = lambda losses: planned(losses, args.only, controllers, args.seeds)  # noqa: E731
    results = Results(args.out, args.steps)
    written = args.out / "table.md"
    for _ in make_all(plan, results, args.jobs, args.data, args.device):
        written.write_text(table(results.all()) + "\n")
    written.write_text(table(results.all()) + "\n")
    print(written.read_text(), end="")
    try:
        draw(results.all(), args.out / "curves.svg")
    except ImportError as error:
        print(f"no picture: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
