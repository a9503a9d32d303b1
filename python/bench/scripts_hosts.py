"""Five training scripts as users write them. Each is a function of (folder of the data, learning rate, seed, whether
qgd controls it) that returns (final training loss, test metric). Without qgd its own schedule runs at the rate.
"""

import logging
import tempfile
import warnings

import torch
import torch.nn.functional as F

import scripts_data
from qgd import QController


def train_hf(folder, lr, seed, controlled):
    """A GPT-2 of two layers on tinyshakespeare: AdamW, linear schedule with warm-up. The metric is the test loss."""
    import transformers

    import qgd.hf

    transformers.logging.set_verbosity_error()
    train, test, n_characters = scripts_data.characters(folder, 64)
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=n_characters, n_positions=64, n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    with tempfile.TemporaryDirectory() as out:
        args = transformers.TrainingArguments(
            out, learning_rate=lr, max_steps=250, per_device_train_batch_size=16, lr_scheduler_type="linear",
            warmup_steps=25, seed=seed, save_strategy="no", logging_steps=50, report_to=[], disable_tqdm=True,
            use_cpu=True, dataloader_pin_memory=False,
        )
        data = [{"input_ids": row, "labels": row} for row in train]
        model = transformers.GPT2LMHeadModel(config)
        cls = qgd.hf.Trainer if controlled else transformers.Trainer
        trainer = cls(model, args, train_dataset=data)
        trainer.log = lambda *_, **__: None
        trainer.train()

    def loss_of(rows):
        with torch.no_grad():
            model.eval()
            return sum(model(rows[i : i + 64], labels=rows[i : i + 64]).loss.item() for i in range(0, 320, 64)) / 5

    return loss_of(train[:: len(train) // 320]), loss_of(test)


def train_lightning(folder, lr, seed, controlled):
    """A net of two layers on 10,000 of MNIST: Adam, cosine schedule. The metric is the test accuracy, in percent."""
    import lightning.pytorch as pl

    import qgd.lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    x, y, test_x, test_y = scripts_data.mnist(folder, 10_000)
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    epochs, batches = 3, torch.utils.data.BatchSampler(torch.utils.data.RandomSampler(range(len(x))), 64, True)
    loader = torch.utils.data.DataLoader(torch.utils.data.StackDataset(x, y), sampler=batches, batch_size=None)

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            opt = torch.optim.Adam(self.parameters(), lr=lr)
            if controlled:
                return opt
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs * len(batches))
            return {"optimizer": opt, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[qgd.lightning.Callback()] if controlled else [],
        )
        trainer.fit(Module(), loader)
    return _classified(net, x, y, test_x, test_y)


def train_bf16(folder, lr, seed, controlled):
    """A plain loop on digits: AdamW, bf16 autocast, 4 accumulated batches, clipping, cosine schedule."""
    return _train_amp(folder, lr, seed, controlled, torch.bfloat16, None)


def train_scaler(folder, lr, seed, controlled):
    """The same with fp16 autocast and a GradScaler."""
    return _train_amp(folder, lr, seed, controlled, torch.float16, torch.amp.GradScaler("cpu"))


def _train_amp(folder, lr, seed, controlled, dtype, scaler, n_steps=300, n_accumulated=4):
    x, y, test_x, test_y = scripts_data.digits(folder)
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )
    opt = torch.optim.AdamW(net.parameters(), lr=lr)
    schedule = None
    if controlled:
        opt = QController(opt, "lr", total_steps=n_steps, model=net)
    else:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, n_steps)
    scaler = torch.amp.GradScaler("cpu", enabled=False) if scaler is None else scaler
    for _ in range(n_steps):
        for _ in range(n_accumulated):
            batch = torch.randint(len(x), (32,))
            with torch.autocast("cpu", dtype=dtype):
                loss = F.cross_entropy(net(x[batch]), y[batch])
            scaler.scale(loss / n_accumulated).backward()
            if controlled:
                opt.observe(loss)
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()
        if schedule is not None:
            with warnings.catch_warnings():
                # A step that the scaler left out comes before the scheduler's first.
                warnings.simplefilter("ignore")
                schedule.step()
    return _classified(net, x, y, test_x, test_y)


def train_ddp(folder, lr, seed, controlled, n_steps=400):
    """Two processes on Letter Recognition: SGD with momentum, linear schedule with warm-up. Runs in each of them."""
    import torch.distributed as dist

    x, y, test_x, test_y = scripts_data.letters(folder)
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(16, 128), torch.nn.ReLU(), torch.nn.Linear(128, 26))
    ddp = torch.nn.parallel.DistributedDataParallel(net)
    opt = torch.optim.SGD(ddp.parameters(), lr=lr, momentum=0.9)
    schedule = None
    if controlled:
        opt = QController(opt, "lr", total_steps=n_steps, model=net)
    else:
        warm_up = n_steps // 10
        schedule = torch.optim.lr_scheduler.LambdaLR(
            opt, lambda step: min((step + 1) / warm_up, (n_steps - step) / (n_steps - warm_up))
        )
    own = torch.Generator().manual_seed(1000 * seed + dist.get_rank())
    for _ in range(n_steps):
        batch = torch.randint(len(x), (64,), generator=own)
        loss = F.cross_entropy(ddp(x[batch]), y[batch])
        loss.backward()
        if controlled:
            opt.step(loss=loss)
        else:
            opt.step()
            schedule.step()
        opt.zero_grad()
    return _classified(net, x, y, test_x, test_y)


@torch.no_grad()
def _classified(net, x, y, test_x, test_y):
    """Training loss, and test accuracy in percent."""
    net.eval()
    return F.cross_entropy(net(x), y).item(), 100.0 * (net(test_x).argmax(1) == test_y).float().mean().item()
