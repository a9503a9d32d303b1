"""The controller in the Trainer of Hugging Face's `transformers`.

    trainer = qgd.hf.Trainer(model, args, train_dataset=data)
    trainer.train()

`Trainer` is `transformers.Trainer` with a `QController` around its optimizer. Any other subclass of it becomes one by
the mixin `Controlled`:

    class Tuned(qgd.hf.Controlled, trl.SFTTrainer): ...
"""

import transformers

from .torch import QController
from .torch._figures import figures
from .torch._rates import Entries

__all__ = ["Controlled", "Trainer"]


class Controlled:
    """Mixin: a Trainer whose learning rate a controller moves.

    The loss of every step is observed, with all batches that are accumulated for it. The rate starts at
    `args.learning_rate`; `args.lr_scheduler_type` and the warm-up are not used. A scheduler in `optimizers` is: the
    rate is then its rate times the controller's factor. A `QController` in `optimizers` is used as it is.

    The Trainer's logs hold "qgd/lr", the rate of the last step (as "learning_rate" does), "qgd/action" (-1 halve,
    0 accept, 1 grow), "qgd/rollbacks" and "qgd/broken_batches". Its checkpoints hold the controller.

    Args:
        controller: name of a pretrained controller, or path of a pretrained file.
        controller_options: other arguments of `QController`, a dict.
        all else: as in `transformers.Trainer`.

    Raises:
        TypeError, ValueError: as `QController` does.
    """

    def __init__(self, *args, controller="lr", controller_options=None, **kwargs):
        self._controller_arguments = {"controller": controller, **(controller_options or {})}
        self._loss_of_step = None
        # The controller that is made here, and the rates that it started from.
        self._made = None
        super().__init__(*args, **kwargs)

    @property
    def controller(self):
        """The `QController`; None before the training has begun."""
        return _controller_in(self.optimizer)

    def create_optimizer(self, *args, **kwargs):
        """Makes the optimizer, with the controller around it. Another call of `train()` gets a new controller, at the
        rates of the start, as it gets a new schedule otherwise."""
        self._loss_of_step = None
        is_made_here = self._made is not None and self.controller is self._made[0]
        before = self.controller if is_made_here and self.controller.steps > 0 else None
        if before is not None:
            self._take_off(*self._made)
        super().create_optimizer(*args, **kwargs)
        if self.controller is None:
            rates = [float(group["lr"]) for group in self.optimizer.param_groups]
            n_steps = self.state.max_steps or self.args.max_steps
            options = {
                "total_steps": n_steps if n_steps > 0 else None,
                "steps_per_epoch": _steps_per_epoch(self),
                "model": self.model,
            }
            self.optimizer = QController(self.optimizer, **{**options, **self._controller_arguments})
            self._made = self.optimizer, rates
            if before is not None:
                # Who wants to hear of decisions wants to hear of these too.
                self.optimizer.take_callbacks_of(before)
        return self.optimizer

    def _take_off(self, controller, rates):
        """Leaves the bare optimizer, at the rates of the start."""
        self.optimizer = controller.optimizer
        entries = Entries("lr")
        for i, (group, rate) in enumerate(zip(self.optimizer.param_groups, rates)):
            entries.write(i, group, rate)

    def create_scheduler(self, num_training_steps, optimizer=None):
        """Makes a scheduler that changes nothing, where the user gave none."""
        if self.lr_scheduler is None:
            self.lr_scheduler = _NoSchedule(self)
        return self.lr_scheduler

    def training_step(self, *args, **kwargs):
        """Takes a batch forward and backward, and has the controller observe the loss."""
        controller = self.controller
        if controller is None:
            raise RuntimeError(
                f"there is no QController in the optimizer, a {type(self.optimizer).__name__}: DeepSpeed and others "
                "make their own. Leave them out, or use transformers.Trainer"
            )
        if self._loss_of_step is None:
            # What was observed for a step that a gradient scaler has left out is of the past.
            controller.zero_grad()
        loss = super().training_step(*args, **kwargs)
        # Each batch has its share of the step's loss.
        self._loss_of_step = loss if self._loss_of_step is None else self._loss_of_step + loss
        if self.accelerator.sync_gradients:
            controller.observe(self._loss_of_step)
            self._loss_of_step = None
        return loss

    def evaluate(self, *args, **kwargs):
        """Evaluates, and tells controllers of the weight decay the loss."""
        metrics = super().evaluate(*args, **kwargs)
        if self.controller is not None and "eval_loss" in metrics:
            self.controller.observe_validation(metrics["eval_loss"])
        return metrics

    def log(self, logs, *args, **kwargs):
        """Logs, with the figures of the controller."""
        if self.controller is not None and "loss" in logs:
            logs.update(figures(self.controller))
        super().log(logs, *args, **kwargs)


class Trainer(Controlled, transformers.Trainer):
    __doc__ = Controlled.__doc__.replace("Mixin: a Trainer", "`transformers.Trainer`", 1)


def _steps_per_epoch(trainer):
    """Number of steps in which every example is seen once; None where nobody knows the number of examples."""
    args = trainer.args
    try:
        n_examples = len(trainer.train_dataset)
    except TypeError:
        return None
    n_at_a_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    return n_examples / n_at_a_step if n_examples > 0 else None


class _NoSchedule:
    """What a Trainer asks of a scheduler."""

    def __init__(self, trainer):
        self._trainer = trainer

    def step(self, *_):
        pass

    def get_last_lr(self):
        return [float(group["lr"]) for group in self._trainer.controller.param_groups]

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def _controller_in(optimizer):
    """The `QController` that this is, or that Accelerate has wrapped; None where there is none."""
    while optimizer is not None and not isinstance(optimizer, QController):
        optimizer = getattr(optimizer, "optimizer", None)
    return optimizer
