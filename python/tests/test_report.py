"""Pages of `qgd report` in a real browser: they draw, they complain of nothing, they load nothing, and keys reach all."""

import base64
import json
import math
import re
import shutil

import numpy as np
import pytest
from browser import PATH, Browser
from conftest import REQUIRED, run_program

from qgd._core import q_values

assert PATH or "chromium" not in REQUIRED, "QGD_REQUIRE asks for chromium, but there is none"
pytestmark = [
    pytest.mark.usefixtures("installed_program"),
    pytest.mark.skipif(PATH is None, reason="there is no chromium"),
]

HOSTILE = "</script><script>document.title = 'hacked'; alert(1)</script><img src=x onerror=alert(1)>\"'&<!--"

SPACE = """
[params.x]
type = "float"
low = 1e-4
high = 1.0
log = true
[params.layers]
type = "int"
low = 1
high = 3
[params.kind]
type = "categorical"
choices = ["plain", HOSTILE]
when = { layers = [2, 3] }
""".replace("HOSTILE", json.dumps(HOSTILE))

OBJECTIVE = """
import math, os
n, x = int(os.environ["QGD_TRIAL"]), float(os.environ["QGD_PARAM_X"])
if n % 5 == 4:
    raise SystemExit(3)
value = (math.log10(x) + 2) ** 2 + 0.1 * int(os.environ["QGD_PARAM_LAYERS"])
for step in range(1, 6):
    print('{"step": %d, "value": %r}' % (step, value + 1 / step))
print('{"value": %r}' % value)
"""


def decision(step, loss, lr, action, reason="policy"):
    moves = None if action is None else {"lr": action, "weight_decay": "accept"}
    return {"step": step, "loss": loss, "lr": lr, "weight_decay": 1e-4, "action": moves, "reason": reason}


def trace():
    """A run that wrecks itself at first, and then learns."""
    lines = [decision(0, 2.3, 1.0, "grow"), decision(1, None, 1.0, None, "non-finite")]
    lines += [decision(2, 99.0, 0.5, "halve", "loss-exploded"), decision(3, 2.3, 0.01, "accept", "first-step-too-far")]
    for step in range(4, 120):
        lr = 0.01 * 1.25 ** (step // 20)
        lines.append(decision(step, 2.3 * math.exp(-step / 30), lr, "grow" if step % 20 == 0 else "accept"))
    return "".join(json.dumps(line) + "\n" for line in lines)


def evaluation():
    """Two problems of an evaluation; a rival diverges from the highest start."""
    starts = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]

    def method(name, losses):
        cells = [[{"train_loss": loss}, {"train_loss": loss and loss * 1.2}] for loss in losses]
        rows = [{"lr": lr, "train_loss": 1e3 if loss is None else loss, "cells": cell} for lr, loss, cell in zip(starts, losses, cells)]
        return {"name": name, "starts": rows}

    def problem(task):
        methods = [method("lr", [0.1, 0.1, 0.12, 0.11, 0.13]), method("cosine", [2.0, 0.9, 0.1, 0.3, None])]
        methods.append(method(HOSTILE, [1.0, 0.5, 0.4, 0.3, 0.2]))
        runs = {"task": task, "optimizer": "adam", "conditioning": "none", "horizon": 1, "steps": 400, "exposures": 18.0}
        runs |= {"regime": "between", "first_loss": 2.3, "seeds": [0, 1], "methods": methods}
        cosine = {"name": "cosine", "best": 0.1, "best_start": 0.01, "ratio": 1.1, "outcome": "tie"}
        verdict = {"best": 0.1, "median": 0.11, "worst": 0.13, "worst_ratio": 1.1, "tuned_ratio": 1.1, "rivals_ratio": 1.1}
        return {"runs": runs, "verdict": verdict | {"best_rival": "cosine", "rivals": [cosine]}}

    group = {"name": "between, adam", "n_problems": 2, "tuned_ratio": 1.1, "largest_tuned_ratio": 1.1, "rivals_ratio": 1.1}
    group |= {"worst_ratio": 1.1, "largest_worst_ratio": 1.2, "accuracy_deficit": -0.2}
    rival = {"name": "cosine", "n_problems": 2, "ratio": 1.1, "untuned_ratio": 0.2, "wins": 0, "ties": 2, "losses": 0}
    about = {"name": "lr", "recipe_hash": "abc", "meta_training_seed": 0}
    return {
        "controller": about, "suite": "small", "groups": [group], "regimes": [group], "rivals": [rival],
        "accuracy_deficit": {"n_pairs": 4, "mean": -0.2, "interval": [-0.5, 0.1]},
        "problems": [problem("digits"), problem("letter")],
    }


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of each kind, and one with all of them."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "low.jsonl").write_text(trace())
    (folder / "high.jsonl").write_text(trace().replace('"lr": 1.0', '"lr": 10.0'))
    (folder / "e.json").write_text(json.dumps(evaluation()))
    (folder / "space.toml").write_text(SPACE)
    (folder / "objective.py").write_text(OBJECTIVE)
    python = shutil.which("python3")
    tune = ["tune", "space.toml", "--trials", "24", "--pruner", "median", "--study", "a study", "--", python, "objective.py"]
    kinds = {"runs": ["low.jsonl", "high.jsonl"], "study": ["a study"], "controller": ["joint"], "line search": ["hu-lr"]}
    kinds["evaluation"] = ["e.json"]
    kinds["all"] = [given for kind in kinds.values() for given in kind]
    for arguments in [tune, *(["report", *given, "-o", f"{kind}.html"] for kind, given in kinds.items())]:
        made = run_program(*arguments, cwd=folder)
        assert made.returncode == 0, made.stderr
    return {kind: folder / f"{kind}.html" for kind in kinds}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if PATH is None:
        pytest.skip("there is no chromium")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


#: Charts of each page, at least, and outlines drawn in them.
SIZES = {"runs": (1, 30), "study": (7, 150), "controller": (3, 25), "line search": (2, 10), "evaluation": (2, 40), "all": (15, 250)}


@pytest.mark.parametrize("kind", SIZES)
def test_a_page_draws_all_its_charts_complains_of_nothing_and_loads_nothing(browser, pages, kind):
    browser.open(pages[kind])
    assert browser.complaints == []
    assert browser.requests == [pages[kind].resolve().as_uri()]
    assert browser.value("document.documentElement.dataset.drawn") == "yes"
    assert browser.value("document.getElementById('error')?.textContent ?? ''") == ""
    assert "hacked" not in browser.value("document.title")
    n_charts, n_paths = SIZES[kind]
    assert browser.value("document.querySelectorAll('.chart > svg').length") >= n_charts
    assert browser.value("[...document.querySelectorAll('.chart path')].filter((path) => path.getBBox().width + path.getBBox().height > 0).length") >= n_paths
    # Nothing is drawn at a place that is none.
    odd = "[...document.querySelectorAll('svg *')].filter((node) => [...node.attributes].some(({ name, value }) => name !== 'aria-label' && /NaN|Infinity|undefined|null/.test(value))).map((node) => node.outerHTML)"
    assert browser.value(odd) == []
    # And all of it is inside of its drawing.
    outside = "[...document.querySelectorAll('.chart > svg')].flatMap((svg) => [...svg.querySelectorAll('text')].filter((text) => { const [a, b] = [svg.getBoundingClientRect(), text.getBoundingClientRect()]; return b.left < a.left - 2 || b.right > a.right + 2 || b.top < a.top - 2 || b.bottom > a.bottom + 2; }).map((text) => text.textContent))"
    assert browser.value(outside) == []


@pytest.mark.parametrize("kind", ["runs", "study", "controller", "line search", "evaluation"])
def test_no_two_labels_of_a_chart_collide(browser, pages, kind):
    browser.open(pages[kind])
    script = """
        [...document.querySelectorAll('.chart > svg')].flatMap((svg) => {
          const boxes = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
          const touch = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
          return boxes.flatMap(([a, at], i) => boxes.slice(i + 1).filter(([, other]) => touch(at, other)).map(([b]) => [a, b]));
        })"""
    assert browser.value(script) == []


@pytest.mark.parametrize("kind", ["runs", "study", "controller", "line search", "evaluation"])
def test_every_chart_has_a_name_and_a_table_behind_it(browser, pages, kind):
    browser.open(pages[kind])
    assert browser.value("[...document.querySelectorAll('.chart > svg')].every((svg) => svg.getAttribute('role') && svg.getAttribute('aria-label').length > 20)")
    without = "[...document.querySelectorAll('.chart')].filter((chart) => !chart.closest('.panels > div, figure').querySelector('details') && !chart.closest('figure').querySelector('details')).length"
    assert browser.value(without) == 0
    browser.value("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    browser.settle()
    empty = "[...document.querySelectorAll('details')].filter((details) => details.querySelectorAll('tbody tr').length === 0).map((details) => details.textContent)"
    assert browser.value(empty) == []
    assert browser.complaints == []


def focused(browser):
    """What is in focus: its tag and its words."""
    return browser.value(
        "(() => { const at = document.activeElement; return [at.localName, at.getAttribute('role') ?? '', at.localName === 'button' ? at.textContent : '']; })()"
    )


def by_tab(browser, n_most=120):
    """All that the key Tab reaches, one after the other."""
    reached = []
    for _ in range(n_most):
        browser.press("Tab")
        at = focused(browser)
        if at[0] == "body":
            break
        reached.append(tuple(at))
    return reached


def test_the_tab_key_reaches_every_control_in_the_order_of_the_page(browser, pages):
    browser.open(pages["runs"])
    reached = by_tab(browser)
    assert reached[0][0] == "a", "the link that skips to the charts"
    buttons = [words for tag, _, words in reached if tag == "button"]
    assert buttons == ["Zoom in", "Zoom out", "◀ Earlier", "Later ▶", "Whole run", "Next guard event", "low", "high"]
    tags = [tag for tag, _, _ in reached]
    assert ("svg", "application", "") in reached and tags.index("select") < tags.index("svg") < tags.index("summary")
    outline = "(() => { document.querySelector('.chart svg').focus(); return getComputedStyle(document.querySelector('.chart svg')).outlineStyle; })()"
    browser.press("Tab")
    assert browser.value(outline) != "none"


@pytest.mark.parametrize("kind", ["study", "controller", "evaluation"])
def test_the_tab_key_reaches_the_controls_of_every_kind(browser, pages, kind):
    browser.open(pages[kind])
    reached = {tag for tag, _, _ in by_tab(browser)}
    wanted = {"study": {"input", "summary"}, "controller": {"select", "svg", "summary"}, "evaluation": {"button", "summary"}}
    assert wanted[kind] <= reached


def test_keys_and_mouse_go_through_a_run(browser, pages):
    browser.open(pages["runs"])
    said = lambda: browser.value("document.querySelector('output').innerText")  # noqa: E731
    assert said() == "Steps 0 to 119; the last decision is at step 119."
    browser.value("document.querySelector('.chart svg').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    assert "low, decision at step 1: loss not finite" in said() and "a loss or the gradient is not finite" in said()
    browser.press("g")
    assert "decision at step 2: loss 99, lr 0.5, λ 0.0001; lr halve (loss-exploded)" in said()
    browser.press("+")
    low, high = browser.value("document.querySelector('output').innerText.match(/Steps (\\d+) to (\\d+)/).slice(1).map(Number)")
    assert 55 < high - low < 65 and low <= 2
    browser.press("ArrowRight", shift=True)
    assert not said().startswith(f"Steps {low} ")
    browser.press("0")
    assert said().startswith("Steps 0 to 119; the last decision is at step 119.")
    # The focus stays, though the chart was drawn anew.
    assert focused(browser)[:2] == ["svg", "application"]
    x, y, width = browser.value(
        "(() => { const svg = document.querySelector('.chart svg'); svg.scrollIntoView({ block: 'start' }); const box = svg.getBoundingClientRect(); return [box.x, box.y, box.width]; })()"
    )
    browser.drag((x + 0.5 * width, y + 60), (x + 0.75 * width, y + 90))
    low, high = browser.value("document.querySelector('output').innerText.match(/Steps (\\d+) to (\\d+)/).slice(1).map(Number)")
    assert 45 < low < 65 and 75 < high < 100
    assert browser.value("document.querySelectorAll('details table').length") == 0
    browser.value("document.querySelector('details').open = true")
    browser.settle()
    steps = browser.value("[...document.querySelectorAll('details tbody th')].map((cell) => Number(cell.textContent))")
    assert steps == list(range(low, high + 1)) or set(steps) <= set(range(low - 1, high + 2)) and len(steps) >= high - low
    # A line that is switched off is gone, and can be had again.
    n_curves = "document.querySelectorAll('.chart .curve').length"
    before = browser.value(n_curves)
    browser.value("document.querySelector('.legend button').focus()")
    browser.press("Enter")
    assert browser.value("document.querySelector('.legend button').getAttribute('aria-pressed')") == "false"
    assert browser.value(n_curves) < before
    browser.press("Enter")
    assert browser.value(n_curves) == before
    assert browser.complaints == []


def test_the_map_of_a_controller_answers_as_its_networks_do(browser, pages):
    browser.open(pages["controller"])
    browser.value("document.querySelector('svg.zoomable').focus()")
    for key in ["ArrowUp", "ArrowUp", "ArrowRight", "ArrowLeft", "ArrowLeft"]:
        browser.press(key)
    data = json.loads(browser.value("document.getElementById('data').textContent"))["sections"][0]
    names = [feature["name"] for feature in data["exported"]["features"]]
    features = np.array(data["neutral"], dtype=np.float32)
    where, answers = browser.value("document.querySelector('output').innerText").split("\n")
    place, best = where.removeprefix("At ").removesuffix(".").split(": ")
    for name, value in (part.split(" ") for part in place.split(", ")):
        features[names.index(name)] = float(value)
    shown = [part.rsplit(": ", 1) for part in answers.removeprefix("Q-values: ").removesuffix(".").split("; ")]
    # Places and values are shown with three digits.
    assert np.allclose(q_values("joint", features, len(names)), [float(value) for _, value in shown], atol=0.02)
    assert best == max(shown, key=lambda pair: float(pair[1]))[0]
    assert browser.complaints == []


def test_a_page_is_readable_in_the_dark_on_paper_and_on_a_telephone(browser, pages):
    browser.open(pages["all"])
    ground = "getComputedStyle(document.body).backgroundColor"
    color = "getComputedStyle(document.querySelector('.chart .curve')).stroke"
    found = {}
    for name, media, scheme in [("light", "screen", "light"), ("dark", "screen", "dark"), ("paper", "print", "dark")]:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.order("Emulation.setEmulatedMedia", media=media, features=features)
        found[name] = (browser.value(ground), browser.value(color))
    assert found["light"] == found["paper"] and found["light"][0] == "rgb(255, 255, 255)"
    assert found["dark"][0] != found["light"][0] and found["dark"][1] != found["light"][1]
    assert browser.value("getComputedStyle(document.querySelector('.controls')).display") == "none"
    pdf = base64.b64decode(browser.order("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
    browser.order("Emulation.setEmulatedMedia", media="", features=[])
    browser.order("Emulation.setDeviceMetricsOverride", width=380, height=800, deviceScaleFactor=1, mobile=True)
    browser.settle()
    assert browser.value("document.documentElement.scrollWidth") <= 380
    browser.order("Emulation.clearDeviceMetricsOverride")
    assert browser.complaints == []


def test_a_page_without_its_program_says_what_is_missing(pages):
    text = pages["runs"].read_text()
    assert "<noscript>" in text and "JavaScript" in text.split("<noscript>")[1]


def test_an_error_of_the_program_is_shown(browser, pages, tmp_path):
    # What the networks of the page answer differs from what qgd says that they do.
    broken = tmp_path / "broken.html"
    broken.write_text(re.sub(r'"q_values":\[[^,]*', '"q_values":[99', pages["controller"].read_text(), count=1))
    browser.open(broken)
    assert "differ from those of qgd" in browser.value("document.getElementById('error').textContent")
