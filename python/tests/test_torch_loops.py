"""What the loops of users do to a `QController`: number types, rates that others write, groups, checkpoints that do not fit."""

import copy
import json
from contextlib import nullcontext

import numpy as np
import pytest
from conftest import need

torch = need("torch")

from test_torch import loss_of, problem, train, values  # noqa: E402
from torch.optim import lr_scheduler  # noqa: E402

import qgd  # noqa: E402


@pytest.fixture
def default():
    """Sets the default type and device of PyTorch until the test is over."""

    def set_to(dtype=torch.float32, device="cpu"):
        torch.set_default_dtype(dtype)
        torch.set_default_device(device)

    yield set_to
    set_to()


def controlled(params, lr=1e-3, controller="lr", **options):
    return qgd.QController(torch.optim.Adam(params, lr=lr), controller, **options)


# Numbers.


@pytest.mark.parametrize("looks_first", [True, False])
def test_nets_in_double_precision_are_trained(looks_first):
    net, x, y = problem()
    net, x, y = net.double(), x.double(), y.double()
    opt = controlled(net.parameters(), 1e-4, looks_first=looks_first)
    losses = train(net, opt, x, y, 100)
    assert losses[-1] < 0.3 * losses[0]
    train(net, opt, x * float("nan"), y, 1)
    train(net, opt, x, y, 60)
    assert all(bool(p.isfinite().all()) for p in net.parameters()) and loss_of(net, x, y) < losses[0]


@pytest.mark.parametrize("looks_first", [True, False])
def test_complex_parameters_are_measured_as_pairs_of_real_ones(looks_first):
    real = torch.nn.Parameter(torch.tensor([[3.0, -1.0], [2.0, 0.5]]))
    pair = torch.nn.Parameter(torch.view_as_complex(real.detach().clone()))
    runs = [
        qgd.QController(torch.optim.SGD([p], lr=1e-4), "lr", looks_first=looks_first, total_steps=60) for p in (real, pair)
    ]
    for _ in range(60):
        for p, opt in zip((real, pair), runs):
            opt.zero_grad()
            loss = (p if p is real else torch.view_as_real(p)).square().sum()
            loss.backward()
            opt.step(loss=loss)
    assert torch.allclose(torch.view_as_real(pair), real, rtol=1e-4) and runs[0].lr == runs[1].lr > 1e-3
    pair.grad = (pair.detach() * float("nan")).conj()
    runs[1].step(loss=0.1)
    assert bool(pair.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_type_of_pytorch_is_no_type_of_a_loss(default, dtype):
    net, x, y = problem()
    net[0].weight.requires_grad_(False)
    opt = controlled(net.parameters(), looks_first=False)
    seen = []
    opt.on_decision(seen.append)
    default(dtype)
    for _ in range(100):
        opt.zero_grad()
        loss_of(net, x, y).backward()
        opt.step(loss=1.2345)
    assert opt._losses.kept_numbers()[0] == pytest.approx(1.2345, rel=1e-6)
    opt.load_state_dict(opt.state_dict())
    assert opt._losses.kept_numbers()[0] == pytest.approx(1.2345, rel=1e-6)
    assert seen[-1]["loss"] == pytest.approx(1.2345, rel=1e-6)


def test_the_default_device_of_pytorch_is_not_asked_for(default):
    net = torch.nn.Sequential(torch.nn.Linear(4, 300), torch.nn.Linear(300, 300), torch.nn.Linear(300, 1))
    _, x, y = problem()
    default(device="meta")
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-4), "lr")
    for _ in range(3):
        train(net, opt, x, y, 20)
        loss_of(net, x, y).backward()
        opt.step(loss=1.0)
        assert opt._sample.n_sampled == 65_536
        opt.load_state_dict(opt.state_dict())
    assert opt.steps == 63


def test_parameters_without_elements_do_no_harm():
    none, one = torch.nn.Parameter(torch.zeros(0, 3)), torch.nn.Parameter(torch.ones(()))
    opt = controlled([none, one])
    for step in range(20):
        opt.zero_grad()
        loss = none.sum() + (one.square() if step % 2 else 0.0)
        loss.backward()
        opt.step(loss=loss)
    assert opt.steps == 20 and one < 1.0


def test_losses_on_the_host_and_in_tensors_are_averaged_together():
    net, x, y = problem()
    opt = controlled(net.parameters())
    loss_of(net, x, y).backward()
    for loss in (1.0, np.float64(2.0), torch.tensor(3.0, dtype=torch.float64), torch.tensor([[4.0]])):
        opt.observe(loss)
    with pytest.raises(TypeError, match="loss is complex"):
        opt.observe(torch.tensor(1.0 + 1.0j))
    opt.step()
    assert opt.last_decision()["loss"] == pytest.approx(2.5)


def test_losses_that_wait_for_a_decision_take_little_memory():
    seen = [[], []]
    runs = []
    for looks_first, told in zip((True, False), seen):
        p = torch.nn.Parameter(torch.ones(3))
        p.grad = torch.full_like(p, 1e-9)
        runs.append(qgd.QController(torch.optim.SGD([p], lr=1e-9), looks_first=looks_first))
        runs[-1].on_decision(told.append)
        for step in range(9000):
            runs[-1].step(loss=1.0 + 0.1 * (step % 7))
    assert len(runs[1]._losses.kept_numbers()) > 500 > 300 > len(runs[1]._losses._kept + runs[1]._losses._newest)
    assert [record["loss"] for record in seen[0]] == [record["loss"] for record in seen[1]]


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total_steps": float("inf")}, "total_steps is inf"),
        ({"total_steps": "many"}, "total_steps is 'many'"),
        ({"total_steps": 2**70}, "total_steps is 1180591620717411303424"),
        ({"total_steps": True}, "total_steps is True"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"lr_bounds": 5}, "lr_bounds is 5"),
        ({"lr_bounds": (None, 1.0)}, r"lr_bounds is \(None, 1.0\)"),
        ({"model": "net"}, "model is a str"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        controlled(problem()[0].parameters(), **arguments)


def test_whole_numbers_of_any_kind_are_taken():
    for steps in (10, 10.0, np.int64(10), torch.tensor(10)):
        assert controlled(problem()[0].parameters(), total_steps=steps)._driver.total_steps == 10


def test_a_loss_in_the_place_of_the_closure_is_told_where_to_go():
    net, x, y = problem()
    opt = controlled(net.parameters())
    loss = loss_of(net, x, y)
    loss.backward()
    with pytest.raises(TypeError, match=r"opt.step\(loss=loss\)"):
        opt.step(loss)
    assert opt.steps == 0


# Loops.


@pytest.mark.parametrize("observes", [True, False])
def test_the_loss_of_a_step_that_a_scaler_left_out_counts_nowhere(observes):
    # The gradients are reset by the net, not by the optimizer.
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    seen = []
    opt.on_decision(lambda record: seen.append(record["loss"]))
    for step in range(5):
        net.zero_grad()
        for _ in range(2):
            loss = loss_of(net, x, y) * (float("inf") if step == 2 else 1.0)
            if observes:
                opt.observe(loss)
            scaler.scale(loss / 2).backward()
        scaler.step(opt) if observes else scaler.step(opt, loss=loss)
        scaler.update()
    assert (opt.steps, opt.broken_batches, len(seen)) == (4, 0, 4) and max(seen) < 1.0


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_step_inside_a_compiled_function_stays_outside_its_graph():
    (net, x, y), (other, _, _) = problem(), problem()
    runs = [controlled(one.parameters(), 1e-4, total_steps=60) for one in (net, other)]

    @torch.compile(backend="eager")
    def whole_step():
        loss = loss_of(other, x, y)
        loss.backward()
        runs[1].step(loss=loss)
        runs[1].zero_grad()
        return loss

    losses = train(net, runs[0], x, y, 60)
    assert losses == [whole_step().item() for _ in range(60)] and runs[0].lr == runs[1].lr


def test_a_net_that_was_wrecked_before_it_was_loaded_is_said():
    net, x, y = problem()
    opt = controlled(net.parameters())
    train(net, opt, x, y, 20)
    with torch.no_grad():
        net[0].weight[0, 0] = float("nan")
    opt.load_state_dict(opt.state_dict())
    with pytest.raises(RuntimeError, match="Load an earlier checkpoint"):
        train(net, opt, x, y, 10)


class Centered(torch.nn.Module):
    """Centers by a running mean, for which it puts in a new tensor at every step; its length is that of the batch."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("last", torch.zeros(0))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            self.last = x[:, 0].clone()
        return x - self.mean


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", [torch.jit.script, lambda net: torch.compile(net, backend="eager")])
def test_buffers_of_nets_in_other_forms_are_restored_too(form):
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
    _, x, y = problem()
    formed = form(net)
    opt = controlled(net.parameters(), model=formed)
    train(formed, opt, x, y, 50)
    train(formed, opt, x * float("nan"), y, 1)
    assert opt.broken_batches == 0 and bool(net[1].running_mean.isfinite().all())
    train(formed, opt, x, y, 20)
    assert opt.broken_batches == 1


@pytest.mark.parametrize("looks_first", [True, False])
@pytest.mark.parametrize("n_broken", [1, 40])
def test_buffers_that_a_net_replaces_are_restored_too(looks_first, n_broken):
    net, x, y = problem()
    net = torch.nn.Sequential(Centered(), net)
    opt = controlled(net.parameters(), model=net, looks_first=looks_first)
    train(net, opt, x, y, 100)
    says = pytest.warns(UserWarning, match="the net does not learn") if n_broken > 20 else nullcontext()
    with says:
        for step in range(n_broken):
            train(net, opt, x[: 32 + step] * float("nan"), y[: 32 + step], 1)
    losses = train(net, opt, x, y, 100)
    assert bool(net[0].mean.isfinite().all()) and losses[-1] < 0.1
    assert all(bool(p.isfinite().all()) for p in net.parameters())


# Rates and groups.


def groups_of(net):
    return [{"params": net[0].parameters()}, {"params": net[2].weight}]


def test_groups_that_share_the_tensor_of_a_rate_are_each_moved_once():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.AdamW(groups_of(net), lr=torch.tensor(1e-3)), "lr")
    train(net, opt, x, y, 30)
    before = opt.lr
    assert before > 0.01
    opt.add_param_group({"params": net[2].bias})
    assert [float(group["lr"]) for group in opt.param_groups] == pytest.approx(3 * [before])
    assert opt.defaults["lr"].item() == pytest.approx(1e-3)
    opt.load_state_dict(copy.deepcopy(opt.state_dict()))
    train(net, opt, x, y, 1)
    assert [float(group["lr"]) for group in opt.param_groups] == pytest.approx(3 * [opt.lr])


@pytest.mark.parametrize("is_scheduled", [False, True])
def test_a_group_that_comes_late_gets_the_factor_once(is_scheduled):
    net, x, y = problem()
    base = torch.optim.Adam(net[0].parameters(), lr=1e-3)
    opt = qgd.QController(base, "lr")
    scheduler = lr_scheduler.ExponentialLR(opt, 0.99) if is_scheduled else None
    train(net, opt, x, y, 30, lambda _: scheduler and scheduler.step())
    opt.add_param_group({"params": net[2].weight, "lr": 1e-4})
    # Hosts that know the optimizer inside add to that one.
    base.add_param_group({"params": net[2].bias, "lr": 1e-5})
    used = []
    base.register_step_pre_hook(lambda *_: used.append([group["lr"] for group in base.param_groups]))
    train(net, opt, x, y, 1)
    scale = opt.param_groups[0]["qgd_scale"]
    assert scale > 10 and used[0][1:] == pytest.approx([1e-4 * scale, 1e-5 * scale])
    del opt.param_groups[0]
    train(net, opt, x, y, 20)
    assert opt.param_groups[0]["lr"] == pytest.approx(10 * opt.param_groups[1]["lr"])


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "fast", None])
def test_a_rate_that_is_none_is_refused_and_leaves_all_as_it_was(value):
    net, x, y = problem()
    opt = controlled(net.parameters(), controller="always-accept")
    train(net, opt, x, y, 5)
    opt.param_groups[0]["lr"] = value
    before = values(net)
    with pytest.raises(ValueError, match=r"learning rate \('lr'\) of parameter group 0 is"):
        train(net, opt, x, y, 1)
    assert all(map(torch.equal, before, values(net)))
    opt.param_groups[0]["lr"] = 0.02
    train(net, opt, x, y, 1)
    assert opt.param_groups[0]["lr"] == opt.lr == pytest.approx(0.02)


def test_a_weight_decay_that_is_switched_off_stays_off_until_it_is_switched_on():
    net, x, y = problem()
    base = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
    opt = qgd.QController(base, "joint")
    train(net, opt, x, y, 30)
    for value in (0.0, 0.1):
        opt.param_groups[0]["weight_decay"] = value
        train(net, opt, x, y, 2)
        assert 0.05 * value <= opt.param_groups[0]["weight_decay"] <= 20 * value


SCHEDULES = {
    "warm-up from 0": lambda opt: lr_scheduler.LambdaLR(opt, lambda step: min(1.0, step / 5)),
    "down to 0": lambda opt: lr_scheduler.LambdaLR(opt, lambda step: max(0.0, 1.0 - step / 30)),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("at", [0, 30])
def test_a_run_is_saved_and_copied_where_a_schedule_is_at_zero(name, at):
    net, x, y = problem()
    opt = controlled(net.parameters(), 0.01)
    scheduler = SCHEDULES[name](opt)
    train(net, opt, x, y, at, lambda _: scheduler.step())
    assert (at > 0) == (opt.steps > 0)
    other, copied, _ = copy.deepcopy((net, opt, scheduler))
    resumed_net = copy.deepcopy(net)
    resumed = controlled(resumed_net.parameters(), 0.01)
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    for opt_i in (opt, copied, resumed):
        opt_i.param_groups[0]["lr"] = 0.005
    losses = train(net, opt, x, y, 20)
    assert losses == train(other, copied, x, y, 20) == train(resumed_net, resumed, x, y, 20)


def test_a_plateau_lowers_the_rate_in_force_once():
    net, x, y = problem()
    opt = controlled(net.parameters(), 0.01, "always-accept")
    scheduler = lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=3)
    train(net, opt, x, y, 10, lambda step: scheduler.step(1.0 if step < 7 else 0.5))
    assert opt.param_groups[0]["lr"] == opt.lr == 0.005


def test_a_scheduler_that_stood_there_before_may_begin_at_zero():
    net, x, y = problem()
    base = torch.optim.SGD(net.parameters(), lr=0.01)
    scheduler = lr_scheduler.LambdaLR(base, lambda step: min(1.0, step / 10))
    opt = qgd.QController(base, "lr")
    train(net, opt, x, y, 30, lambda _: scheduler.step())
    assert base.param_groups[0]["lr"] == 0.01 and opt.lr == pytest.approx(0.01 * opt.param_groups[0]["qgd_scale"])


# Checkpoints that do not fit.


def test_what_was_measured_of_other_coordinates_is_not_taken_for_the_own():
    def make(seed):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 300), torch.nn.Linear(300, 300), torch.nn.Linear(300, 1))
        return net, controlled(net.parameters(), 1e-5, seed=seed)

    def features(net, opt):
        opt.on_decision(lambda record: seen.append(record["features"]))
        seen = []
        train(net, opt, x, y, 3)
        return seen

    _, x, y = problem()
    net, opt = make(seed=0)
    train(net, opt, x, y, 20)
    saved, told = (copy.deepcopy(net.state_dict()), copy.deepcopy(opt.state_dict())), []
    for seed, anew in [(0, False), (1, False), (1, True)]:
        net, opt = make(seed)
        net.load_state_dict(saved[0])
        opt.load_state_dict(copy.deepcopy(saved[1]))
        if anew:
            opt._reset_measure()
        told.append(features(net, opt))
    assert told[0] != told[1] == told[2]


def changed(state, **contents):
    """The state dict with other contents of the controller."""
    state = copy.deepcopy(state)
    own = json.loads(state["param_groups"][0]["qgd"])
    own["values"]["lr"].update({key: contents.pop(key) for key in list(contents) if key in own["values"]["lr"]})
    state["param_groups"][0]["qgd"] = json.dumps({**own, **contents})
    return state


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"driver": "AAAA"}, "cannot go on under the controller 'lr'"),
        ({"driver": "@@@"}, "damaged"),
        ({"driver": 3}, "damaged"),
        ({"values": []}, "damaged|moves other values"),
        ({"bases": []}, "it is of 0 parameter groups, and there are 1|damaged"),
        ({"bases": ["x"]}, "damaged"),
        ({"reference": 7}, "damaged"),
        ({"factor": 0.0}, "0.0 is not positive"),
        ({"losses": "abc"}, "damaged"),
        ({"counters": 5}, "damaged"),
        ({"lead": None}, "damaged"),
        ({"version": 99}, "another version of qgd, in format 99"),
    ],
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(contents, message):
    net, x, y = problem()
    opt = controlled(net.parameters())
    train(net, opt, x, y, 30)
    saved = opt.state_dict()
    other, _, _ = problem(seed=1)
    target, untouched = controlled(other.parameters(), 2e-3), None
    train(other, target, x, y, 20)
    untouched = copy.deepcopy((other, target))
    with pytest.raises(ValueError, match=message):
        target.load_state_dict(changed(saved, **contents))
    assert train(other, target, x, y, 20) == train(untouched[0], untouched[1], x, y, 20)
    target.load_state_dict(changed(saved))


def test_a_checkpoint_of_another_controller_says_whose_it_is():
    net, x, y = problem()
    opt = controlled(net.parameters())
    train(net, opt, x, y, 30)
    target = controlled(problem(seed=1)[0].parameters(), 2e-3, "cosine", total_steps=100)
    with pytest.raises(ValueError, match="is of the controller 'lr', this one is 'cosine'"):
        target.load_state_dict(opt.state_dict())
    assert target.lr == target.param_groups[0]["lr"] == 2e-3
