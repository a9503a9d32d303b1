"""What `qgd export` writes gives the Q-values of the controller itself, in the hands of others."""

import json
import subprocess
import sys

import numpy as np
import pytest
import qgd
from conftest import need
from qgd.__main__ import find_program



@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that says where a controller was written to."""
    try:
        find_program()
    except SystemExit as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("exported")

    def file(controller, form):
        path = folder / f"{controller}.{form}"
        if not path.exists():
            subprocess.check_call([sys.executable, "-m", "qgd", "export", controller, "-o", str(path)])
        return path

    return file


def recorded(controller):
    """Features and Q-values of the decisions of a run from a rate that is far too low, as it recorded them."""
    driver = qgd.Driver(controller, 1e-6, weight_decay=1e-3, total_steps=300)
    rng = np.random.default_rng(1)
    x = np.ones(20, dtype=np.float32)
    for _ in range(300):
        grad = (np.arange(1, 21) * (x - 0.1 * rng.normal())).astype(np.float32)
        loss = float(0.5 * grad @ grad)
        if driver.watches_validation:
            driver.observe_validation(loss * 1.1)
        order = driver.step([loss], params=x, grad=grad)
        if order.kind == "apply":
            x = x - np.float32(order.lr) * grad
        elif order.kind == "roll_back":
            driver.rolled_back(x)
        elif order.kind == "restart":
            driver.reset_measure()
    records = [json.loads(record) for record in driver.take_records()]
    records = [record for record in records if record["features"]]
    assert len(records) > 50
    return [np.array([record[key] for record in records], dtype=np.float32) for key in ("features", "q_values")]


def rows(controller):
    """1000 rows drawn at random, half of them beyond what features can be, and what the controller says of them."""
    n_features = len(features_of(controller))
    drawn = np.random.default_rng(0).uniform(-1.0, 1.0, (1000, n_features)).astype(np.float32)
    drawn[500:] *= 1.5
    return drawn, qgd.q_values(controller, drawn)


def features_of(controller):
    found = subprocess.check_output([sys.executable, "-m", "qgd", "export", controller, "--format", "json", "-o", "-"])
    return json.loads(found)["features"]


def by_hand(tensors, about, features):
    """Q-values by numpy, in double precision, as `decides` says."""
    confined = np.clip(features.astype(np.float64), tensors["low"], tensors["high"])
    each = []
    for i, network in enumerate(about["networks"]):
        x, n_layers = confined, len(network["shape"]) - 1
        for j in range(n_layers):
            name = f"networks.{i}.layers.{j}"
            x = x @ tensors[f"{name}.weight"].T.astype(np.float64) + tensors[f"{name}.bias"]
            x = np.maximum(x, 0.0) if j < n_layers - 1 else x
        if network["dueling"]:
            x = x[:, :1] + x[:, 1:] - x[:, 1:].mean(axis=1, keepdims=True)
        each.append(x)
    return np.mean(each, axis=0)


def assert_close(found, own):
    """Within 1e-6; where Q-values are above 1, of the largest of the row: single precision has seven digits."""
    assert found.shape == own.shape
    allowed = 1e-6 * np.maximum(1.0, np.abs(own).max(axis=1, keepdims=True))
    assert (np.abs(found - own) < allowed).all(), np.abs(found - own).max()


def in_metadata(path):
    with need("safetensors").safe_open(path, framework="np") as opened:
        return json.loads(opened.metadata()["qgd"])


def session(path):
    runtime = need("onnxruntime")
    return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])


def pairs(controller):
    """Features, with the Q-values that the controller gives them."""
    found = [rows(controller)]
    # Line searches are not driven from Python.
    if qgd.inspect(controller)["recipe"].get("line_search") is None:
        found.append(recorded(controller))
    return found


@pytest.mark.parametrize("controller", qgd.controllers())
def test_onnx_runtime_gives_the_q_values_of_the_controller(exported, controller):
    graph = session(exported(controller, "onnx"))
    (features,), (q_values,) = graph.get_inputs(), graph.get_outputs()
    assert (features.name, q_values.name) == ("features", "q_values")
    for drawn, own in pairs(controller):
        assert [features.shape[1], q_values.shape[1]] == [drawn.shape[1], own.shape[1]]
        (found,) = graph.run(None, {"features": drawn})
        assert_close(found, own)
        (one,) = graph.run(None, {"features": drawn[:1]})
        assert_close(one, own[:1])


@pytest.mark.parametrize("controller", qgd.controllers())
def test_the_tensors_alone_give_the_q_values_of_the_controller(exported, controller):
    need("safetensors")
    from safetensors.numpy import load_file

    path = exported(controller, "safetensors")
    tensors, about = load_file(path), in_metadata(path)
    for drawn, own in pairs(controller):
        assert_close(by_hand(tensors, about, drawn), own)


def test_a_row_is_judged_as_confined_and_one_of_another_width_is_refused():
    drawn, own = rows("lr")
    about = features_of("lr")
    low, high = (np.array([feature[end] for feature in about], dtype=np.float32) for end in ("low", "high"))
    assert not np.array_equal(np.clip(drawn, low, high), drawn)
    assert np.array_equal(qgd.q_values("lr", np.clip(drawn, low, high)), own)
    assert qgd.q_values("lr", drawn[7]).shape == (3,) and np.array_equal(qgd.q_values("lr", drawn[7]), own[7])
    with pytest.raises(ValueError, match="looks at 39 features, but was shown 38"):
        qgd.q_values("lr", drawn[:, :38])


@pytest.mark.parametrize("controller", qgd.controllers())
def test_all_formats_say_the_same_beside_the_numbers(exported, controller):
    text = json.loads(exported(controller, "json").read_text())
    tensors = in_metadata(exported(controller, "safetensors"))
    graph = json.loads(session(exported(controller, "onnx")).get_modelmeta().custom_metadata_map["qgd"])
    assert tensors == graph
    networks = text.pop("networks")
    shapes = tensors.pop("networks")
    assert text == tensors
    assert [{key: network[key] for key in ("dueling", "shape")} for network in networks] == shapes


def test_the_numbers_of_json_are_those_of_the_tensors_to_the_bit(exported):
    need("safetensors")
    from safetensors.numpy import load_file

    text = json.loads(exported("joint", "json").read_text())
    tensors = load_file(exported("joint", "safetensors"))
    found = {end: [feature[end] for feature in text["features"]] for end in ("low", "high")}
    for i, network in enumerate(text["networks"]):
        for j, layer in enumerate(network["layers"]):
            found.update({f"networks.{i}.layers.{j}.{part}": layer[part] for part in ("weight", "bias")})
    assert found.keys() == tensors.keys()
    for name, values in found.items():
        assert np.array_equal(np.array(values, dtype=np.float32), tensors[name]), name
