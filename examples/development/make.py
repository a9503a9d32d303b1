#!/usr/bin/env python3
"""Makes the data of the development set: `python3 make.py SOURCE TARGET`, then `qgd evaluate NAME --suite examples/development/suite.toml --data-dir TARGET`.

SOURCE holds `sklearn_builtin/` (the tables that scikit-learn ships: breast_cancer.csv, wine_data.csv, iris.csv, diabetes_data_raw.csv.gz,
diabetes_target.csv.gz) and `adult/adult.data` (UCI repository), or in its place `meta/adult.csv.gz`, the same in numbers. All else is drawn
here. Only the standard library is needed, and the same bytes come out each time.
"""

import bisect
import csv
import gzip
import itertools
import math
import random
import struct
import sys
from pathlib import Path

SOURCE_CHARACTERS, GRAMMAR_CHARACTERS = 1_200_000, 1_600_000
N_WAVES, N_FRIEDMAN = 40_000, 24_000
N_PICTURES, N_MORE_PICTURES, SIDE = 6000, 20_000, 20
# Columns of adult.data whose cells are names.
NAMED = [1, 3, 5, 6, 7, 8, 9, 13]
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


def adult(source, target):
    """32561 adults of the census of 1994 (Kohavi 1996) in numbers: a column of 0 and 1 for each name, in the order of the names."""
    in_words, in_numbers = source / "adult" / "adult.data", source / "meta" / "adult.csv.gz"
    if not in_words.exists():
        (target / "adult.csv").write_bytes(gzip.decompress(in_numbers.read_bytes()))
        return
    with open(in_words) as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if len(row) == 15]
    names = {column: sorted({row[column] for row in rows}) for column in NAMED}

    def wide(cell, column):
        return [int(cell == name) for name in names[column]] if column in NAMED else [cell]

    head = []
    for column in range(14):
        head += [f"x{column}_{i}" for i in range(len(names[column]))] if column in NAMED else [f"x{column}"]
    with open(target / "adult.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head + ["y"])
        for row in rows:
            writer.writerow([v for column in range(14) for v in wide(row[column], column)] + [int(row[14].startswith(">"))])


def waves(target):
    """Three classes, each a mix of two of three triangles at 21 places, with noise (Breiman et al. 1984): the best guess is wrong in 14 %."""
    rng = random.Random(1)
    triangles = [[max(6 - abs(x - peak), 0) for x in range(1, 22)] for peak in (11, 15, 7)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    with open(target / "waveform.csv", "w", newline="") as file:
        for _ in range(N_WAVES):
            kind, u = int(3 * rng.random()), rng.random()
            one, other = (triangles[i] for i in pairs[kind])
            cells = [f"{u * a + (1 - u) * b + rng.gauss(0, 1):.2f}" for a, b in zip(one, other)]
            file.write(",".join(cells) + f",{kind}\n")


def friedman(target):
    """y = 10 sin(pi a b) + 20 (c - 1/2)^2 + 10 d + 5 e + noise, of ten inputs (Friedman 1991): the noise has a variance of 1."""
    rng = random.Random(2)
    with open(target / "friedman.csv", "w", newline="") as file:
        for _ in range(N_FRIEDMAN):
            x = [rng.random() for _ in range(10)]
            y = 10 * math.sin(math.pi * x[0] * x[1]) + 20 * (x[2] - 0.5) ** 2 + 10 * x[3] + 5 * x[4] + rng.gauss(0, 1)
            file.write(",".join(f"{v:.4f}" for v in [*x, y]) + "\n")


def shuffled(items, rng):
    return sorted(items, key=lambda _: rng.random())


def zipf(n, power):
    """Sums of 1, 2^-power, 3^-power, ..., up to 1."""
    weights = [(i + 1) ** -power for i in range(n)]
    return [w / sum(weights) for w in itertools.accumulate(weights)]


def markov_source(target):
    """Letters of a source that changes between four moods: in each, the next letter depends on the last one and on the class of the one before.

    The entropy of the source, its mood known, is 2.83 bits (1.96 nats) a letter: no net gets below that.
    """
    rng = random.Random(3)
    letters = "abcdefghijklmnopqrst"
    sums = zipf(len(letters), 1.5)
    order = {key: shuffled(range(20), rng) for key in itertools.product(range(4), range(20), range(2))}
    mood, before, last, text = 0, 0, 0, []
    for _ in range(SOURCE_CHARACTERS):
        if rng.random() < 0.01:
            mood = int(4 * rng.random())
        before, last = last, order[mood, last, before % 2][min(bisect.bisect(sums, rng.random()), 19)]
        text.append(letters[last])
    (target / "source.txt").write_text("".join(text))


def grammar(target):
    """Sentences of a random vocabulary, with clauses inside clauses, verbs that agree with their nouns, and brackets that close."""
    rng = random.Random(4)
    syllables = [c + v for c in "bdfgklmnprst" for v in "aeiou"]

    def words(n, ending):
        found = {}
        while len(found) < n:
            found["".join(syllables[int(60 * rng.random())] for _ in range(1 + int(3 * rng.random()))) + ending] = None
        return list(found), zipf(n, 1.0)

    nouns, verbs, adjectives, names = words(300, "n"), words(150, "t"), words(120, "l"), words(80, "")

    def word(kind):
        return kind[0][min(bisect.bisect(kind[1], rng.random()), len(kind[0]) - 1)]

    def noun_phrase(depth):
        if rng.random() < 0.2:
            return word(names).capitalize(), False
        plural = rng.random() < 0.4
        noun = " ".join([word(adjectives) for _ in range(int(1.6 * rng.random()))] + [word(nouns) + ("us" if plural else "")])
        if depth < 2 and rng.random() < 0.25:
            noun += " qi " + verb_phrase(plural, depth + 1)
        return ("za " if plural else "ze ") + noun, plural

    def verb_phrase(plural, depth):
        verb = word(verbs) + ("om" if plural else "a")
        return verb if rng.random() < 0.3 else f"{verb} {noun_phrase(depth + 1)[0]}"

    def sentence(depth):
        subject, plural = noun_phrase(depth)
        text = f"{subject} {verb_phrase(plural, depth)}"
        if depth < 2 and rng.random() < 0.2:
            text += f" ({sentence(depth + 1)})"
        return text if rng.random() < 0.75 or depth > 1 else f"{text}, ju {sentence(depth + 1)}"

    text, n = [], 0
    while n < GRAMMAR_CHARACTERS:
        text.append(sentence(0) + (".\n" if rng.random() < 0.3 else ". "))
        n += len(text[-1])
    (target / "grammar.txt").write_text("".join(text))


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


def pictures(folder, n, seed):
    rng = random.Random(seed)
    digits = [rng.randrange(10) for _ in range(n)]
    shown = b"".join(picture(digit, rng) for digit in digits)
    # IDX, the layout of MNIST.
    files = {
        "images": struct.pack(">IIII", 0x803, n, SIDE, SIDE) + shown,
        "labels": struct.pack(">II", 0x801, n) + bytes(digits),
    }
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    tables(source, target)
    adult(source, target)
    waves(target)
    friedman(target)
    markov_source(target)
    grammar(target)
    pictures(target / "strokes", N_PICTURES, 0)
    pictures(target / "strokes-more", N_MORE_PICTURES, 5)


if __name__ == "__main__":
    main()
