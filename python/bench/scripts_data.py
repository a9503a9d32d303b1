"""Data of the real scripts, read from one folder in their publishers' layouts."""

import csv
import gzip
from pathlib import Path

import numpy as np
import torch


def characters(folder, length, n_test=20):
    """tinyshakespeare as rows of `length` characters: (training rows, test rows, number of distinct characters)."""
    text = (Path(folder) / "tinyshakespeare" / "input.txt").read_text()
    code = {one: i for i, one in enumerate(sorted(set(text)))}
    tokens = torch.tensor([code[one] for one in text])
    rows = tokens[: len(tokens) // length * length].reshape(-1, length)
    n = len(rows) * 9 // 10
    return rows[:n], rows[n:][:: len(rows[n:]) // (16 * n_test)], len(code)


def mnist(folder, n_train):
    """MNIST, `[n, 784]` in [0, 1], and its labels: training set (the first `n_train`) and test set."""
    folder = Path(folder) / "mnist"

    def images(name):
        raw = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
        pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)
        return torch.from_numpy(pixels.astype(np.float32) / 255.0)

    def labels(name):
        raw = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
        return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=8).astype(np.int64))

    return images("train")[:n_train], labels("train")[:n_train], images("t10k"), labels("t10k")


def digits(folder):
    """The 1,797 digits of 8 x 8 that scikit-learn ships, `[n, 64]` in [0, 1]: every fifth one is for the test."""
    with gzip.open(Path(folder) / "sklearn_builtin" / "digits.csv.gz", "rt") as file:
        rows = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.float32))
    x, y = rows[:, :-1] / 16.0, rows[:, -1].long()
    is_test = torch.arange(len(x)) % 5 == 0
    return x[~is_test], y[~is_test], x[is_test], y[is_test]


def letters(folder):
    """Letter Recognition, `[n, 16]` standardized: the customary first 16,000 for the training, 4,000 for the test."""
    with open(Path(folder) / "letter_recognition" / "letter-recognition.data") as file:
        rows = list(csv.reader(file))
    x = torch.tensor([[float(value) for value in row[1:]] for row in rows])
    y = torch.tensor([ord(row[0]) - ord("A") for row in rows])
    x = (x - x[:16000].mean(0)) / x[:16000].std(0)
    return x[:16000], y[:16000], x[16000:], y[16000:]
