"""Orthogonalized changes beside the optimizer alone: a cosine schedule, tuned for each, and the controller from three starts.

    python bench/orthogonal.py DATA [--tasks letter,digits] [--seeds 5]      # DATA holds letter_recognition/
"""

import statistics
import time

import torch
from same_nets import arguments, digits, geometric_means, in_torch, letter

import qgd

TASKS = {"letter": letter, "digits": digits}
BASES = {
    "Adam": lambda params, lr: torch.optim.Adam(params, lr=lr),
    "momentum": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9),
    "SGD": lambda params, lr: torch.optim.SGD(params, lr=lr),
}
#: Rates that cosine is tried at, a third of a decade apart.
RATES = [10 ** (k / 3) for k in range(-8, 3)]
STARTS = (1e-5, 1e-2, 1.0)


def optimizer(base, params, lr, is_turned):
    opt = BASES[base](params, lr)
    return qgd.Orthogonal(opt) if is_turned else opt


def by_cosine(params, n_steps, base, lr, is_turned):
    opt = optimizer(base, params, lr, is_turned)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, n_steps)
    return lambda loss: (opt.step(), scheduler.step())


def controlled(params, n_steps, base, lr, is_turned):
    opt = qgd.QController(optimizer(base, params, lr, is_turned), "lr", total_steps=n_steps)
    return lambda loss: opt.step(loss=loss)


def runs(task, seeds, way, *how):
    """Geometric mean of the training losses, then of the test losses; mean test accuracy; milliseconds of a step."""
    begun = time.perf_counter()
    found = [in_torch(*task, seed, lambda *run: way(*run, *how)) for seed in seeds]
    taken = (time.perf_counter() - begun) / len(found) / task[3] * 1e3
    return [*geometric_means(found), statistics.mean(run[2] for run in found), taken]


def main():
    args = arguments(__doc__, "letter,digits")
    torch.set_num_threads(1)
    print("train loss / test loss / test accuracy; cosine at its best rate, qgd from " + ", ".join(f"{lr:g}" for lr in STARTS))
    for name in args.tasks.split(","):
        task = TASKS[name](args.data)
        for base in BASES:
            for is_turned in (False, True):
                # One seed finds the best rate, and its neighbours are tried with all.
                tried = {lr: runs(task, [0], by_cosine, base, lr, is_turned)[0] for lr in RATES}
                best = min(tried, key=tried.get)
                near = [lr for lr in RATES if 0.4 < lr / best < 2.5]
                cosine = {lr: runs(task, range(args.seeds), by_cosine, base, lr, is_turned) for lr in near}
                lr = min(cosine, key=lambda lr: cosine[lr][0])
                shown = [f"cosine at {lr:.3g}: " + line(cosine[lr])]
                shown += [line(runs(task, range(args.seeds), controlled, base, start, is_turned)) for start in STARTS]
                print(f"{name:8}{base:10}{'orthogonal' if is_turned else 'alone':12}" + "   ".join(shown), flush=True)


def line(found):
    train, test, accuracy, taken = found
    return f"{train:.4f} / {test:.4f} / {100 * accuracy:.1f} % ({taken:.2f} ms)"


if __name__ == "__main__":
    main()
