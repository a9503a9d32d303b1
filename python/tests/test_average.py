"""`average=`: a running average of the weights, for runs whose length nobody knows."""

import copy
import io

import pytest
from conftest import need

torch = need("torch")

from test_distributed import DistributedDataParallel, in_processes  # noqa: E402
from test_torch import OPTIMIZERS, loss_of, problem, same, train, values  # noqa: E402

import qgd  # noqa: E402


def controlled(name, params, **options):
    return qgd.QController(OPTIMIZERS[name](params), "lr", **options)


def shown(net, opt):
    with opt.averaged():
        return values(net)


def slow_average(all_weights, share):
    """The average by its definition, in double precision."""
    mean = [torch.zeros_like(p, dtype=torch.float64) for p in all_weights[0]]
    for t, weights in enumerate(all_weights, 1):
        mean = [m + (w.double() - m) / max(1.0, share * t) for m, w in zip(mean, weights)]
    return mean


def off(ours, theirs):
    return max((a.double() - b.double()).abs().max().item() for a, b in zip(ours, theirs))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_it_is_what_its_definition_says_and_moves_no_step(name, share):
    (net, x, y), (plain, _, _) = problem(), problem()
    opt = qgd.QController(OPTIMIZERS[name](net.parameters()), "constant", average=share)
    before, applied = values(net), []
    assert same(shown(net, opt), before)
    train(net, opt, x, y, 80, lambda _: applied.append(values(net)))
    assert off(shown(net, opt), slow_average(applied, share)) < 1e-5
    train(plain, OPTIMIZERS[name](plain.parameters()), x, y, 80)
    assert same(values(net), values(plain)), "the weights in training are back to the bit"


def test_without_one_nothing_is_shown_or_finished():
    net, x, y = problem()
    opt = controlled("adam", net.parameters())
    train(net, opt, x, y, 20)
    before = values(net)
    assert same(shown(net, opt), before)
    opt.finish()
    assert same(values(net), before) and not any("qgd_average" in state for state in opt.state.values())


def test_a_finished_run_goes_on_from_its_average_and_begins_another():
    net, x, y = problem()
    opt = controlled("momentum", net.parameters(), average=0.2)
    train(net, opt, x, y, 40)
    average, steps = shown(net, opt), opt.steps
    opt.finish()
    assert same(values(net), average) and opt.is_due
    train(net, opt, x, y, 1)
    assert opt.steps == steps + 1 and same(shown(net, opt), values(net))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("clone", ["checkpoint", "deepcopy"])
def test_a_resumed_run_has_the_same_average_to_the_bit(kind, clone):
    net, x, y = problem()
    net, x, y = net.to(kind), x.to(kind), y.to(kind)
    opt = controlled("adamw", net.parameters(), average=0.1)
    train(net, opt, x, y, 60)
    if clone == "deepcopy":
        other, resumed = copy.deepcopy((net, opt))
    else:
        file = io.BytesIO()
        torch.save({"net": net.state_dict(), "opt": opt.state_dict()}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        other = problem(seed=9)[0].to(kind)
        resumed = controlled("adamw", other.parameters(), average=0.1)
        other.load_state_dict(saved["net"])
        resumed.load_state_dict(saved["opt"])
    for run in ((net, opt), (other, resumed)):
        train(*run, x, y, 60)
    averages = [[state["qgd_average"] for state in run.state.values()] for run in (opt, resumed)]
    assert same(*averages) and all(average.dtype == torch.float32 for average in averages[0])
    assert same(shown(net, opt), shown(other, resumed)) and not same(shown(net, opt), values(net))


def test_checkpoints_go_to_runs_without_one_and_come_from_them():
    net, x, y = problem()
    opt = controlled("adam", net.parameters(), average=0.1)
    train(net, opt, x, y, 30)
    saved = copy.deepcopy(opt.state_dict())
    without = controlled("adam", net.parameters())
    without.load_state_dict(saved)
    assert not any("qgd_average" in state for state in without.state.values())
    torch.optim.Adam(net.parameters()).load_state_dict(saved)
    train(net, without, x, y, 5)
    again = controlled("adam", net.parameters(), average=0.1)
    again.load_state_dict(copy.deepcopy(without.state_dict()))
    train(net, again, x, y, 1)
    assert same(shown(net, again), values(net)), "it begins anew"


@pytest.mark.parametrize("rollback", ["state", "cpu", "parameters", False])
def test_what_is_undone_is_not_in_it(rollback):
    net, x, y = problem()
    opt = controlled("sgd", net.parameters(), average=0.2, rollback=rollback)
    train(net, opt, x, y, 70)
    with torch.no_grad():
        net[2].weight.mul_(1e4)
    n_before = opt.rollbacks
    while opt.rollbacks == n_before:
        assert opt.steps < 200
        train(net, opt, x, y, 1)
    train(net, opt, x, y, 1)
    if rollback:
        assert max(p.abs().max() for p in shown(net, opt)) < 100.0
        with opt.averaged():
            assert loss_of(net, x, y) < 10.0
    else:
        assert opt._n_averaged <= 1, "it begins anew where nothing is kept"


def test_a_start_that_is_undone_is_not_in_it():
    net, x, y = problem()
    opt = controlled("sgd", net.parameters(), average=0.2)
    for group in opt.param_groups:
        group["lr"] = 1e3
    train(net, opt, x, y, 100)
    assert opt.rollbacks > 0
    with opt.averaged():
        assert loss_of(net, x, y) < 1.0


def test_a_group_that_is_added_later_is_averaged_from_there():
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net[0].parameters(), lr=1e-3), average=0.1)
    train(net, opt, x, y, 40)
    opt.add_param_group({"params": net[2].parameters()})
    train(net, opt, x, y, 1)
    assert same(shown(net, opt)[2:], values(net)[2:]) and not same(shown(net, opt)[:2], values(net)[:2])


def test_while_it_is_shown_there_are_no_steps():
    net, x, y = problem()
    opt = controlled("adam", net.parameters(), average=0.1)
    train(net, opt, x, y, 20)
    before = values(net)
    with pytest.raises(RuntimeError, match="leave the `with opt.averaged"), opt.averaged():
        train(net, opt, x, y, 1)
    assert same(values(net), before)
    for wrong in (opt.finish, lambda: opt.averaged().__enter__()):
        with pytest.raises(RuntimeError, match="leave the `with opt.averaged"), opt.averaged():
            wrong()
        assert same(values(net), before)
    train(net, opt, x, y, 1)


@pytest.mark.parametrize("average", [0.0, -0.1, 1.5, float("nan"), True, "0.1"])
def test_a_window_that_cannot_be_is_refused(average):
    net, _, _ = problem()
    with pytest.raises(ValueError, match="average is .* above 0, at most 1"):
        controlled("adam", net.parameters(), average=average)


def average_in(rank, n, is_spread):
    net, x, y = problem()
    if is_spread:
        from torch.distributed.fsdp import fully_shard

        fully_shard(net)
    else:
        net = DistributedDataParallel(net)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-3), average=0.1)
    train(net, opt, x, y, 80)
    with opt.averaged():
        whole = [p.full_tensor() if is_spread else p.detach().clone() for p in net.parameters()]
    return {"average": whole, "rollbacks": opt.rollbacks}


@pytest.mark.parametrize("is_spread", [False, True])
def test_processes_have_one_average(is_spread, tmp_path):
    first, second = in_processes(2, tmp_path, average_in, is_spread)
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-3), average=0.1)
    train(net, opt, x, y, 80)
    assert same(first["average"], second["average"]) and first["rollbacks"] == opt.rollbacks == 0
    assert off(first["average"], shown(net, opt)) < 1e-3


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_distributed_checkpoint_keeps_it(name, tmp_path):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net, x, y = problem()
    opt = controlled(name, net.parameters(), average=0.1)
    train(net, opt, x, y, 50)
    dcp.save({"net": net.state_dict(), "opt": get_optimizer_state_dict(net, opt)}, checkpoint_id=tmp_path)
    other, _, _ = problem(seed=3)
    resumed = controlled(name, other.parameters(), average=0.1)
    state = {"net": other.state_dict(), "opt": get_optimizer_state_dict(other, resumed)}
    dcp.load(state, checkpoint_id=tmp_path)
    other.load_state_dict(state["net"])
    set_optimizer_state_dict(other, resumed, state["opt"])
    for run in ((net, opt), (other, resumed)):
        train(*run, x, y, 50)
    assert same(shown(net, opt), shown(other, resumed)) and not same(shown(net, opt), values(net))
