"""The table and the picture of bench/long_transformer.py, of the runs that there are."""

import math
import pathlib
import statistics

STARTS = (1e-5, 1e-3, 1e-1)
#: Columns of the table: what a record calls it, its heading, its format, and a factor.
COLUMNS = {
    "train_loss": ("train loss", "{:.3f}", 1),
    "test_loss": ("test loss", "{:.3f}", 1),
    "test_accuracy": ("test accuracy, %", "{:.1f}", 100),
    "seconds_per_1000_steps": ("s per 1000 steps", "{:.0f}", 1),
}
RIVALS = {"cosine": "warm-up + cosine", "schedule-free": "Schedule-Free AdamW", "prodigy": "Prodigy, cosine"}
#: Dark and light, so that they differ without colors too.
OURS, THEIRS = "#14508c", "#e8903c"


def mean(records, key):
    """The mean over the seeds; infinite where a run has not ended in a number."""
    values = [one[key] for one in records]
    return math.inf if any(value is None or not math.isfinite(value) for value in values) else statistics.fmean(values)


def by_rate(records, way, controller=None):
    """The runs of a way: a dict from learning rate to its seeds."""
    found: dict = {}
    for one in sorted(records, key=lambda one: (one["lr"], one["seed"])):
        if (one["way"], one["controller"]) == (way, controller):
            found.setdefault(one["lr"], []).append(one)
    return found


def best_rate(runs):
    """The tuned rate: the one with the lowest training loss of those that have as many seeds as the best of the first."""
    of_first = min(runs, key=lambda lr: mean(runs[lr][:1], "train_loss"))
    return min((lr for lr in runs if len(runs[lr]) == len(runs[of_first])), key=lambda lr: mean(runs[lr], "train_loss"))


def controllers(records):
    return sorted({one["controller"] for one in records if one["way"] == "qgd"})


def label(controller):
    return f"qgd `{pathlib.Path(controller).stem}`"


def row(what, records):
    cells = [form.format(factor * mean(records, key)) for key, (_, form, factor) in COLUMNS.items()]
    return f"| {what} | " + " | ".join([*cells, str(len(records))]) + " |"


def of_starts(name, runs):
    """Rows of every start, and the start in the middle and the worst one again."""
    runs = {lr: runs[lr] for lr in STARTS if lr in runs}
    rows = [row(f"{name}, from {lr:g}", records) for lr, records in runs.items()]
    ranked = sorted(runs, key=lambda lr: mean(runs[lr], "train_loss"))
    if len(ranked) == len(STARTS):
        rows += [row(f"{name}, {what} start", runs[lr]) for what, lr in (("median", ranked[1]), ("worst", ranked[2]))]
    return rows


def table(records):
    """A table in Markdown: means over the seeds."""
    heads = [head for head, _, _ in COLUMNS.values()]
    lines = ["| | " + " | ".join([*heads, "seeds"]) + " |", "|---" * (len(heads) + 2) + "|"]
    for controller in controllers(records):
        lines += of_starts(label(controller), by_rate(records, "qgd", controller))
    for way, name in RIVALS.items():
        runs = by_rate(records, way)
        if runs:
            lr = best_rate(runs)
            lines.append(row(f"{name}, tuned: {lr:g}" if way != "prodigy" else name, runs[lr]))
    return "\n".join([*lines, *of_starts("warm-up + cosine, guessed", by_rate(records, "cosine"))])


def curves(records):
    """What is drawn, of the first seed: (label, color, dashes, record)."""
    drawn = []
    for controller in controllers(records):
        runs = by_rate(records, "qgd", controller)
        dashes, stem = [(), (5, 1.5), (1.5, 1.5)], pathlib.Path(controller).stem
        drawn += [(f"qgd {stem} from {lr:g}", OURS, dash, runs[lr][0]) for lr, dash in zip(STARTS, dashes) if lr in runs]
    for (way, name), dash in zip(RIVALS.items(), [(), (5, 1.5), (1.5, 1.5)]):
        runs = by_rate(records, way)
        if runs:
            lr = best_rate(runs)
            drawn.append((name if way == "prodigy" else f"{name} {lr:g}", THEIRS, dash, runs[lr][0]))
    return drawn


def smooth(losses, share=0.1):
    """An average over a window that grows with the steps: curves of noisy batches that can be told apart."""
    out: list = []
    for i, loss in enumerate(losses):
        # A loss that is no number is a gap in its curve.
        before = out[-1] if out and math.isfinite(out[-1]) else loss
        out.append(math.nan if loss is None else before + (loss - before) / max(1.0, share * (i + 1)))
    return out


def draw(records, path):
    """Loss and learning rate over the steps, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    # Text stays text, and the same runs make the same file.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "qgd", "font.size": 9, "axes.grid": True, "grid.alpha": 0.25})
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 6.4), height_ratios=(3, 2), layout="constrained")
    for name, color, dashes, one in curves(records):
        style = {"color": color, "dashes": dashes, "linewidth": 1.4}
        above.plot(one["steps"], smooth(one["losses"]), label=name, **style)
        below.plot(one["steps"], one["rates"], **style)
    ends = [mean([one], "last_losses") for _, _, _, one in curves(records)]
    if ends and math.isfinite(min(ends)):
        above.set_ylim(min(ends) - 0.05, min(ends) + 1.2)
    above.set_ylabel("training loss, nats per character")
    above.legend(fontsize=8, frameon=False)
    below.set(yscale="log", xlabel="step", ylabel="learning rate", ylim=(1e-6, None))
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
