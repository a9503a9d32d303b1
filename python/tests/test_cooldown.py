"""`cool_down`: a run that learns late how many steps it has left."""

import copy

import numpy as np
import pytest
from conftest import need

torch = need("torch")

from test_distributed import DistributedDataParallel, history, in_processes  # noqa: E402
from test_torch import OPTIMIZERS, loss_of, problem, same, train, values  # noqa: E402

import qgd  # noqa: E402


def rates_of(opt, n_steps, calls=(), scheduler=None):
    """The rates that the optimizer's own steps are taken with; before step `at` it is told that `n` steps are left."""
    net, x, y = problem()
    opt = opt(net.parameters())
    scheduler = scheduler and scheduler(opt)
    used = []
    opt.optimizer.register_step_pre_hook(lambda base, *_: used.append(float(base.param_groups[-1]["lr"])))
    for step in range(n_steps):
        for at, n in calls:
            if at == step:
                opt.cool_down(n)
        train(net, opt, x, y, 1)
        if scheduler is not None:
            scheduler.step()
    return used, opt


def constant(params, **options):
    return qgd.QController(torch.optim.SGD(params, lr=0.05), "constant", **options)


@pytest.mark.parametrize(("begin", "n"), [(0, 1), (0, 20), (7, 13), (19, 1), (4, 5)])
def test_the_rate_falls_in_a_straight_line_and_stays_at_the_last_one(begin, n):
    used, opt = rates_of(constant, 20, [(begin, n)])
    assert used == pytest.approx([0.05 * (1 - min(max(step - begin, 0), n - 1) / n) for step in range(20)])
    assert opt.total_steps == begin + n


def test_the_last_call_counts_and_the_rate_never_rises_by_one():
    used, opt = rates_of(constant, 20, [(4, 10), (9, 50), (14, 2)])
    # 1 - 5/10 at step 9, of which 1 - 5/50 at step 14.
    falls = [*[1.0] * 4, *(1 - k / 10 for k in range(5)), *(0.5 * (1 - k / 50) for k in range(5)), 0.45, *[0.225] * 5]
    assert used == pytest.approx([0.05 * factor for factor in falls])
    assert opt.total_steps == 16


def test_a_cooldown_is_the_one_of_a_budget_that_was_known():
    adam = lambda **options: lambda params: qgd.QController(torch.optim.Adam(params, lr=1e-3), **options)  # noqa: E731
    used, opt = rates_of(adam(total_steps=200), 200, [(150, 50)])
    known, other = rates_of(adam(total_steps=200), 200)
    assert used == pytest.approx(known, rel=1e-9) and opt.counts == other.counts


def test_it_falls_beside_a_scheduler():
    halved = lambda opt: torch.optim.lr_scheduler.LambdaLR(opt, lambda step: 0.5 if step >= 5 else 1.0)  # noqa: E731
    used, opt = rates_of(constant, 10, [(3, 4)], halved)
    falls = [1.0, 1.0, 1.0, 1.0, 0.75, 0.25, 0.125, 0.125, 0.125, 0.125]
    assert used == pytest.approx([0.05 * factor for factor in falls])
    assert opt.param_groups[0]["lr"] == 0.025, "the schedule's own rate stands in the groups between two steps"


def test_ratios_of_groups_are_kept():
    groups = lambda params: [{"params": [p], "lr": lr} for p, lr in zip(params, (0.1, 0.2, 0.3, 0.4))]  # noqa: E731
    used, _ = rates_of(lambda params: qgd.QController(torch.optim.SGD(groups(params)), "constant"), 8, [(4, 4)])
    assert used == pytest.approx([0.4, 0.4, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("name", ["momentum", "adamw", "adamw, lr on the device"])
@pytest.mark.parametrize("clone", ["checkpoint", "deepcopy"])
def test_a_run_that_is_resumed_in_its_cooldown_goes_on_to_the_bit(name, clone):
    net, x, y = problem()
    opt = qgd.QController(OPTIMIZERS[name](net.parameters()), "lr")
    train(net, opt, x, y, 100)
    opt.cool_down(60)
    train(net, opt, x, y, 20)
    if clone == "deepcopy":
        other, resumed = copy.deepcopy((net, opt))
    else:
        other, _, _ = problem(seed=9)
        other.load_state_dict(net.state_dict())
        resumed = qgd.QController(OPTIMIZERS[name](other.parameters()), "lr")
        resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert resumed.total_steps == 160
    for run in ((net, opt), (other, resumed)):
        train(*run, x, y, 40)
    assert same(values(net), values(other)) and resumed.lr == opt.lr


@pytest.mark.parametrize("n_steps", [0, -1, 2.5, True, None, "all", 2**63, 2**60])
def test_a_number_of_steps_that_cannot_be_is_refused(n_steps):
    net, x, y = problem()
    opt = constant(net.parameters())
    with pytest.raises(ValueError, match=r"n_steps is .* must be (a whole number, )?at least 1"):
        opt.cool_down(n_steps)
    train(net, opt, x, y, 3)
    assert (opt.lr, opt.total_steps) == (0.05, None)


def test_a_controller_that_leaves_the_rate_alone_says_so():
    net, _, _ = problem()
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-3), "weight-decay")
    with pytest.raises(ValueError, match="'weight-decay' leaves the learning rate to you"):
        opt.cool_down(10)


@pytest.mark.parametrize("make", [lambda: qgd.Driver("constant", 1.0), lambda: qgd.Session("constant", 1.0)])
def test_loops_by_hand_have_it_too(make):
    run, x, used = make(), np.ones(2, dtype=np.float32), []
    for step in range(6):
        if step == 2:
            run.cool_down(4)
        if isinstance(run, qgd.Driver):
            used.append(run.step([1.0], params=x, grad=x).lr)
        else:
            used.append(run.step(1.0, x, np.ones(2, dtype=np.float32))[0])
    assert used == [1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    for n_steps in (0, -3):
        with pytest.raises(ValueError, match=f"n_steps is {n_steps}, but must be at least 1"):
            run.cool_down(n_steps)


def cool_in(rank, n, ranks):
    net, x, y = problem()
    net = DistributedDataParallel(net)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-4))
    seen = history(opt)
    try:
        for step in range(80):
            if step == 20 and rank in ranks:
                opt.cool_down(60)
            opt.zero_grad()
            loss = loss_of(net, x[rank::n], y[rank::n])
            loss.backward()
            opt.step(loss=loss)
    except RuntimeError as error:
        return {"error": str(error)}
    return {"seen": seen, "params": values(net.module), "lr": opt.lr}


def test_processes_cool_down_as_one_and_one_that_forgot_to_is_found(tmp_path):
    first, second = in_processes(2, tmp_path, cool_in, (0, 1))
    assert first["seen"] == second["seen"] and same(first["params"], second["params"])
    assert first["lr"] == second["lr"]
    (tmp_path / "again").mkdir()
    results = in_processes(2, tmp_path / "again", cool_in, (0,))
    assert all("the processes disagree" in result["error"] for result in results)
