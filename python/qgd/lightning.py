"""The controller in the Trainer of Lightning.

    trainer = lightning.Trainer(callbacks=[qgd.lightning.Callback()])

Works with `lightning` and with `pytorch_lightning`.
"""

import math

try:
    from lightning.pytorch import Callback as _Callback
except ImportError:
    from pytorch_lightning import Callback as _Callback

from .torch import QController
from .torch._figures import figures

__all__ = ["Callback"]


class Callback(_Callback):
    """Puts a `QController` around every optimizer that `configure_optimizers` returns, and has it observe the losses.

    An optimizer that is a `QController` already is used as it is. Under automatic optimization nothing else is needed.
    Under manual optimization each optimizer has a controller of its own, and the loss is observed as in a plain loop:
    `self.optimizers().observe(loss)` before its `step()`.

    The Trainer's loggers get "qgd/lr", the rate of the last step, "qgd/action" (-1 halve, 0 accept, 1 grow),
    "qgd/rollbacks" and "qgd/broken_batches", every `log_every_n_steps` steps; of several optimizers "qgd-0/lr" and so
    on. Checkpoints of the Trainer hold the controllers.

    Args:
        controller: name of a pretrained controller, or path of a pretrained file.
        monitor: name of a logged validation loss, for controllers that move the weight decay.
        options: other arguments of `QController`. `total_steps` and `steps_per_epoch` are the Trainer's where they are not
            given.

    Raises:
        TypeError, ValueError: as `QController` does, when the training begins.
    """

    def __init__(self, controller="lr", *, monitor=None, **options):
        super().__init__()
        self._controller, self._monitor, self._options = controller, monitor, options
        self._logged = 0

    def on_fit_start(self, trainer, pl_module):
        # The optimizers are made by now, and what a checkpoint holds of them is not loaded yet.
        if not any(optimizer.param_groups for optimizer in trainer.optimizers):
            raise ValueError("there is no optimizer to control: return one from configure_optimizers")
        trainer.optimizers = [self._controlled(optimizer, trainer, pl_module) for optimizer in trainer.optimizers]
        self._logged = trainer.global_step

    def _controlled(self, optimizer, trainer, pl_module):
        if isinstance(optimizer, QController):
            return optimizer
        options = {"model": pl_module, **self._options}
        if pl_module.automatic_optimization:
            # In this order: the first one has the Trainer set its loaders up.
            options = {"total_steps": _total_steps(trainer), "steps_per_epoch": _steps_per_epoch(trainer), **options}
        return QController(optimizer, self._controller, **options)

    def on_before_backward(self, trainer, pl_module, loss):
        if not pl_module.automatic_optimization:
            return
        loss = loss.detach() * trainer.accumulate_grad_batches
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        trainer.optimizers[0].observe(loss if scaler is None else loss / scaler.get_scale())

    def on_validation_end(self, trainer, pl_module):
        if self._monitor is not None and self._monitor in trainer.callback_metrics:
            for controller in _controllers(trainer):
                controller.observe_validation(trainer.callback_metrics[self._monitor])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        controllers, step = _controllers(trainer), trainer.global_step
        if step == self._logged or step // len(controllers) % max(trainer.log_every_n_steps, 1) != 0:
            return
        self._logged = step
        told = {}
        for i, controller in enumerate(controllers):
            told.update(figures(controller, "qgd" if len(controllers) == 1 else f"qgd-{i}"))
        for logger in trainer.loggers:
            # Lightning counts the step that has just been taken from 0.
            logger.log_metrics(told, step=step // len(controllers) - 1)


def _controllers(trainer):
    return [optimizer for optimizer in trainer.optimizers if isinstance(optimizer, QController)]


def _total_steps(trainer):
    n_steps = trainer.estimated_stepping_batches
    return int(n_steps) if 0 < n_steps < math.inf else None


def _steps_per_epoch(trainer):
    n_batches = trainer.num_training_batches
    return n_batches / trainer.accumulate_grad_batches if 0 < n_batches < math.inf else None
