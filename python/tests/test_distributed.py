"""Several processes that train one net: all take the same decisions."""

import contextlib
import copy
import os
import time

import pytest
from conftest import need

torch = need("torch")

import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from test_torch import loss_of, problem, values  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import qgd  # noqa: E402


def in_processes(n, folder, job, *args):
    """What `job(rank, n, *args)` returns in each of n processes of one gloo group."""
    mp.start_processes(_process, args=(n, str(folder), job, args), nprocs=n, start_method="fork")
    return [torch.load(folder / f"{rank}.pt") for rank in range(n)]


def _process(rank, n, folder, job, args):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=n)
    torch.save(job(rank, n, *args), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def history(opt):
    """All decisions of a run, as they are taken."""
    seen = []
    opt.on_decision(lambda record: seen.append((record["step"], record["lr"], record["reason"])))
    return seen


def train_ddp(rank, n, accumulate, broken):
    net, x, y = problem()
    net = DistributedDataParallel(net)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-5), total_steps=150)
    seen = history(opt)
    mine = slice(rank * 64 // n, (rank + 1) * 64 // n)
    x, y = x[mine], y[mine]
    for step in range(150):
        opt.zero_grad()
        for part in range(accumulate):
            last = part == accumulate - 1
            with contextlib.nullcontext() if last else net.no_sync():
                here = x * float("nan") if step == broken and rank == 1 and last else x
                loss = loss_of(net, here, y)
                (loss / accumulate).backward()
                opt.observe(loss)
        opt.step()
    return {"seen": seen, "params": values(net.module), "loss": loss.item(), "broken": opt.broken_batches}


def alone(lr=1e-5, n_steps=150):
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=lr), total_steps=n_steps)
    seen = history(opt)
    for _ in range(n_steps):
        opt.zero_grad()
        loss = loss_of(net, x, y)
        loss.backward()
        opt.step(loss=loss)
    return {"seen": seen, "loss": loss.item(), "params": values(net)}


@pytest.mark.parametrize(("n", "accumulate"), [(2, 1), (4, 1), (2, 3)])
def test_processes_of_ddp_decide_as_one(n, accumulate, tmp_path):
    results = in_processes(n, tmp_path, train_ddp, accumulate, None)
    first, one = results[0], alone()
    for other in results[1:]:
        assert other["seen"] == first["seen"]
        assert all(map(torch.equal, other["params"], first["params"]))
    assert len(first["seen"]) > 60
    # The sums of several processes are rounded otherwise than those of one.
    assert [(step, reason) for step, _, reason in first["seen"][:40]] == [(s, r) for s, _, r in one["seen"][:40]]
    mean = sum(result["loss"] for result in results) / n
    assert mean == pytest.approx(one["loss"], rel=0.5) and mean < 0.1


def test_a_broken_batch_of_one_process_is_left_out_by_all(tmp_path):
    results = in_processes(2, tmp_path, train_ddp, 1, 120)
    assert results[0]["seen"] == results[1]["seen"]
    assert [result["broken"] for result in results] == [1, 1] and results[0]["loss"] < 0.1


def train_fsdp(rank, n, wraps_parts):
    from torch.distributed.fsdp import fully_shard

    net, x, y = problem()
    if wraps_parts:
        for part in (net[0], net[2]):
            fully_shard(part)
    fully_shard(net)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-5), total_steps=150)
    seen = history(opt)
    mine = slice(rank * 64 // n, (rank + 1) * 64 // n)
    for step in range(150):
        opt.zero_grad()
        loss = loss_of(net, x[mine], y[mine])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1e3)
        opt.step(loss=loss)
        if step == 100:
            with torch.no_grad():
                for p in net.parameters():
                    p.to_local().mul_(1e6)
    whole = [p.full_tensor() for p in net.parameters()]
    return {"seen": seen, "loss": loss.item(), "params": whole, "rollbacks": opt.rollbacks}


@pytest.mark.parametrize("wraps_parts", [False, True])
def test_processes_of_fsdp2_measure_the_whole_net_and_go_back(wraps_parts, tmp_path):
    results, one = in_processes(2, tmp_path, train_fsdp, wraps_parts), alone()
    assert results[0]["seen"] == results[1]["seen"]
    assert [(s, r) for s, _, r in results[0]["seen"][:40]] == [(s, r) for s, _, r in one["seen"][:40]]
    lrs = [[lr for _, lr, _ in run["seen"][:40]] for run in (results[0], one)]
    assert lrs[0] == pytest.approx(lrs[1])
    assert results[0]["rollbacks"] >= 1 and results[0]["loss"] < 0.3


def resume_fsdp(rank, n, folder):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
    from torch.distributed.fsdp import fully_shard

    def make():
        net, x, y = problem()
        fully_shard(net)
        opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-4), total_steps=400)
        return net, opt, x[rank::n], y[rank::n]

    def run(net, opt, x, y, n_steps):
        seen = []
        opt.on_decision(lambda record: seen.append((record["step"], record["lr"], record["features"])))
        for _ in range(n_steps):
            opt.zero_grad()
            loss = loss_of(net, x, y)
            loss.backward()
            opt.step(loss=loss)
        return str(seen)

    net, opt, x, y = make()
    run(net, opt, x, y, 90)
    # Until no losses wait for a decision: they are those of the process that saves.
    while opt._losses.kept_numbers():
        run(net, opt, x, y, 1)
    of_net, of_opt = get_state_dict(net, opt)
    dcp.save({"net": of_net, "opt": of_opt}, checkpoint_id=folder)
    own, weights = copy.deepcopy(opt.state_dict()), copy.deepcopy(net.state_dict())
    seen = {"on": run(net, opt, x, y, 60)}
    for name in ("own", "anew", "dcp"):
        net, opt, x, y = make()
        if name == "dcp":
            of_net, of_opt = get_state_dict(net, opt)
            saved = {"net": of_net, "opt": of_opt}
            dcp.load(saved, checkpoint_id=folder)
            set_state_dict(net, opt, model_state_dict=saved["net"], optim_state_dict=saved["opt"])
        else:
            net.load_state_dict(copy.deepcopy(weights))
            opt.load_state_dict(copy.deepcopy(own))
        if name == "anew":
            opt._reset_measure()
        seen[name] = run(net, opt, x, y, 60)
    return seen


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_resumed_process_of_fsdp2_goes_on_from_its_own_measurements_or_measures_anew(tmp_path):
    first, second = in_processes(2, tmp_path, resume_fsdp, str(tmp_path / "saved"))
    assert first == second
    assert first["own"] == first["on"] != first["anew"] == first["dcp"]


def disagree(rank, n):
    net, x, y = problem()
    net = DistributedDataParallel(net)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-5 * (1 + rank)))
    loss = loss_of(net, x, y)
    loss.backward()
    with pytest.raises(RuntimeError, match="the processes disagree"):
        opt.step(loss=loss)


def test_processes_that_began_otherwise_are_told(tmp_path):
    in_processes(2, tmp_path, disagree)


def each_on_its_own(rank, n):
    net, x, y = problem(rank)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-5 * (1 + rank)), process_group=False)
    for _ in range(3 + rank):
        opt.zero_grad()
        loss = loss_of(net, x, y)
        loss.backward()
        opt.step(loss=loss)
    return opt.steps


def test_processes_that_train_nets_of_their_own_say_so(tmp_path):
    assert in_processes(2, tmp_path, each_on_its_own) == [3, 4]


def with_one_that_dies(rank, n, folder):
    import datetime

    dist.destroy_process_group()
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/again",
        rank=rank,
        world_size=n,
        timeout=datetime.timedelta(seconds=3),
    )
    net, x, y = problem()
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-5))
    for step in range(5):
        opt.zero_grad()
        loss = loss_of(net, x, y)
        loss.backward()
        if rank == 1 and step == 3:
            time.sleep(6)
            return "dead"
        if step < 3:
            opt.step(loss=loss)
            continue
        start = time.monotonic()
        with pytest.raises(RuntimeError):
            opt.step(loss=loss)
        return time.monotonic() - start


def test_a_process_that_is_gone_holds_the_others_no_longer_than_the_groups_timeout(tmp_path):
    waited, _ = in_processes(2, tmp_path, with_one_that_dies, str(tmp_path))
    assert waited < 5.0
