"""`QController` under Accelerate."""

import pytest
from conftest import forget_accelerator, need

torch = need("torch")
accelerate = need("accelerate")

import qgd  # noqa: E402
from test_torch import loss_of, problem, same, values  # noqa: E402


@pytest.fixture(autouse=True)
def no_accelerator_of_another_test():
    forget_accelerator()
    yield
    forget_accelerator()


def prepared(lr=1e-4, seed=0, **arguments):
    net, x, y = problem(seed=seed)[0], *problem()[1:]
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
    opt = qgd.QController(torch.optim.Adam(net.parameters(), lr=lr), "lr", model=net, total_steps=200)
    accelerator = accelerate.Accelerator(cpu=True, **arguments)
    return accelerator, *accelerator.prepare(net, opt, loader), (x, y)


def train(accelerator, net, opt, loader, n_epochs, clip=1.0):
    for _ in range(n_epochs):
        for x, y in loader:
            with accelerator.accumulate(net):
                loss = loss_of(net, x, y)
                accelerator.backward(loss)
                opt.optimizer.observe(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(net.parameters(), clip)
                opt.step()
                opt.zero_grad()


def test_prepare_keeps_the_controller():
    accelerator, net, opt, loader, (x, y) = prepared()
    train(accelerator, net, opt, loader, 50)
    controller = opt.optimizer
    assert isinstance(controller, qgd.QController) and controller.steps == 200
    assert controller.counts["grow"] > 0 and loss_of(net, x, y).item() < 0.1


def test_prepare_keeps_the_start_that_a_restart_goes_back_to():
    accelerator, net, opt, loader, (x, y) = prepared(lr=100.0)
    reasons = []
    opt.optimizer.on_decision(lambda decision: reasons.append(decision["reason"]))
    before = loss_of(net, x, y).item()
    train(accelerator, net, opt, loader, 50)
    bare, _, _ = problem()
    plain = qgd.QController(torch.optim.Adam(bare.parameters(), lr=100.0), "lr", model=bare, total_steps=200)
    plain_reasons = []
    plain.on_decision(lambda decision: plain_reasons.append(decision["reason"]))
    for _ in range(50):
        for xs, ys in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16):
            plain.zero_grad()
            loss = loss_of(bare, xs, ys)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(bare.parameters(), 1.0)
            plain.step(loss=loss)
    assert reasons == plain_reasons and same(values(net), values(bare))
    assert "first-step-too-far" in reasons and loss_of(net, x, y).item() < before


def test_accumulated_batches_are_one_step_with_their_mean_loss():
    accelerator, net, opt, loader, (x, y) = prepared(gradient_accumulation_steps=4)
    decisions = []
    opt.optimizer.on_decision(decisions.append)
    whole = loss_of(net, x, y).item()
    train(accelerator, net, opt, loader, 3)
    assert opt.optimizer.steps == 3
    assert decisions[0]["loss"] == pytest.approx(whole)


def test_a_saved_state_goes_on_to_the_bit(tmp_path):
    accelerator, net, opt, loader, _ = prepared()
    train(accelerator, net, opt, loader, 20)
    accelerator.save_state(tmp_path / "saved")
    train(accelerator, net, opt, loader, 20)
    again, other, resumed, loader, _ = prepared(seed=3)
    again.load_state(tmp_path / "saved")
    assert resumed.optimizer.steps == 80
    train(again, other, resumed, loader, 20)
    assert same(values(net), values(other)) and resumed.optimizer.lr == opt.optimizer.lr


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_autocast_of_accelerate(precision):
    accelerator, net, opt, loader, (x, y) = prepared(mixed_precision=precision)
    train(accelerator, net, opt, loader, 50)
    assert loss_of(net, x, y).item() < 0.2


def test_a_step_without_a_loss_says_what_to_do():
    accelerator, net, opt, loader, (x, y) = prepared()
    accelerator.backward(loss_of(net, x, y))
    with pytest.raises(RuntimeError, match=r"call opt.observe\(loss\)"):
        opt.step()
    loss = loss_of(net, x, y)
    opt.step(lambda: loss)
    assert opt.optimizer.steps == 1
