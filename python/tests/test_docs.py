"""All code of the docs runs: every block of Python in docs/pytorch.md and both READMEs, as it stands there."""

import importlib.util
import re
from pathlib import Path

import pytest
from conftest import forget_accelerator, in_two_processes, need

torch = need("torch")

HERE = Path(__file__).resolve().parent
PAGES = [HERE.parents[1] / "README.md", HERE.parent / "README.md", HERE.parents[1] / "docs" / "pytorch.md"]
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
        if not page.exists():
            continue
        text = page.read_text()
        for match in re.finditer(rf"({PROCESSES}\n)?^```python\n(.*?)^```$", text, re.M | re.S):
            line = text[: match.start(2)].count("\n")
            yield pytest.param(page, line, match[2], match[1] is not None, id=f"{page.name}:{line}")


def test_there_are_blocks():
    assert [page for page in PAGES if page.exists()] == PAGES
    assert len(list(blocks())) >= 15


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
