"""`QController` around optimizers of PyTorch."""

import copy
import io
import pickle
import warnings

import pytest
from conftest import need

torch = need("torch")

from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import qgd  # noqa: E402


def problem(seed=0, n=64):
    """A small net and a batch that it can learn."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    x = torch.randn(n, 4, generator=generator)
    return net, x, torch.sin(x.sum(1, keepdim=True))


def loss_of(net, x, y):
    return (net(x) - y).square().mean()


def train(net, opt, x, y, n_steps, on_step=None):
    losses = []
    for step in range(n_steps):
        opt.zero_grad()
        loss = loss_of(net, x, y)
        loss.backward()
        opt.step(loss=loss) if isinstance(opt, qgd.QController) else opt.step()
        losses.append(loss.item())
        if on_step is not None:
            on_step(step)
    return losses


def values(net):
    return [p.detach().clone() for p in net.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b))


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.5, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
    "nadam": lambda p: torch.optim.NAdam(p, lr=1e-3),
    "radam": lambda p: torch.optim.RAdam(p, lr=3e-3),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=1e-2),
    "adamw, lr on the device": lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-2)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_policy_that_accepts_changes_no_bit(name):
    nets = [problem()[0] for _ in range(2)]
    _, x, y = problem()
    bare = OPTIMIZERS[name](nets[0].parameters())
    wrapped = qgd.QController(OPTIMIZERS[name](nets[1].parameters()), "always-accept")
    assert train(nets[0], bare, x, y, 50) == train(nets[1], wrapped, x, y, 50)
    assert same(values(nets[0]), values(nets[1])) and wrapped.steps == 50


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("start", [1e-5, 1.0])
def test_a_hopeless_start_ends_well(name, start):
    net, x, y = problem()
    base = OPTIMIZERS[name](net.parameters())
    for group in base.param_groups:
        group["lr"] = torch.tensor(start) if isinstance(group["lr"], torch.Tensor) else start
    opt = qgd.QController(base, "lr", total_steps=400)
    losses = train(net, opt, x, y, 400)
    assert losses[-1] < 0.12, (losses[-1], opt.lr, opt.counts, opt.rollbacks)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_goes_on_to_the_bit(name):
    net, x, y = problem()
    opt = qgd.QController(OPTIMIZERS[name](net.parameters()), "lr", total_steps=400)
    train(net, opt, x, y, 100)
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "opt": opt.state_dict()}, file)
    train(net, opt, x, y, 200)
    other, _, _ = problem(seed=9)
    resumed = qgd.QController(OPTIMIZERS[name](other.parameters()), "lr", total_steps=400)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    train(other, resumed, x, y, 200)
    assert resumed.rollbacks == opt.rollbacks
    assert same(values(net), values(other))
    assert (resumed.lr, resumed.counts, resumed.steps) == (opt.lr, opt.counts, 300)


def test_it_is_an_optimizer_whose_objects_are_those_of_the_base():
    net, x, y = problem()
    base = torch.optim.Adam(net.parameters(), lr=1e-3)
    opt = qgd.QController(base)
    assert isinstance(opt, torch.optim.Optimizer) and opt.optimizer is base
    assert opt.param_groups is base.param_groups and opt.state is base.state and opt.defaults is base.defaults
    seen = []
    handles = [
        opt.register_step_pre_hook(lambda *_: seen.append("before")),
        opt.register_step_post_hook(lambda *_: seen.append("after")),
        base.register_step_pre_hook(lambda *_: seen.append("base")),
    ]
    train(net, opt, x, y, 1)
    assert seen == ["before", "base", "after"]
    for handle in handles:
        handle.remove()
    everywhere = register_optimizer_step_post_hook(lambda *_: seen.append("all"))
    train(net, opt, x, y, 1)
    everywhere.remove()
    assert seen[3:] == ["all"]
    opt.register_state_dict_post_hook(lambda _, state: {**state, "more": 1})
    opt.register_load_state_dict_pre_hook(lambda _, state: seen.append(state.pop("more")))
    opt.load_state_dict(opt.state_dict())
    assert seen[4:] == [1]
    base.something = 5
    assert opt.something == 5
    with pytest.raises(AttributeError, match="nothing"):
        _ = opt.nothing
    assert "Adam" in repr(opt)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_goes_on_to_the_bit(clone):
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-4), total_steps=300)
    train(net, opt, x, y, 80)
    other, copied = clone((net, opt))
    assert copied.param_groups[0]["params"][0] is next(other.parameters())
    assert train(net, opt, x, y, 100) == train(other, copied, x, y, 100)


def test_checkpoints_go_to_the_bare_optimizer_and_come_from_it():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-4), total_steps=300)
    train(net, opt, x, y, 80)
    saved = opt.state_dict()
    assert isinstance(saved["param_groups"][0]["qgd"], str) and set(saved) == {"state", "param_groups"}
    assert "qgd" not in opt.param_groups[0]
    bare = torch.optim.Adam(net.parameters(), lr=1.0)
    bare.load_state_dict(saved)
    assert bare.param_groups[0]["lr"] == opt.param_groups[0]["lr"]
    train(net, bare, x, y, 3)
    with pytest.warns(UserWarning, match="begins anew") as warned:
        opt.load_state_dict(torch.optim.Adam(net.parameters(), lr=0.5).state_dict())
    assert len(warned) == 1 and (opt.lr, opt.steps) == (0.5, 0)
    train(net, opt, x, y, 3)
    damaged = copy.deepcopy(saved)
    damaged["param_groups"][0]["qgd"] = saved["param_groups"][0]["qgd"][:-100]
    with pytest.raises(ValueError, match="damaged"):
        opt.load_state_dict(damaged)


def test_a_checkpoint_of_another_controller_names_both():
    net, x, y = problem()
    saved = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-3), "lr", total_steps=10)
    train(net, saved, x, y, 10)
    other = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-3), "joint")
    with pytest.raises(ValueError, match="is of the controller 'lr', this one is 'joint'"):
        other.load_state_dict(saved.state_dict())


def test_a_run_goes_on_for_longer_than_was_planned():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-3), total_steps=100)
    train(net, opt, x, y, 100)
    longer = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-3), total_steps=400)
    longer.load_state_dict(opt.state_dict())
    train(net, longer, x, y, 1)
    assert (longer.steps, longer.total_steps) == (101, 400)
    assert longer.param_groups[0]["lr"] > 10 * opt.param_groups[0]["lr"], "the cooldown is taken back"


def test_ratios_of_groups_are_kept_and_new_groups_move_along():
    net, x, y = problem()
    groups = [{"params": net[0].parameters(), "lr": 1e-4}, {"params": net[2].weight, "lr": 3e-4}]
    opt = qgd.QController(torch.optim.Adam(groups, lr=1e-4), total_steps=300)
    train(net, opt, x, y, 60)
    opt.add_param_group({"params": net[2].bias})
    train(net, opt, x, y, 60)
    lrs = [group["lr"] for group in opt.param_groups]
    assert lrs[0] > 1e-3 and lrs[1] == pytest.approx(3 * lrs[0]) and lrs[2] == pytest.approx(lrs[0])
    assert opt.param_groups[0]["qgd_scale"] == pytest.approx(lrs[0] / 1e-4)


def test_under_a_scheduler_the_rate_is_the_schedules_times_the_factor():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-4), "lr")
    scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: 0.5 if step >= 50 else 1.0)
    used = []
    opt.optimizer.register_step_pre_hook(lambda base, *_: used.append(base.param_groups[0]["lr"]))
    for step in range(60):
        n_applied = len(used)
        train(net, opt, x, y, 1)
        scheduler.step()
        assert opt.param_groups[0]["lr"] == (0.5e-4 if step >= 49 else 1e-4)
        if len(used) > n_applied:
            scale = opt.param_groups[0]["qgd_scale"]
            assert used[-1] == pytest.approx((0.5e-4 if step >= 50 else 1e-4) * scale)
    assert len(used) > 50
    assert opt.param_groups[0]["qgd_scale"] > 10
    assert scheduler.get_last_lr() == [0.5e-4]


def test_a_rate_that_the_user_writes_is_the_rate_in_force():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-4), "always-accept")
    train(net, opt, x, y, 5)
    opt.param_groups[0]["lr"] = 0.02
    train(net, opt, x, y, 5)
    assert opt.param_groups[0]["lr"] == 0.02 and opt.lr == pytest.approx(0.02)


def test_a_schedule_in_the_loop_of_the_user_is_said_to_overrule_the_controller():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-4), total_steps=60)

    def write(step):
        opt.param_groups[0]["lr"] = 1e-4 * (step + 2)

    with pytest.warns(UserWarning, match="LambdaLR") as warned:
        train(net, opt, x, y, 40, write)
    assert len(warned) == 1
    assert opt.lr == pytest.approx(1e-4 * 40, rel=0.3)


def test_accumulated_losses_are_averaged():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3))
    seen = []
    opt.on_decision(seen.append)
    for half in (slice(0, 32), slice(32, 64)):
        loss = loss_of(net, x[half], y[half])
        (loss / 2).backward()
        opt.observe(loss)
    whole = loss_of(net, x, y).item()
    opt.step()
    assert seen[0]["loss"] == pytest.approx(whole) and seen[0]["step"] == 0
    assert opt.last_decision() == seen[-1]


@pytest.mark.parametrize("order", ["zero first", "zero after the loss", "zero last"])
def test_a_step_that_a_gradient_scaler_leaves_out_does_not_tick(order):
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    seen = []
    opt.on_decision(seen.append)
    for step in range(4):
        if order == "zero first":
            opt.zero_grad()
        loss = loss_of(net, x, y) * (1000.0 if step == 2 else 1.0)
        opt.observe(loss)
        if order == "zero after the loss":
            opt.zero_grad()
        scaler.scale(loss).backward()
        if step == 2:
            net[0].weight.grad[0, 0] = float("inf")
        norm = torch.cat([p.grad.reshape(-1) for p in net.parameters()]).norm().item() / scaler.get_scale()
        scaler.step(opt)
        scaler.update()
        if order == "zero last":
            opt.zero_grad()
    assert opt.steps == 3 and len(seen) == 3
    assert seen[2]["loss"] < 100.0 and norm < 100.0


def test_a_loss_given_as_the_closure_is_refused_with_the_right_call():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3), total_steps=20)
    loss = loss_of(net, x, y)
    loss.backward()
    for given in (loss, loss.item()):
        with pytest.raises(TypeError, match=r"opt.step\(loss=loss\)"):
            opt.step(given)
    opt.step(loss=loss)
    assert (opt.steps, opt.total_steps) == (1, 20)


def test_losses_of_any_kind_and_none():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3))
    loss_of(net, x, y).backward()
    with pytest.raises(RuntimeError, match="there is no loss"):
        opt.step()
    with pytest.raises(ValueError, match=r"shape \[64, 1\]"):
        opt.observe((net(x) - y).square())
    with pytest.raises(TypeError, match="is a str"):
        opt.observe("1.0")
    with pytest.raises(ValueError, match="closure returned None"):
        opt.step(lambda: None)
    loss = loss_of(net, x, y)
    assert opt.step(lambda: loss) is loss
    opt.step(loss=torch.tensor([0.5], dtype=torch.float64))
    opt.step(loss=0.5)
    assert opt.steps == 3


def test_the_first_loss_must_be_finite_and_a_gradient_must_be_there():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3))
    with pytest.raises(RuntimeError, match="no parameter has a gradient"):
        opt.step(loss=1.0)
    loss_of(net, x, y).backward()
    with pytest.raises(ValueError, match="the loss of the first step is nan"):
        opt.step(loss=float("nan"))


def test_what_cannot_be_controlled_is_refused():
    net, x, y = problem()
    params = list(net.parameters())
    sgd = torch.optim.SGD(params, lr=1e-3)
    for optimizer, message in [
        (net, "must be a torch.optim.Optimizer"),
        (params, "is a list"),
        (torch.optim.LBFGS(params), "LBFGS"),
        (torch.optim.Rprop(params), "Rprop keeps step lengths of its own"),
        (torch.optim.ASGD(params), "ASGD keeps step lengths of its own"),
        (qgd.QController(sgd), "controlled already"),
    ]:
        with pytest.raises(TypeError, match=message):
            qgd.QController(optimizer)
    for arguments, message in [
        ({"total_steps": -1}, "total_steps is -1"),
        ({"total_steps": 1.5}, "total_steps is 1.5"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"steps_per_epoch": "ten"}, "steps_per_epoch is 'ten'"),
        ({"rollback": "all"}, "rollback is 'all'"),
        ({"controller": "nothing"}, "is no controller"),
        ({"controller": "weight-decay"}, "has none"),
        ({"lr_bounds": (1.0, 0.1)}, "lr"),
        ({"lr_bounds": (1e-6, 1e-5)}, "lr of the optimizer is 0.001, outside"),
    ]:
        with pytest.raises(ValueError, match=message):
            qgd.QController(sgd, **{"controller": "lr", **arguments})
    with pytest.raises(TypeError, match="model is a Parameter"):
        qgd.QController(sgd, model=params)
    with pytest.raises(ValueError, match="learning rate is 0"):
        qgd.QController(torch.optim.SGD(params, lr=0.0))
    elsewhere = torch.nn.Parameter(torch.zeros(2, device="meta"))
    with pytest.raises(ValueError, match="several devices"):
        qgd.QController(torch.optim.SGD([*params, elsewhere], lr=0.1))
    embedding = torch.nn.Embedding(4, 2, sparse=True)
    opt = qgd.QController(torch.optim.SGD(embedding.parameters(), lr=0.1))
    loss = embedding(torch.tensor([1])).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="sparse"):
        opt.step(loss=loss)


def test_steps_that_only_make_state_pass_through():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-3))
    before = values(net)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    opt.step()
    assert opt.steps == 0 and len(opt.state) == 4 and same(values(net), before)
    loss = loss_of(net, x, y)
    loss.backward()
    opt.param_groups[0]["lr"] = 0.0
    opt.step(loss=loss)
    opt.param_groups[0]["lr"] = 1e-3
    assert opt.steps == 0 and same(values(net), before)
    train(net, opt, x, y, 1)
    assert opt.steps == 1


@pytest.mark.parametrize("rollback", ["state", "parameters", "cpu", False])
@pytest.mark.parametrize("looks_first", [True, False])
def test_a_broken_step_is_undone_as_far_as_was_asked_for(rollback, looks_first):
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
    _, x, y = problem()
    opt = qgd.QController(
        torch.optim.Adam(net.parameters(), lr=1e-3), model=net, rollback=rollback, looks_first=looks_first
    )
    train(net, opt, x, y, 100)
    step_of = opt.state[net[0].weight]["step"]
    broken = x.clone()
    broken[0, 0] = float("nan")
    train(net, opt, broken, y, 1)
    if rollback:
        assert bool(net[1].running_mean.isfinite().all()) or not looks_first
    train(net, opt, x, y, 100)
    if rollback:
        assert all(bool(p.isfinite().all()) for p in [*net.parameters(), net[1].running_mean])
        assert opt.broken_batches == 1 or not looks_first
        assert loss_of(net, x, y).item() < 0.6
    assert opt.state[net[0].weight]["step"] is step_of


class Reads(TorchDispatchMode):
    """Counts how often the host reads a number that lies on the device."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return function(*args, **(kwargs or {}))


def n_reads(opt, net, x, y):
    """Reads of one step, those of the backward pass left out."""
    opt.zero_grad()
    loss = loss_of(net, x, y)
    loss.backward()
    with Reads() as counted:
        opt.step(loss=loss) if isinstance(opt, qgd.QController) else opt.step()
    return counted.n


@pytest.mark.parametrize("lr", [1e-3, torch.tensor(1e-3)])
def test_between_decisions_nothing_is_read_where_it_does_not_look_first(lr):
    net, x, y = problem()
    base = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    own = n_reads(base, net, x, y)
    opt = qgd.QController(base, looks_first=False)
    steps = [(opt.is_due, n_reads(opt, net, x, y)) for _ in range(200)]
    between = [n for is_due, n in steps if not is_due]
    assert len(between) > 50 and max(between) == own


def test_a_rate_in_a_tensor_is_known_however_the_tensor_rounds_it():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=torch.tensor(1e-5)), "always-accept")
    train(net, opt, x, y, 100)
    tensor, first = opt.param_groups[0]["lr"], opt.lr
    assert torch.equal(tensor, torch.tensor(1e-5)) and first == tensor.item()
    opt = qgd.QController(opt.optimizer, total_steps=400)
    written = []
    opt.on_decision(lambda record: written.append(record["lr"]))
    train(net, opt, x, y, 100)
    factors = {round(b / a, 12) for a, b in zip(written, written[1:])}
    assert len(written) > 30 and factors <= {0.5, 1.0, 1.25}, "as exact as without a tensor"
    tensor.fill_(3e-3)
    train(net, opt, x, y, 1)
    assert opt.lr / tensor.item() == pytest.approx(1.0, rel=1e-6) and opt.lr > 1e-3


def test_an_exploded_run_goes_back():
    net, x, y = problem()
    base = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    opt = qgd.QController(base, "lr", total_steps=160)
    train(net, opt, x, y, 100)
    kept = [p.data_ptr() for p in net.parameters()]
    moments = [base.state[p]["momentum_buffer"].data_ptr() for p in net.parameters()]
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1e4)
    losses = train(net, opt, x, y, 60)
    assert opt.rollbacks >= 1 and losses[-1] < 0.1
    assert kept == [p.data_ptr() for p in net.parameters()]
    assert moments == [base.state[p]["momentum_buffer"].data_ptr() for p in net.parameters()]


def test_half_precision_is_measured_in_single():
    net, x, y = problem()
    net, x, y = net.bfloat16(), x.bfloat16(), y.bfloat16()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3), total_steps=50)
    losses = train(net, opt, x, y, 50)
    assert losses[-1] < losses[0] and opt.lr > 0


def test_large_nets_are_measured_by_a_sample():
    net = torch.nn.Sequential(torch.nn.Linear(4, 300), torch.nn.Tanh(), torch.nn.Linear(300, 300), torch.nn.Linear(300, 1))
    _, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-5), total_steps=100)
    losses = train(net, opt, x, y, 100)
    assert opt._sample.n_sampled == 65_536 < opt._sample.n_params
    joined = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
    from qgd import _core

    drawn = torch.from_numpy(_core.sample(joined.numel(), 0))
    assert torch.equal(opt._sample.of_params(), joined[drawn])
    assert losses[-1] < losses[0]


def test_weight_decay_is_moved_too():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2), "joint", total_steps=200)
    for _ in range(200):
        if opt.is_due:
            opt.observe_validation(loss_of(net, x, y).item())
        train(net, opt, x, y, 1)
    assert opt.param_groups[0]["weight_decay"] == opt.weight_decay != 1e-2


def test_a_missing_validation_loss_is_said_once():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-3), "joint", total_steps=200)
    with pytest.warns(UserWarning, match="observe_validation") as warned:
        train(net, opt, x, y, 200)
    assert len(warned) == 1


def test_nothing_is_said_without_need():
    net, x, y = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=1e-3))
        scheduler = torch.optim.lr_scheduler.StepLR(opt, 10)
        for _ in range(20):
            train(net, opt, x, y, 1)
            scheduler.step()


def schedule_free(params, lr):
    opt = need("schedulefree").AdamWScheduleFree(params, lr=lr)
    opt.train()
    return opt


def muon(params, lr):
    return torch.optim.Muon([p for p in params if p.ndim == 2], lr=lr)


@pytest.mark.parametrize("make", [schedule_free, muon])
def test_optimizers_of_today_are_controlled_too(make):
    nets = [problem()[0] for _ in range(2)]
    _, x, y = problem()
    bare = make(nets[0].parameters(), 1e-2)
    wrapped = qgd.QController(make(nets[1].parameters(), 1e-2), "always-accept")
    assert train(nets[0], bare, x, y, 30) == train(nets[1], wrapped, x, y, 30)
    net, x, y = problem()
    opt = qgd.QController(make(net.parameters(), 1e-5), "lr", total_steps=300)
    losses = train(net, opt, x, y, 300)
    assert losses[-1] < 0.3 * losses[0] and opt.counts["grow"] > 20


def test_a_compiled_net_is_trained_as_another():
    nets = [problem()[0] for _ in range(2)]
    _, x, y = problem()
    runs = [qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-4), total_steps=60) for net in nets]
    compiled = torch.compile(nets[1], backend="eager")
    assert train(nets[0], runs[0], x, y, 60) == train(compiled, runs[1], x, y, 60)
    assert runs[0].lr == runs[1].lr


@pytest.mark.filterwarnings("ignore::UserWarning:torch.distributed")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_distributed_checkpoint_keeps_the_controller(tmp_path):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-4), total_steps=200)
    train(net, opt, x, y, 50)
    dcp.save({"net": net.state_dict(), "opt": get_optimizer_state_dict(net, opt)}, checkpoint_id=tmp_path)
    train(net, opt, x, y, 50)
    other, _, _ = problem(seed=3)
    resumed = qgd.QController(torch.optim.Adam(other.parameters(), lr=1e-4), total_steps=200)
    state = {"net": other.state_dict(), "opt": get_optimizer_state_dict(other, resumed)}
    dcp.load(state, checkpoint_id=tmp_path)
    other.load_state_dict(state["net"])
    set_optimizer_state_dict(other, resumed, state["opt"])
    train(other, resumed, x, y, 50)
    assert same(values(net), values(other)) and (resumed.lr, resumed.steps) == (opt.lr, 100)
