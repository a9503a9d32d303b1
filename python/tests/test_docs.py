"""All code of the docs runs: every block of Python in the pages of docs/ and in both READMEs, as it stands there. And every
name of the package that their text has exists.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import forget_accelerator, in_two_processes, need

import qgd

torch = need("torch")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = [ROOT / "README.md", HERE.parent / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROCESSES = "<!-- 2 processes -->"

#: What the docs call "yours".
YOURS = """
import torch
import qgd

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.BatchNorm1d(16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
x = torch.randn(128, 4)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True).sin()), batch_size=16)
loss_fn = torch.nn.MSELoss()
"""

TWO_PROCESSES = """
import torch.distributed as dist

dist.init_process_group("gloo")
"""

AFTER = """
gathered = [None, None]
dist.all_gather_object(gathered, (opt.lr, opt.counts, opt.steps))
assert gathered[0] == gathered[1] and opt.steps == len(loader), gathered
dist.destroy_process_group()
"""


def blocks():
    """The blocks of Python: their page, the line that they start at, their code, and whether they need processes."""
    for page in PAGES:
        text = page.read_text() if page.exists() else ""
        for match in re.finditer(rf"({PROCESSES}\n)?^```python\n(.*?)^```$", text, re.M | re.S):
            line = text[: match.start(2)].count("\n")
            yield pytest.param(page, line, match[2], match[1] is not None, id=f"{page.name}:{line}")


def test_there_are_blocks():
    assert [page for page in PAGES if page.exists()] == PAGES
    assert {"pytorch.md", "first-steps-python.md", "controllers.md", "TUNING.md"} <= {page.name for page in PAGES}
    assert len(list(blocks())) >= 30


#: What a text calls the objects of the examples, and a pattern of an attribute that ends where a call begins.
OBJECTS = ("opt", "session", "driver", "study", "trial")
NAMED = re.compile(rf"`((?:qgd|{'|'.join(OBJECTS)})(?:\.[A-Za-z_]\w*)+)")
#: Not of ours: a file, and what Optuna's trials have.
OTHERS = {"qgd.db", "trial.suggest_float"}


def named():
    """What the texts name, and where."""
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text() if page.exists() else "", flags=re.M | re.S)
        yield from ((page.name, name) for name in NAMED.findall(prose) if name not in OTHERS)


def test_every_name_in_a_text_exists():
    session = qgd.Session("lr", 1e-3)
    session.step(1.0, *np.ones((2, 1), dtype=np.float32))
    study = qgd.Study({"x": {"type": "int", "low": 1, "high": 2}})
    objects = {
        "qgd": qgd,
        "opt": qgd.QController(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)),
        "session": session,
        "driver": qgd.Driver("lr", 1e-3),
        "study": study,
        "trial": study.ask(),
    }
    found = sorted(set(named()))
    assert len(found) > 30, found
    missing = set()
    for page, name in found:
        first, *rest = name.split(".")
        library = {"hf": "transformers", "lightning": "lightning", "optuna": "optuna"}.get(rest[0])
        if library and importlib.util.find_spec(library) is None:
            missing.add(library)
            continue
        value = objects[first]
        for part in rest:
            assert hasattr(value, part), f"{page} names {name}, and there is no {part}"
            value = getattr(value, part)
    for library in sorted(missing):
        need(library)


@pytest.mark.filterwarnings("ignore:.*num_workers.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*log_every_n_steps.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*tensorboardX.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")
@pytest.mark.parametrize("page, line, code, needs_processes", list(blocks()))
def test_a_block_runs(page, line, code, needs_processes, tmp_path, monkeypatch):
    for library in ("transformers", "lightning", "accelerate", "optuna"):
        if f"import {library}" in code and importlib.util.find_spec(library) is None:
            need(library)
    if "accelerate" in code or "transformers" in code:
        forget_accelerator()
    monkeypatch.chdir(tmp_path)
    if needs_processes:
        in_two_processes(YOURS + TWO_PROCESSES + code + AFTER, tmp_path)
        return
    namespace = {"__name__": "docs"}
    exec(YOURS, namespace)
    exec(compile("\n" * line + code, str(page), "exec"), namespace)
