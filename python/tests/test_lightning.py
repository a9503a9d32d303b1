"""`qgd.lightning.Callback` in the Trainers of `lightning` and `pytorch_lightning`."""

import importlib

import pytest
from conftest import in_two_processes, need

torch = need("torch")
need("lightning")

import lightning.pytorch as pl  # noqa: E402
import qgd  # noqa: E402
import qgd.lightning  # noqa: E402
from test_torch import loss_of, problem, same, values  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*num_workers.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]


def module_of(base, lr=1e-4, seed=0, wrap=None, scheduler=None):
    class Module(base):
        def __init__(self):
            super().__init__()
            self.net = problem(seed=seed)[0]
            self.seen = []

        def training_step(self, batch, batch_idx):
            loss = loss_of(self.net, *batch)
            self.seen.append(loss.item())
            return loss

        def configure_optimizers(self):
            opt = torch.optim.Adam(self.net.parameters(), lr=lr)
            opt = opt if wrap is None else wrap(opt)
            return opt if scheduler is None else ([opt], [scheduler(opt)])

    return Module()


def loader(batch_size=16):
    _, x, y = problem()
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=batch_size)


def trainer_of(pl=pl, callbacks=None, **settings):
    quiet = {
        "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
        "accelerator": "cpu", "log_every_n_steps": 1, "max_epochs": 50,
    }
    callbacks = [qgd.lightning.Callback()] if callbacks is None else callbacks
    return pl.Trainer(callbacks=callbacks, **{**quiet, **settings})


def final(module):
    _, x, y = problem()
    return loss_of(module.net, x, y).item()


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_one_callback_and_a_hopeless_rate_is_found(package):
    need(package.split(".")[0])
    library = importlib.import_module(package)
    module, trainer = module_of(library.LightningModule, lr=1e-5), trainer_of(library)
    trainer.fit(module, loader())
    opt = trainer.optimizers[0]
    assert isinstance(opt, qgd.QController) and opt.steps == 200
    assert (opt._options["total_steps"], opt._options["steps_per_epoch"]) == (200, 4)
    assert final(module) < 0.15 and opt.lr > 1e-4


def test_a_policy_that_accepts_equals_the_plain_trainer():
    modules = [module_of(pl.LightningModule, lr=1e-2) for _ in range(2)]
    for module, callbacks in zip(modules, [[], [qgd.lightning.Callback("always-accept")]]):
        settings = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1, "max_epochs": 10}
        trainer_of(callbacks=callbacks, **settings).fit(module, loader())
    assert same(values(modules[0].net), values(modules[1].net))


@pytest.mark.parametrize("callbacks", [[], None])
def test_an_optimizer_that_is_controlled_already_stays(callbacks):
    module = module_of(pl.LightningModule, wrap=lambda opt: qgd.QController(opt, "lr", total_steps=200))
    trainer = trainer_of(callbacks=callbacks)
    trainer.fit(module, loader())
    assert trainer.optimizers[0].steps == 200 and final(module) < 0.15


@pytest.mark.parametrize("accumulated", [1, 4])
def test_the_controller_sees_the_mean_of_accumulated_losses(accumulated):
    decisions = []
    module = module_of(
        pl.LightningModule, wrap=lambda opt: _listening(qgd.QController(opt, "always-accept"), decisions)
    )
    trainer_of(accumulate_grad_batches=accumulated, max_epochs=2).fit(module, loader())
    first = sum(module.seen[:accumulated]) / accumulated
    assert decisions[0]["loss"] == pytest.approx(first)


def _listening(opt, decisions):
    opt.on_decision(decisions.append)
    return opt


def scaled():
    from lightning.pytorch.plugins.precision import MixedPrecision

    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=2.0**8))]}


@pytest.mark.parametrize("precision", [{"precision": "bf16-mixed"}, scaled], ids=["bf16", "fp16 with a scaler"])
def test_mixed_precision_with_clipping(precision):
    settings = precision() if callable(precision) else precision
    decisions = []
    module = module_of(
        pl.LightningModule, wrap=lambda opt: _listening(qgd.QController(opt, total_steps=200), decisions)
    )
    trainer_of(gradient_clip_val=1.0, **settings).fit(module, loader())
    assert decisions[0]["loss"] == pytest.approx(module.seen[0], rel=1e-2)
    assert final(module) < 0.2


class SaveAt(pl.Callback):
    def __init__(self, epoch, path):
        self.epoch, self.path = epoch, path

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


def test_a_run_that_is_cut_in_two_equals_one_in_one(tmp_path):
    whole = module_of(pl.LightningModule)
    callbacks = [SaveAt(9, tmp_path / "half.ckpt"), qgd.lightning.Callback()]
    trainer_of(max_epochs=20, callbacks=callbacks).fit(whole, loader())
    half = module_of(pl.LightningModule, seed=5)
    trainer = trainer_of(max_epochs=20)
    trainer.fit(half, loader(), ckpt_path=tmp_path / "half.ckpt")
    assert trainer.optimizers[0].steps == 80 and len(half.seen) == 40
    assert same(values(whole.net), values(half.net))


def test_a_longer_run_goes_on_from_the_end_of_a_shorter_one(tmp_path):
    module, trainer = module_of(pl.LightningModule), trainer_of(max_epochs=20)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    before = final(module)
    trainer = trainer_of(max_epochs=60)
    trainer.fit(module, loader(), ckpt_path=tmp_path / "end.ckpt")
    assert trainer.optimizers[0].steps == 240 and final(module) < before


def test_the_loggers_of_the_user_get_the_figures(tmp_path):
    logger = pl.loggers.CSVLogger(tmp_path)
    module = module_of(pl.LightningModule)
    trainer_of(logger=logger, log_every_n_steps=10, accumulate_grad_batches=2).fit(module, loader())
    lines = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()
    head = lines[0].split(",")
    rows = [dict(zip(head, line.split(","))) for line in lines[1:]]
    assert {"qgd/lr", "qgd/action", "qgd/rollbacks", "qgd/broken_batches"} <= set(head)
    assert [int(row["step"]) for row in rows] == list(range(9, 100, 10))
    assert float(rows[-1]["qgd/lr"]) > 1e-4


def test_a_scheduler_of_the_module_is_multiplied():
    module = module_of(
        pl.LightningModule, lr=1e-4, scheduler=lambda opt: torch.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 0.5)
    )
    trainer = trainer_of(max_epochs=20)
    trainer.fit(module, loader())
    opt = trainer.optimizers[0]
    assert opt.param_groups[0]["lr"] == 0.5e-4 and opt.param_groups[0]["qgd_scale"] > 10.0


def test_a_validation_loss_moves_the_weight_decay():
    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = problem()[0]

        def training_step(self, batch, batch_idx):
            return loss_of(self.net, *batch)

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", loss_of(self.net, *batch))

        def configure_optimizers(self):
            return torch.optim.AdamW(self.net.parameters(), lr=1e-3, weight_decay=0.01)

    trainer = trainer_of(callbacks=[qgd.lightning.Callback("joint", monitor="val_loss")])
    trainer.fit(Module(), loader(), loader())
    assert trainer.optimizers[0].weight_decay != 0.01


def manual(observes):
    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.net, self.other = problem()[0], problem(seed=1)[0]

        def training_step(self, batch, batch_idx):
            for opt, net in zip(self.optimizers(), (self.net, self.other)):
                loss = loss_of(net, *batch)
                opt.zero_grad()
                self.manual_backward(loss)
                if observes:
                    opt.observe(loss)
                opt.step()

        def configure_optimizers(self):
            return [torch.optim.Adam(net.parameters(), lr=1e-4) for net in (self.net, self.other)]

    return Module()


def test_two_optimizers_by_hand():
    module, trainer = manual(observes=True), trainer_of()
    trainer.fit(module, loader())
    assert [opt.steps for opt in trainer.optimizers] == [200, 200]
    _, x, y = problem()
    assert final(module) < 0.15 and loss_of(module.other, x, y).item() < 0.15
    losses = [opt.last_decision()["loss"] for opt in trainer.optimizers]
    assert losses[0] != losses[1]


def test_a_batch_that_is_left_out_changes_nothing():
    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = problem()[0]

        def training_step(self, batch, batch_idx):
            return None if batch_idx == 1 else loss_of(self.net, *batch)

        def configure_optimizers(self):
            return torch.optim.Adam(self.net.parameters(), lr=1e-3)

    trainer = trainer_of(max_epochs=5)
    with pytest.warns(UserWarning, match="returned `None`"):
        trainer.fit(Module(), loader())
    assert trainer.optimizers[0].steps == 15


def test_two_processes_take_the_same_decisions(tmp_path):
    code = """
import sys
sys.path.insert(0, TESTS)
from test_lightning import loader, module_of, pl, torch, trainer_of

strategy = pl.strategies.DDPStrategy(process_group_backend="gloo")
trainer = trainer_of(strategy=strategy, devices=2, accumulate_grad_batches=2, max_epochs=30)
trainer.fit(module_of(pl.LightningModule), loader())
opt = trainer.optimizers[0]
gathered = [None, None]
torch.distributed.all_gather_object(gathered, (opt.lr, opt.counts, opt.last_decision()))
assert trainer.world_size == 2 and gathered[0] == gathered[1], gathered
assert opt.steps == 30 and opt.counts["grow"] > 10
"""
    in_two_processes(code, tmp_path)


def test_bad_use_says_what_to_do():
    with pytest.raises(ValueError, match="is no controller"):
        trainer_of(callbacks=[qgd.lightning.Callback("nothing")]).fit(module_of(pl.LightningModule), loader())
    with pytest.raises(TypeError, match="LBFGS"):
        module = module_of(pl.LightningModule, wrap=lambda opt: torch.optim.LBFGS(opt.param_groups[0]["params"]))
        trainer_of().fit(module, loader())
    with pytest.raises(ValueError, match=r"opt.observe\(loss\)"):
        trainer_of().fit(manual(observes=False), loader())

    class Idle(pl.LightningModule):
        def training_step(self, batch, batch_idx):
            return None

        def configure_optimizers(self):
            return None

    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no optimizer to control"):
        trainer_of().fit(Idle(), loader())


def test_a_callback_ends_a_run_early_with_a_cooldown():
    class TimeIsUp(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            opt = trainer.optimizers[0]
            if opt.steps == 100:
                opt.cool_down(20)
            rates.append(opt.lr)
            trainer.should_stop = opt.steps == opt.total_steps

    rates, module = [], module_of(pl.LightningModule)
    trainer = trainer_of(callbacks=[qgd.lightning.Callback(), TimeIsUp()], min_epochs=1)
    trainer.fit(module, loader())
    assert trainer.optimizers[0].steps == 120 and rates[-2] < 0.3 * rates[100]
