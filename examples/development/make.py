#!/usr/bin/env python3
"""Makes the data of the development set: `python3 make.py SOURCE TARGET`, then `qgd evaluate NAME --suite examples/development/suite.toml --data-dir TARGET`.

SOURCE holds `sklearn_builtin/` (the tables that scikit-learn ships: breast_cancer.csv, wine_data.csv, iris.csv, diabetes_data_raw.csv.gz,
diabetes_target.csv.gz) and `imdb/train.tsv.gz` (Maas et al. 2011). Only the standard library is needed, and the same bytes come out each time.
"""

import csv
import gzip
import math
import random
import struct
import sys
from pathlib import Path

REVIEW_CHARACTERS = 1_000_000
N_PICTURES, SIDE = 6000, 20
# Corners of the seven strokes of a pocket calculator's digits, and which of them each digit has.
STROKES = [((0, 0), (1, 0)), ((1, 0), (1, 1)), ((1, 1), (1, 2)), ((0, 2), (1, 2)), ((0, 1), (0, 2)), ((0, 0), (0, 1)), ((0, 1), (1, 1))]
DIGITS = ["012345", "12", "01346", "01236", "1256", "02356", "023456", "012", "0123456", "012356"]


def table(path, delimiter=",", skip=0):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:
        return [[float(v) for v in row if v] for row in list(csv.reader(file, delimiter=delimiter))[skip:]]


def in_parts(values, n):
    """Which n-th of the sorted values each one is in."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks = {i: rank for rank, i in enumerate(order)}
    return [ranks[i] * n // len(values) for i in range(len(values))]


def tables(source, target):
    folder = source / "sklearn_builtin"
    cancer, wine, iris = (table(folder / name, skip=1) for name in ["breast_cancer.csv", "wine_data.csv", "iris.csv"])
    diabetes = [
        x + y for x, y in zip(table(folder / "diabetes_data_raw.csv.gz", " "), table(folder / "diabetes_target.csv.gz"))
    ]

    def moved(rows, column):
        return [row[:column] + row[column + 1 :] + [row[column]] for row in rows]

    sixths = in_parts([row[-1] for row in diabetes], 6)
    eighths = in_parts([row[12] for row in wine], 8)
    write = {
        "cancer": [row[:-1] + [int(row[-1])] for row in cancer],
        "cancer-smoothness": moved([row[:-1] for row in cancer], 24),
        "diabetes": diabetes,
        "diabetes-sixths": [row[:-1] + [part] for row, part in zip(diabetes, sixths)],
        "wine-alcohol": moved([row[:-1] for row in wine], 0),
        "wine-eighths": [row[:12] + [part] for row, part in zip(wine, eighths)],
        "iris-petal": moved([row[:-1] for row in iris], 2),
        "cancer-texture": moved([row[:-1] for row in cancer], 1),
    }
    for name, rows in write.items():
        with open(target / f"{name}.csv", "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def reviews(source, target):
    """The first characters of film reviews, in small letters, for a net that sees nothing twice."""
    kept, n = [], 0
    with gzip.open(source / "imdb" / "train.tsv.gz", "rt", encoding="utf-8") as file:
        for line in file:
            text = line.rstrip("\n").split("\t")[-1].lower()
            kept.append("".join(c for c in text if 32 <= ord(c) < 127) + "\n")
            n += len(kept[-1])
            if n >= REVIEW_CHARACTERS:
                break
    (target / "reviews.txt").write_text("".join(kept))


def picture(digit, rng):
    """A digit of strokes, turned, stretched, shifted and with noise, as rows of bytes."""
    angle, shear = rng.gauss(0, 0.2), rng.gauss(0, 0.2)
    width, height = rng.uniform(5, 9), rng.uniform(4.5, 7.5)
    pen, noise = rng.uniform(0.8, 1.6), rng.uniform(0, 40)
    cos, sin, dx, dy = math.cos(angle), math.sin(angle), rng.gauss(0, 1.2), rng.gauss(0, 1.2)

    def place(point):
        y = (point[1] - 1) * height
        x = (point[0] - 0.5) * width + shear * y
        return SIDE / 2 + cos * x - sin * y + dx + rng.gauss(0, 0.4), SIDE / 2 + sin * x + cos * y + dy + rng.gauss(0, 0.4)

    strokes = [tuple(place(point) for point in STROKES[int(s)]) for s in DIGITS[digit]]
    pixels = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            nearest = 9.0
            for (ax, ay), (bx, by) in strokes:
                ux, uy = bx - ax, by - ay
                along = max(0.0, min(1.0, ((x - ax) * ux + (y - ay) * uy) / (ux * ux + uy * uy + 1e-9)))
                nearest = min(nearest, math.hypot(x - ax - along * ux, y - ay - along * uy))
            ink = 255 * max(0.0, min(1.0, pen + 0.5 - nearest)) + rng.gauss(0, noise)
            pixels.append(int(max(0, min(255, ink))))
    return bytes(pixels)


def pictures(target):
    rng = random.Random(0)
    digits = [rng.randrange(10) for _ in range(N_PICTURES)]
    shown = b"".join(picture(digit, rng) for digit in digits)
    # IDX, the layout of MNIST.
    files = {
        "images": struct.pack(">IIII", 0x803, N_PICTURES, SIDE, SIDE) + shown,
        "labels": struct.pack(">II", 0x801, N_PICTURES) + bytes(digits),
    }
    (target / "strokes").mkdir(exist_ok=True)
    for name, content in files.items():
        (target / "strokes" / name).write_bytes(content)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    tables(source, target)
    reviews(source, target)
    pictures(target)


if __name__ == "__main__":
    main()
