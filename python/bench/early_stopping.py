"""Early stopping under a controller, which finds its best nets when it cools down: letter recognition, 6,000 rows.

    python bench/early_stopping.py DATA

DATA holds letter_recognition/letter-recognition.data of UCI. The script is one as people write it for tables: AdamW, batch
norm, dropout, clipped gradients, the best net by its validation loss kept, an end after six epochs without a better one
(or then a cooldown over a fifth of the run).
Seeds 0 to 2; each row says what the kept nets reach.
"""

import argparse
import contextlib
import copy
import statistics
from pathlib import Path

import torch
from torch import nn

import qgd

EPOCHS, PATIENCE, BATCH = 60, 6, 128


def table(folder):
    rows = [line.split(",") for line in Path(folder, "letter_recognition", "letter-recognition.data").read_text().split()]
    x = torch.tensor([[float(value) for value in row[1:]] for row in rows[:10_000]])
    y = torch.tensor([ord(row[0]) - ord("A") for row in rows[:10_000]])
    x = (x - x[:6000].mean(0)) / x[:6000].std(0)
    return [(x[part], y[part]) for part in (slice(6000), slice(6000, 8000), slice(8000, 10_000))]


def net():
    hidden = [nn.Linear(16, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*hidden, nn.Linear(128, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 26))


def run(parts, lr, seed, *, controlled, plateau, epochs=EPOCHS, cools=False, **options):
    """Validation loss and test accuracy of the net that was kept, and the number of epochs that it took."""
    torch.manual_seed(seed)
    (x, y), (x_valid, y_valid), (x_test, y_test) = parts
    model, loss_fn = net(), nn.CrossEntropyLoss()
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-4)
    if controlled:
        opt = qgd.QController(opt, "lr", model=model, **options)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=2) if plateau else None
    best, kept, n_bad = float("inf"), None, 0
    for epoch in range(epochs):
        model.train()
        for batch in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
            opt.zero_grad()
            loss = loss_fn(model(x[batch]), y[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step(loss=loss) if controlled else opt.step()
        model.eval()
        with torch.no_grad(), opt.averaged() if controlled else contextlib.nullcontext():
            now, weights = loss_fn(model(x_valid), y_valid).item(), copy.deepcopy(model.state_dict())
        if scheduler is not None:
            scheduler.step(now)
        n_bad = 0 if now < best else n_bad + 1
        if now < best:
            best, kept = now, weights
        if cools and opt.total_steps is not None:
            if opt.steps == opt.total_steps:
                break
        elif cools and n_bad == PATIENCE:
            opt.cool_down((epoch + 4) // 4 * (len(x) // BATCH))
        elif n_bad == PATIENCE:
            break
    model.load_state_dict(kept)
    with torch.no_grad():
        right = (model(x_test).argmax(1) == y_test).float().mean().item()
    return best, 100 * right, epoch + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    torch.set_num_threads(1)
    parts = table(parser.parse_args().data)
    batches = len(parts[0][0]) // BATCH
    ways = {
        "own, plateau": {"controlled": False, "plateau": True},
        "qgd, plateau kept": {"controlled": True, "plateau": True},
        "qgd, 20 epochs, total_steps": {
            "controlled": True, "plateau": False, "epochs": 20, "total_steps": 20 * batches,
        },
        "qgd, 60 epochs, total_steps": {"controlled": True, "plateau": False, "total_steps": EPOCHS * batches},
        "qgd, no total_steps": {"controlled": True, "plateau": False},
        "qgd, average": {"controlled": True, "plateau": False, "average": 0.1},
        "qgd, then cool_down": {"controlled": True, "plateau": False, "cools": True},
    }
    print("| way | start | validation loss | test accuracy, % | epochs |\n|---|---|---|---|---|")
    for name, way in ways.items():
        for lr in (1e-5, 1e-3, 1e-2, 1e-1):
            losses, rights, epochs = zip(*(run(parts, lr, seed, **way) for seed in range(3)))
            spread = f"{statistics.mean(losses):.3f} ± {statistics.stdev(losses):.3f}"
            row = [name, f"{lr:g}", spread, f"{statistics.mean(rights):.1f}", f"{min(epochs)} to {max(epochs)}"]
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
