"""Nets of task files in PyTorch: the same parameters as those of `qgd train`, and the same outputs from the same weights.

    python bench/task_nets.py QGD DATA        # the program `qgd`, and the folder of the data sets: compares both

`net_of` builds the net of a task file to be trained in PyTorch, `with_weights` the one that `qgd train --save` wrote. The
modules are those that tests/torch_parity.rs compares with ours, loss by loss.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import numpy as np
import torch
from safetensors import safe_open

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "fixtures"))

from make_torch_fixtures import Net  # noqa: E402

DEFAULTS = dict(hidden=[], activation="relu", embedding=32, layers=2, heads=4, blocks=2, head="each")
N_ROWS = 200


def task_of(name):
    return tomllib.loads((ROOT / "examples" / "tasks" / f"{name}.toml").read_text())


def net_of(task, n_outputs, shape=None, n_tokens=0, length=0):
    """The net of a task, with initial values from PyTorch's generator. `shape` is that of a picture or a row, `length` that
    of a text of `n_tokens` different words or characters."""
    padded = task["data"]["format"] == "tsv"
    case = dict(net=DEFAULTS | task["net"], n_outputs=n_outputs, n_tokens=n_tokens, length=length, padded=padded)
    return Net(case if shape is None else case | dict(shape=shape))


def with_weights(task, file):
    """The net of a task with the weights of a file that `qgd train --save` wrote, and what the data were prepared with."""
    with safe_open(file, "pt") as saved:
        fitted = json.loads(saved.metadata()["qgd"])["fitted"]
        weights = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
    of_texts = fitted["n_tokens"] > 0
    size = dict(n_tokens=fitted["n_tokens"], length=fitted["shape"][0]) if of_texts else dict(shape=fitted["shape"])
    net = net_of(task, fitted["n_outputs"], **size)
    # PyTorch also counts batches, which changes nothing.
    weights |= {name: count for name, count in net.state_dict().items() if name.endswith("num_batches_tracked")}
    net.load_state_dict(weights)
    return net.eval(), fitted


def pictures(path, fitted, rows):
    """The first pictures of CIFAR as inputs, and a file that holds them."""
    raw = gzip.decompress((path / "data_batch_1.bin.gz").read_bytes())[: N_ROWS * 3073]
    rows.write_bytes(raw)
    values = np.frombuffer(raw, np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 1024) / 255.0
    scales = fitted["preparation"]["inputs"]["Pictures"]["channels"]
    mean, deviation = (np.array([scale[key] for scale in scales])[:, None] for key in ("mean", "deviation"))
    return torch.tensor((values - mean) / deviation, dtype=torch.float32).reshape(-1, 3, 32, 32)


def reviews(path, fitted, rows):
    """The first texts as word numbers, and a file that holds them. Words of English: letters and apostrophes."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [next(file) for _ in range(N_ROWS)]
    # Some are short, so that there is padding.
    texts = [line.rsplit("\t", 1)[1].strip()[: 40 if i % 3 == 0 else None] for i, line in enumerate(lines)]
    rows.write_text("\n".join(texts) + "\n", encoding="utf-8")
    prepared = fitted["preparation"]["inputs"]["Words"]
    number = {word: i + 2 for i, word in enumerate(prepared["words"])}
    ids = torch.zeros(len(texts), prepared["length"], dtype=torch.int64)
    for row, text in zip(ids, texts):
        plain = text.lower().replace("\u2019", "'")
        found = "".join(c if c.isalpha() or c == "'" else " " for c in plain).split()[: len(row)]
        row[: len(found)] = torch.tensor([number.get(word, 1) for word in found])
    return ids


def largest_difference(program, folder, name, inputs_of):
    """Largest difference of a probability that `qgd predict` and PyTorch give to a class, over 200 rows."""
    task = task_of(name)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        net, rows, out = scratch / "net.safetensors", scratch / "rows", scratch / "out.json"
        train = [program, "train", name, "--steps", "60", "--save", net, "--data-dir", folder]
        subprocess.run(train, check=True, capture_output=True, cwd=scratch)
        module, fitted = with_weights(task, net)
        inputs = inputs_of(folder / task["data"]["path"], fitted, rows)
        predict = [program, "predict", name, "--net", net, "--input", rows, "--probabilities", "--json", out]
        subprocess.run(predict, check=True, capture_output=True, cwd=scratch)
        ours = torch.tensor(json.loads(out.read_text())["probabilities"])
    with torch.no_grad():
        return (module(inputs).softmax(-1) - ours).abs().max().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    program, folder = arguments.program.resolve(), arguments.data.resolve()
    tasks = {"imdb-transformer": reviews, "imdb-gru": reviews, "cifar-resnet": pictures, "cifar-cnn": pictures}
    for name, inputs_of in tasks.items():
        difference = largest_difference(program, folder, name, inputs_of)
        print(f"{name:18} {difference:.1e}", flush=True)
        assert difference < 1e-4, name


if __name__ == "__main__":
    main()
