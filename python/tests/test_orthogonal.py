"""`qgd.Orthogonal` around optimizers of PyTorch."""

import copy
import io
import pickle

import pytest
from conftest import need

torch = need("torch")

from test_torch import loss_of, problem, same, train, values  # noqa: E402

import qgd  # noqa: E402
from qgd.torch._orthogonal import orthogonalized  # noqa: E402

SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW


def by_svd(change, degree=1.0):
    """The slow way: what all singular values alike would be."""
    matrix = change.reshape(change.shape[0], -1).double()
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    s = degree * torch.ones_like(s) / len(s) ** 0.5 + (1.0 - degree) * s / s.norm()
    turned = u @ torch.diag(s) @ vt
    return (turned * matrix.norm() / turned.norm()).reshape(change.shape).to(change.dtype)


@pytest.mark.parametrize("shape", [(7, 7), (5, 20), (20, 5), (6, 3, 2, 2)])
@pytest.mark.parametrize("degree", [1.0, 0.5, 0.1])
def test_it_is_what_the_svd_says(shape, degree):
    change = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 1e-4
    for steps, tolerance in [(5, 0.13), (8, 1e-4)]:
        found, expected = orthogonalized(change, degree, steps), by_svd(change, degree)
        assert (found - expected).norm() < tolerance * change.norm()
        assert found.norm().item() == pytest.approx(change.norm().item(), rel=1e-5)
    assert torch.equal(orthogonalized(torch.zeros(shape)), torch.zeros(shape))
    # As on a GPU: no less alike, and as long.
    coarse = orthogonalized(change, degree, 5, coarse=True)
    assert coarse.dtype == change.dtype and abs(float(coarse.norm() / change.norm()) - 1.0) < 1e-5
    assert (coarse - by_svd(change, degree)).norm() < 0.13 * change.norm()


BASES = {
    "momentum": lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "sgd, maximize": lambda p: SGD(p, lr=1e-3, momentum=0.9, weight_decay=0.01, maximize=True),
    "adam": lambda p: Adam(p, lr=1e-2, weight_decay=0.01),
    "adamw": lambda p: AdamW(p, lr=1e-2, weight_decay=0.1),
    "adamw, rate in a tensor": lambda p: AdamW(p, lr=torch.tensor(1e-2), weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, momentum=0.5),
    "nadam": lambda p: torch.optim.NAdam(p, lr=1e-3, weight_decay=0.01, decoupled_weight_decay=True),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=1e-2, weight_decay=0.0),
}


@pytest.mark.parametrize("name", BASES)
def test_a_step_is_the_optimizers_own_with_the_changes_turned(name):
    (net, x, y), (bare, _, _) = problem(), problem()
    opt, base = qgd.Orthogonal(BASES[name](net.parameters()), steps=9), BASES[name](bare.parameters())
    for step in range(25):
        before = values(net)
        for p, q in zip(bare.parameters(), before):
            p.data.copy_(q)
        train(bare, base, x, y, 1)
        train(net, opt, x, y, 1)
        decay = 1.0 - 1e-2 * 0.1 if name.startswith("adamw") else 1.0 - 1e-3 * 0.01 if name == "nadam" else 1.0
        for old, own, new in zip(before, values(bare), values(net)):
            if old.dim() < 2 or min(old.shape) < 2:
                assert torch.equal(own, new), "vectors, and matrices of one row, are left to the optimizer"
                continue
            change = by_svd(own - decay * old)
            # The first changes of some have singular values of 0, which stay 0.
            assert step < 20 or (new - decay * old - change).norm() < 0.02 * change.norm()
        # Both have seen the same gradients.
        assert all(torch.equal(a, b) for a, b in zip(_moments(base), _moments(opt)))


def _moments(opt):
    states = [opt.state[p] for group in opt.param_groups for p in group["params"]]
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


def test_plain_sgd_gets_a_filter_first():
    net, x, y = problem()
    opt = qgd.Orthogonal(SGD(net.parameters(), lr=0.05), steps=9)
    mean = torch.zeros_like(net[0].weight)
    for _ in range(4):
        old = net[0].weight.detach().clone()
        train(net, opt, x, y, 1)
        grad = net[0].weight.grad
        mean += 0.05 * (grad - mean)
        expected = by_svd(-0.05 * (grad + 0.95 * (mean - grad)))
        assert (net[0].weight.detach() - old - expected).norm() < 1e-3 * expected.norm()


def test_what_is_left_to_the_optimizer_is_its_own_to_the_bit():
    def words():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 9))

    ids = torch.arange(9)
    nets = [words() for _ in range(3)]
    opts = [
        AdamW(nets[0].parameters(), lr=1e-2),
        qgd.Orthogonal(AdamW(nets[1].parameters(), lr=1e-2), model=nets[1], leave=[nets[1][3]]),
        qgd.Orthogonal(AdamW(nets[2].parameters(), lr=1e-2), degree=0.0),
    ]
    for net, opt in zip(nets, opts):
        torch.nn.functional.cross_entropy(net(ids), ids).backward()
        opt.step()
    bare, turned, none = map(values, nets)
    assert [torch.equal(a, b) for a, b in zip(bare, turned)] == [True, False, True, True, True]
    assert same(bare, none)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("base", [lambda p: SGD(p, lr=0.01), lambda p: AdamW(p, lr=1e-3)])
def test_a_resumed_run_goes_on_to_the_bit_alone_and_under_a_controller(base, every):
    for control in (lambda opt: opt, lambda opt: qgd.QController(opt, total_steps=300, lr_bounds=(1e-4, 0.1))):
        net, x, y = problem()
        opt = control(qgd.Orthogonal(base(net.parameters()), every=every))
        train(net, opt, x, y, 100)
        file = io.BytesIO()
        torch.save({"net": net.state_dict(), "opt": opt.state_dict()}, file)
        train(net, opt, x, y, 100)
        other, _, _ = problem(seed=9)
        resumed = control(qgd.Orthogonal(base(other.parameters()), every=every))
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        other.load_state_dict(saved["net"])
        resumed.load_state_dict(saved["opt"])
        train(other, resumed, x, y, 100)
        assert same(values(net), values(other))


def test_a_controller_around_it_undoes_what_explodes():
    net, x, y = problem()
    opt = qgd.QController(qgd.Orthogonal(AdamW(net.parameters(), lr=1e-5)), total_steps=400)
    assert train(net, opt, x, y, 100)[-1] < 1.0
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1e4)
    assert train(net, opt, x, y, 300)[-1] < 0.05 and opt.rollbacks >= 1


def test_it_is_an_optimizer():
    net, x, y = problem()
    base = AdamW(net.parameters(), lr=1e-2)
    opt = qgd.Orthogonal(base, leave=net[2])
    assert isinstance(opt, torch.optim.Optimizer) and opt.state is base.state and opt.param_groups is base.param_groups
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 5)
    n_hooked = []
    opt.register_step_post_hook(lambda *_: n_hooked.append(1))
    for _ in range(6):
        train(net, opt, x, y, 1)
        scheduler.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(1e-3) and len(n_hooked) == 6
    for copied in (copy.deepcopy((net, opt)), pickle.loads(pickle.dumps((net, torch_plain(opt))))):
        other, opt_of_other = copied
        train(other, opt_of_other, x, y, 3)
        assert not same(values(net), values(other)) and repr(opt_of_other) == repr(opt)
    calls = []

    def closure():
        calls.append(1)
        opt.zero_grad()
        loss = loss_of(net, x, y)
        loss.backward()
        return loss

    assert opt.step(closure).item() > 0.0 and len(calls) == 1


def torch_plain(opt):
    """The optimizer without hooks and schedulers, which hold functions that cannot be pickled."""
    again = copy.copy(opt)
    again.__dict__.pop("step", None)
    again._optimizer_step_post_hooks = type(opt._optimizer_step_post_hooks)()
    return again


def test_a_step_that_fails_changes_nothing():
    net, x, y = problem()
    base = AdamW(net.parameters(), lr=1e-2)
    opt = qgd.Orthogonal(base)
    train(net, opt, x, y, 3)
    before = values(net)

    def fail(*_):
        raise KeyboardInterrupt

    handle = base.register_step_pre_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        train(net, opt, x, y, 1)
    assert same(before, values(net))
    handle.remove()
    train(net, opt, x, y, 1)
    assert not same(before, values(net))


def test_bad_use_says_what_to_do():
    net, _, _ = problem()
    adamw = AdamW(net.parameters(), lr=1e-3)
    for call, kind, message in [
        (lambda: qgd.Orthogonal(net), TypeError, "is a Sequential"),
        (lambda: qgd.Orthogonal(qgd.QController(adamw)), TypeError, r"QController\(Orthogonal"),
        (lambda: qgd.Orthogonal(torch.optim.LBFGS(net.parameters())), TypeError, "LBFGS"),
        (lambda: qgd.Orthogonal(adamw, degree=1.5), ValueError, "degree is 1.5"),
        (lambda: qgd.Orthogonal(adamw, degree=float("nan")), ValueError, "degree is nan"),
        (lambda: qgd.Orthogonal(adamw, steps=0), ValueError, "steps is 0"),
        (lambda: qgd.Orthogonal(adamw, every=0.5), ValueError, "every is 0.5"),
        (lambda: qgd.Orthogonal(adamw, leave=["head"]), TypeError, "leave holds a str"),
        (lambda: qgd.Orthogonal(adamw, model="net"), TypeError, "model is a str"),
    ]:
        with pytest.raises(kind, match=message):
            call()
