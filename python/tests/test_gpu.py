"""`QController` on a GPU: `make gpu-check`. QGD_DEVICE=cpu runs those tests that can be run without one there."""

import os

import pytest
from conftest import REQUIRED, need

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
torch = need("torch")

from test_torch import loss_of, problem, same, values  # noqa: E402

import qgd  # noqa: E402

DEVICE = os.environ.get("QGD_DEVICE", "cuda")

if DEVICE == "cuda" and "cuda" not in REQUIRED and not torch.cuda.is_available():
    pytest.skip("there is no GPU that PyTorch can use", allow_module_level=True)

on_cuda = pytest.mark.skipif(DEVICE != "cuda", reason="is about CUDA alone")


def problem_here(seed=0):
    return [one.to(DEVICE) for one in problem(seed)]


def train(net, opt, x, y, n_steps):
    """Steps whose losses nobody reads."""
    for _ in range(n_steps):
        opt.zero_grad()
        loss = loss_of(net, x, y)
        loss.backward()
        opt.step(loss=loss) if isinstance(opt, qgd.QController) else opt.step()


OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2),
    "adamw, fused": lambda p: torch.optim.AdamW(p, lr=1e-2, fused=True),
    "adam, capturable": lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-2, device=DEVICE), capturable=DEVICE == "cuda"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_who_always_accepts_is_the_bare_optimizer_to_the_bit(name):
    nets = []
    for wrap in (lambda opt: opt, lambda opt: qgd.QController(opt, "always-accept")):
        net, x, y = problem_here()
        train(net, wrap(OPTIMIZERS[name](net.parameters())), x, y, 300)
        nets.append(values(net))
    assert same(*nets)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_goes_on_to_the_bit(name, tmp_path):
    net, x, y = problem_here()
    opt = qgd.QController(OPTIMIZERS[name](net.parameters()), total_steps=400)
    train(net, opt, x, y, 100)
    torch.save({"net": net.state_dict(), "opt": opt.state_dict()}, tmp_path / "saved.pt")
    train(net, opt, x, y, 200)
    other, _, _ = problem_here(seed=9)
    resumed = qgd.QController(OPTIMIZERS[name](other.parameters()), total_steps=400)
    saved = torch.load(tmp_path / "saved.pt", weights_only=True)
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["opt"])
    train(other, resumed, x, y, 200)
    assert same(values(net), values(other)) and (resumed.lr, resumed.counts) == (opt.lr, opt.counts)


@pytest.mark.parametrize("lr", [1e-5, 1e-3, 1.0])
def test_a_rate_is_found_from_any_start(lr):
    net, x, y = problem_here()
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=lr), total_steps=600)
    train(net, opt, x, y, 600)
    assert loss_of(net, x, y).item() < 0.05


@on_cuda
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_host_waits_for_the_device_at_decisions_alone(name):
    net, x, y = problem_here()
    opt = qgd.QController(OPTIMIZERS[name](net.parameters()))
    train(net, opt, x, y, 100)
    n_between = 0
    for _ in range(60):
        torch.cuda.set_sync_debug_mode("default" if opt.is_due else "error")
        n_between += not opt.is_due
        train(net, opt, x, y, 1)
    torch.cuda.set_sync_debug_mode("default")
    assert n_between > 30


@pytest.mark.parametrize("rollback", ["state", "parameters", "cpu"])
def test_a_broken_batch_is_left_out_on_the_device(rollback):
    net, x, y = problem_here()
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-2), rollback=rollback, looks_first=False)
    train(net, opt, x, y, 100)
    before = values(net)
    broken = x.clone()
    broken[0, 0] = float("nan")
    while opt.is_due:
        train(net, opt, x, y, 1)
        before = values(net)
    train(net, opt, broken, y, 1)
    assert all(bool(p.isfinite().all()) for p in net.parameters()) and not same(values(net), before)
    train(net, opt, x, y, 100)
    assert loss_of(net, x, y).item() < 0.1


def test_an_exploded_run_goes_back():
    net, x, y = problem_here()
    opt = qgd.QController(torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9))
    train(net, opt, x, y, 100)
    places = [p.data_ptr() for p in net.parameters()]
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1e4)
    train(net, opt, x, y, 60)
    assert opt.rollbacks >= 1 and loss_of(net, x, y).item() < 1.0
    assert places == [p.data_ptr() for p in net.parameters()]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(dtype):
    net, x, y = problem_here()
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-5), total_steps=400)
    scaler = torch.amp.GradScaler(DEVICE, enabled=dtype == torch.float16)
    for _ in range(400):
        opt.zero_grad()
        with torch.autocast(DEVICE, dtype):
            loss = loss_of(net, x, y)
        opt.observe(loss)
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
    # The first steps of a scaler find its scale: they are left out and do not count.
    assert opt.steps > 380 and loss_of(net, x, y).item() < 0.1


@on_cuda
def test_a_compiled_net_is_trained():
    net, x, y = problem_here()
    compiled = torch.compile(net)
    opt = qgd.QController(torch.optim.AdamW(net.parameters(), lr=1e-5), total_steps=400)
    train(compiled, opt, x, y, 400)
    assert loss_of(net, x, y).item() < 0.1


def test_large_nets_are_measured_by_a_sample_on_the_device():
    _, x, y = problem_here()
    net = torch.nn.Sequential(torch.nn.Linear(4, 600), torch.nn.Tanh(), torch.nn.Linear(600, 600), torch.nn.Linear(600, 1))
    net = net.to(DEVICE)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=1e-5), total_steps=200)
    train(net, opt, x, y, 200)
    assert opt._sample.of_params().device.type == DEVICE and opt._sample.n_sampled == 65_536
    assert loss_of(net, x, y).item() < 0.2
