"""Event files of the program that the wheel carries, in the hands of TensorBoard: its reader, and its tab HPARAMS."""

import json
import math
import struct
import sys

import pytest
from conftest import need, run_program

need("tensorboard")

from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from tensorboard.context import RequestContext  # noqa: E402
from tensorboard.plugins import base_plugin  # noqa: E402
from tensorboard.plugins.hparams import (  # noqa: E402
    api_pb2,
    backend_context,
    get_experiment,
    list_session_groups,
    metadata,
)

RECIPE = """
schema = 1
name = "r"
description = "test"
controls = "lr"
moves = ["halve", "accept", "grow"]
features = "scalefree"
[pace]
probe_steps = 16
[network]
hidden = [4]
[training]
rounds = 6
validate_every = 2
episodes_per_round = 6
updates_per_round = 1
validation_tasks = 1
[training.tasks]
horizon = [30, 40]
"""

SPACE = """
[params.x]
type = "float"
low = -4.0
high = 4.0
[params.kind]
type = "categorical"
choices = ["a", "b"]
"""

# A trial in four fails; the others report three values.
OBJECTIVE = """
import os
if int(os.environ["QGD_TRIAL"]) % 4 == 3:
    raise SystemExit(3)
x = float(os.environ["QGD_PARAM_X"])
for step in (1, 5, 9):
    print('{"step": %d, "value": %r}' % (step, x * step))
print('{"value": %r}' % (x * x))
"""


pytestmark = pytest.mark.usefixtures("installed_program")


def run(*arguments, cwd):
    found = run_program(*arguments, cwd=cwd)
    assert found.returncode == 0, found.stderr
    return found.stdout


def single(value):
    """A number of JSON as an event file keeps it."""
    return struct.unpack("f", struct.pack("f", float("nan") if value is None else float(value)))[0]


def read(folder):
    run = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    run.Reload()
    return run


def points(run, tag):
    return [(point.step, point.value) for point in run.Scalars(tag)]


def session(run):
    """Beginning and end of the session of a run, for the tab HPARAMS."""
    contents = run.PluginTagToContent("hparams")
    begin = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
    return begin, metadata.parse_session_end_info_plugin_data(contents[metadata.SESSION_END_INFO_TAG])


def test_tensorboard_reads_a_meta_training_as_its_log_has_it(tmp_path):
    (tmp_path / "r.toml").write_text(RECIPE)
    run("meta-train", "r.toml", "-o", "my.qgd", "--log", "log", "--tensorboard", "tb", "--threads", "1", cwd=tmp_path)
    rounds = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    found = read(tmp_path / "tb" / "my")
    curves = {
        "inner_steps": lambda line: line["inner_steps"],
        "return": lambda line: line["mean_return"],
        "q/loss": lambda line: line["q_loss"],
        "q/mean_abs": lambda line: line["mean_abs_q"],
    }
    for i, move in enumerate(["halve", "accept", "grow"]):
        curves[f"actions/{move}"] = lambda line, i=i: line["action_shares"][i]
    for tag, value in curves.items():
        assert points(found, tag) == [(line["round"], single(value(line))) for line in rounds], tag
    validated = [line for line in rounds if line["validation"]]
    assert len(rounds) == 6 and 2 <= len(validated) < 6
    for i, name in enumerate(["score", "tuned_ratio", "worst_ratio"]):
        expected = [(line["round"], single(line["validation"][i])) for line in validated]
        assert points(found, f"validation/{name}") == expected
    begin, end = session(found)
    assert begin.hparams["recipe"].string_value == "r" and end.status == api_pb2.STATUS_SUCCESS


@pytest.fixture
def study(tmp_path):
    """A study with event files, begun and continued: its folder, and its trials as the study has them."""
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "objective.py").write_text(OBJECTIVE)
    for n_trials in ("5", "9"):
        flags = ["--trials", n_trials, "--workers", "2", "--tensorboard", "tb"]
        run("tune", "space.toml", *flags, "--", sys.executable, "objective.py", cwd=tmp_path)
    exported = run("study", "export", "space", cwd=tmp_path)
    return tmp_path / "tb", [json.loads(line) for line in exported.splitlines()]


def test_tensorboard_reads_a_study_as_its_export_has_it(study):
    folder, trials = study
    assert {trial["state"] for trial in trials} == {"COMPLETE", "FAIL"}
    for trial in trials:
        found = read(folder / "space" / f"trial-{trial['trial']:06}")
        begin, end = session(found)
        params = {name: value.number_value or value.string_value for name, value in begin.hparams.items()}
        assert params == trial["params"]
        if trial["state"] == "FAIL":
            assert end.status == api_pb2.STATUS_FAILURE and found.Tags()["scalars"] == []
            assert b"exit code 3" in found.Tensors("state")[0].tensor_proto.string_val[0]
            continue
        assert end.status == api_pb2.STATUS_SUCCESS
        assert points(found, "intermediate") == [(step, single(value)) for step, value in trial["intermediate"]]
        assert points(found, "value") == [(9, single(trial["values"][0]))]
    values = [(trial["trial"], trial["values"][0]) for trial in trials if trial["state"] == "COMPLETE"]
    curve = read(folder / "space")
    assert points(curve, "value") == [(number, single(value)) for number, value in values]
    best = [(number, single(min(v for _, v in values[: i + 1]))) for i, (number, _) in enumerate(values)]
    assert points(curve, "best") == best and len({value for _, value in best}) > 1


def test_the_tab_hparams_shows_every_trial_with_its_parameters_and_value(study):
    folder, trials = study
    runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(folder))
    hparams = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(folder)))
    request = api_pb2.GetExperimentRequest(include_metrics=True)
    experiment = get_experiment.Handler(RequestContext(), hparams, "", request).run()
    kinds = {info.name: info.type for info in experiment.hparam_infos}
    assert kinds == {"x": api_pb2.DATA_TYPE_FLOAT64, "kind": api_pb2.DATA_TYPE_STRING}
    assert {info.name.tag for info in experiment.metric_infos} == {"intermediate", "value"}
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=1000,
        include_metrics=True,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
        col_params=[
            api_pb2.ColParams(hparam="x", include_in_result=True),
            api_pb2.ColParams(hparam="kind", include_in_result=True),
            api_pb2.ColParams(metric=api_pb2.MetricName(tag="value")),
        ],
    )
    groups = list_session_groups.Handler(RequestContext(), hparams, "", request).run().session_groups
    shown = {group.name: group for group in groups}
    assert sorted(shown) == [f"trial-{trial['trial']:06}" for trial in trials]
    for trial in trials:
        group = shown[f"trial-{trial['trial']:06}"]
        assert group.hparams["x"].number_value == trial["params"]["x"]
        assert group.hparams["kind"].string_value == trial["params"]["kind"]
        values = {metric.name.tag: metric.value for metric in group.metric_values}
        expected = single(trial["values"][0]) if trial["values"] else math.nan
        assert values.get("value", math.nan) == pytest.approx(expected, nan_ok=True)
