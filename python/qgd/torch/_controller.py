"""`QController`: a policy beside an optimizer of PyTorch."""

import torch
from torch.optim import Optimizer

from .. import _core
from ._average import Averaging, checked_share
from ._checkpoint import Checkpoint
from ._checks import bounds, check_closure, check_optimizer, check_restored, mind_left_out, nets, positive, whole
from ._grads import are_finite, check_grads
from ._losses import Losses
from ._rates import Controlled, give_each_its_own
from ._report import Report
from ._signals import Signals
from ._snapshot import Snapshot
from ._wrapper import Wrapper

ROLLBACKS = ("state", "parameters", "cpu", False)


class QController(Signals, Averaging, Report, Checkpoint, Wrapper):
    """Steps an optimizer and lets a policy move its learning rate and weight decay.

    It is a `torch.optim.Optimizer`: pass it wherever the optimizer went. `param_groups`, `state` and `defaults` are the
    optimizer's own objects.

        opt = qgd.QController(torch.optim.AdamW(model.parameters(), lr=1e-3), "lr", total_steps=10_000)
        loss.backward()
        opt.step(loss=loss)

    Args:
        optimizer: any optimizer of PyTorch with a learning rate, built as usual.
        controller: name of a pretrained controller (`qgd.controllers()`), path of a pretrained file, or name of a
            schedule ("constant", "cosine", ...). With "+online" at its end, a controller goes on learning in this run.
        total_steps: number of optimizer steps of the run (epochs times batches, divided by the batches that are
            accumulated), where it is known. In its second half the learning rate falls in a straight line to zero. Where it
            is not known: see `cool_down`.
        steps_per_epoch: number of optimizer steps in which every example is seen once, where it is known: the length of the
            loader, divided by the batches that are accumulated. How often the same examples come again says whether the
            loss can fall to zero.
        model: the net (or several, in a list), for its buffers: a rollback restores running statistics too.
        rollback: what is kept to go back to. "state": parameters, the optimizer's state and buffers (as much memory as
            they take). "parameters": parameters and buffers. "cpu": as "state", in the memory of the host. False:
            nothing; a step that wrecks the net stays.
        average: window of a running average of the weights, as a share of the steps so far: 0.1 is a good one. `averaged`
            shows it, `finish` leaves it in the net: for runs that have no cooldown. None: there is none. It takes as much
            memory as the parameters, once more in what is kept to go back to.
        loss_floor: a value below every loss, for losses that may be negative or that a constant is part of.
        lr_bounds, weight_decay_bounds: (low, high) of the controlled values. The optimizer's own must lie within.
            The cooldown, and a scheduler, may go below.
        looks_first: whether every loss and gradient is looked at before its step. Default: on a CPU. Elsewhere that
            would wait for the device at every step; a gradient that is not finite is then set to zero on the device, and
            the controller hears of it at the next decision.
        process_group: the processes that train this net together. Default: all, where `torch.distributed` is
            initialized. False: this process is on its own.
        seed: of the sample of measured coordinates, and of schedules that are random.

    The *loss* must be a distance: at least 0 (or `loss_floor`), and near that for a net that has learned all.

    Raises:
        TypeError: the optimizer is none, or one that cannot be controlled.
        ValueError: an argument is outside its range, or there is no such controller.
    """

    def __init__(
        self,
        optimizer,
        controller="lr",
        *,
        total_steps=None,
        steps_per_epoch=None,
        model=None,
        rollback="state",
        average=None,
        loss_floor=0.0,
        lr_bounds=None,
        weight_decay_bounds=None,
        looks_first=None,
        process_group=None,
        seed=0,
    ):
        check_optimizer(optimizer, QController)
        if rollback not in ROLLBACKS:
            raise ValueError(f"rollback is {rollback!r}, but it can be one of {ROLLBACKS}")
        options = {
            "controller": str(controller),
            "total_steps": None if total_steps is None else whole("total_steps", total_steps, 1),
            "steps_per_epoch": positive("steps_per_epoch", steps_per_epoch),
            "loss_floor": float(loss_floor),
            "lr_bounds": bounds(lr_bounds, "lr", optimizer.param_groups),
            "weight_decay_bounds": bounds(weight_decay_bounds, "weight_decay", optimizer.param_groups),
            "seed": whole("seed", seed, 0),
        }
        self._rollback, self._looks_first = rollback, looks_first
        self._average = checked_share(average)
        self._process_group = process_group
        self._models = nets("model", model)
        self._begin(optimizer, options)

    def _begin(self, optimizer, options):
        """Everything that a new run has."""
        self._base, self._options = optimizer, options
        # The dicts of hooks that every optimizer has, and the profiling of `step`.
        Optimizer.__setstate__(self, {})
        self._callbacks = []
        self._losses = Losses()
        self._last = None
        self._was_scheduled = False
        self._n_left_out = 0
        # Number of decisions without a validation loss; None once there was one.
        self._n_blind = 0
        self._counters = set()
        self._n_averaged, self._is_shown = 0, False
        self._make_driver()
        self._forget_params()

    def _make_driver(self):
        """The driver at the learning rate that stands in the groups."""
        groups, before = self._base.param_groups, getattr(self, "_lr", None)
        self._lr = Controlled(groups, "lr", self._base.defaults.get("lr"))
        if self._lr.reference is None:
            # A scheduler has its warm-up begin at 0, or has ended there.
            self._lr.begin_at([float(group.get("initial_lr", 0.0)) for group in groups])
        if self._lr.reference is None and before is not None:
            self._lr.begin_at(before.bases)
        if self._lr.reference is None:
            raise ValueError("the learning rate is 0 in every parameter group; a controller starts from a positive one")
        decays = all("weight_decay" in group for group in groups)
        weight_decay = Controlled(groups, "weight_decay", self._base.defaults.get("weight_decay")) if decays else None
        has_decay = weight_decay is not None and weight_decay.reference is not None
        self._measured = None
        self._driver = self._new_driver(self._lr.base, weight_decay.base if has_decay else 0.0)
        self._weight_decay = weight_decay if has_decay and self._driver.moves_weight_decay else None
        if self._driver.moves_weight_decay and not has_decay:
            raise ValueError(
                f"the controller '{self._options['controller']}' moves the weight decay, but the optimizer has none: build "
                "it with weight_decay=1e-4, for instance"
            )

    def _new_driver(self, lr, weight_decay):
        options = dict(self._options)
        return _core.Driver(options.pop("controller"), lr, weight_decay=weight_decay, **options)

    def _forget_params(self):
        """The parameters are others now: what was measured and kept of them is of no use."""
        self._params, self._sample, self._together = None, None, None
        self._kept, self._first = None, None

    def __repr__(self):
        return f"QController({self._base!r}, controller={self._options['controller']!r})"

    def add_param_group(self, param_group):
        """Adds a group of parameters. Its learning rate stands beside those that the optimizer was built with, and is
        moved together with them."""
        self._base.add_param_group(param_group)
        groups = self._base.param_groups
        give_each_its_own(groups, "lr", self._base.defaults.get("lr"))
        self._lr.fit(groups, self._is_scheduled())
        if self._weight_decay is not None:
            self._weight_decay.fit(groups, False)
        self._renew()

    def zero_grad(self, set_to_none=True):
        """Resets the gradients."""
        self._losses.mark()
        self._base.zero_grad(set_to_none)

    # The loop.

    def observe(self, loss):
        """Takes note of the loss of the coming step: a tensor of one element, or a number. It is detached and stays on
        its device. Several before one step (accumulated gradients) are averaged.

        Raises:
            TypeError: it is neither.
            ValueError: it has several elements.
        """
        self._losses.observe(loss)

    def observe_validation(self, loss):
        """Takes note of a validation loss or error, for controllers that move the weight decay. The newest one counts;
        tell it before each decision (`is_due`)."""
        self._n_blind = None
        self._driver.observe_validation(float(loss))

    def cool_down(self, n_steps):
        """Says that the run has `n_steps` steps left, the coming one included: over them the learning rate falls in a
        straight line to zero, beside what the controller does, and beside a scheduler.

        It may be called at any time, with `total_steps` or without; the last call counts. The fall begins at the rate
        that is in force, so the rate never rises by it. A run that goes on after them keeps the last, tiny factor. Where
        several processes train one net, every one of them calls it, before the same step.

        Raises:
            ValueError: `n_steps` is no whole number of at least 1, or the controller leaves the learning rate alone.
        """
        if not self._driver.moves_lr:
            raise ValueError(
                f"the controller '{self._options['controller']}' leaves the learning rate to you: lower it by a scheduler of "
                "torch.optim.lr_scheduler"
            )
        self._driver.cool_down(whole("n_steps", n_steps, 1))

    @property
    def _step_supports_amp_scaling(self):
        # A gradient scaler asks this at each of its steps. It then divides the gradients before ours, so that scaled
        # ones are never measured. What was observed until now belongs to this step, also where the scaler leaves it out.
        self._losses.mark()
        return False

    # It looks at numbers, and takes decisions: nothing of it can be part of a graph of torch.compile.
    @torch._disable_dynamo
    @torch.no_grad()
    def step(self, closure=None, *, loss=None):
        """Takes one step with the gradients that are there.

        The loss comes by `observe` before, as `loss`, or from a `closure` that computes it (and the gradients anew). What
        a closure observes counts instead of what it returns.

        Returns:
            the loss that the closure returned, else `loss`.

        Raises:
            RuntimeError: there is no loss, or no gradient.
            TypeError: the closure is no function: the loss goes by its name, `step(loss=loss)`.
            ValueError: the closure returned None, or the loss of the very first step is not finite.
        """
        args, kwargs = self._run_step_hooks(self._optimizer_step_pre_hooks, (closure,), {"loss": loss})
        result = self._controlled_step(*args, **kwargs)
        self._run_step_hooks(self._optimizer_step_post_hooks, args, kwargs)
        return result

    # The optimizer's own step runs the hooks that were registered for all optimizers, and its profile; once is enough.
    step.hooked = True

    def _controlled_step(self, closure=None, loss=None):
        if closure is not None:
            check_closure(closure)
            loss = self._run(closure)
            if loss is None and self._losses.is_empty():
                # A batch that was left out.
                return None
        elif loss is not None:
            self.observe(loss)
        self._check_not_shown("step")
        if self._is_dry():
            self._losses.drop()
            self._base.step()
            self._make_averages()
            return loss
        self._refresh()
        self._take_in()
        now = self._losses.take()
        check_grads(self._params)
        is_guarded = self._driver.is_guarded
        if is_guarded and self._kept is None:
            self._kept = self._snapshot()
        self._obey(self._ask(now, is_guarded))
        self._note_records()
        return loss

    def _run(self, closure):
        """Runs a closure and observes what it returns, where it has not observed a loss itself."""
        n_observed = self._losses.n_observed
        with torch.enable_grad():
            loss = closure()
        has_grad = any(p.grad is not None for group in self.param_groups for p in group["params"])
        if loss is None and self._losses.is_empty() and has_grad:
            raise ValueError("the closure returned None, but it must return the loss, or call opt.observe(loss)")
        if loss is not None and self._losses.n_observed == n_observed:
            self.observe(loss)
        return loss

    def _is_dry(self):
        """Whether this step is no step of training: every rate is 0, or there is no loss and all gradients are 0 (so
        Distributed Checkpoint has optimizers make their state)."""
        if self._lr.is_zero(self.param_groups):
            return True
        if not self._losses.is_empty():
            return False
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        if grads and all(not bool(grad.any()) for grad in grads):
            return True
        raise RuntimeError(
            "there is no loss for this step: call opt.observe(loss) before opt.step(), or opt.step(loss=loss). The "
            "controller decides by the loss"
        )

    def _renew(self):
        """What follows from other parameters in the groups."""
        if self._first is not None:
            self._driver.forget_first()
        self._reset_measure()
        self._forget_params()

    def _is_scheduled(self):
        """Whether a scheduler of PyTorch writes the learning rates."""
        for optimizer in (self, self._base):
            if getattr(optimizer.__dict__.get("step"), "_wrapped_by_lr_sched", False):
                return True
        return any("initial_lr" in group for group in self.param_groups)

    def _take_in(self):
        """Takes in rates that others have written."""
        groups, is_scheduled = self.param_groups, self._is_scheduled()
        if is_scheduled and not self._was_scheduled:
            # The scheduler goes on from the rates that stood here: the factor so far is part of them.
            self._driver.set_lr(self._lr.base)
            self._lead = self._lr.base / self._driver.lr
            self._was_scheduled = True
        if self._lr.take_in(groups, is_scheduled):
            self._driver.set_lr(self._lr.base * (self._lead if is_scheduled else 1.0))
        if self._weight_decay is not None and self._weight_decay.take_in(groups, False):
            self._driver.set_weight_decay(self._weight_decay.base * self._weight_decay.factor)

    def _check_restored(self):
        is_finite = are_finite(self._params)
        check_restored(is_finite if self._together is None else self._together.all_finite(is_finite))

    def _obey(self, order):
        self._n_left_out = 0 if order.kind == "apply" else self._n_left_out + 1
        mind_left_out(self._n_left_out, self._last)
        if order.kind == "apply":
            self._apply(order)
        elif order.kind == "roll_back":
            if self._kept is not None:
                self._kept.restore(self._counters)
                self._check_restored()
            if self._rollback not in ("state", "cpu"):
                # What was undone is part of the average, which nothing has kept.
                self._begin_average()
            self._driver.rolled_back(self._sample.of_params().cpu().numpy())
        elif order.kind == "restart":
            if self._first is not None:
                self._first.restore(self._counters)
                self._kept.take()
            self._begin_average()
            self._driver.reset_measure()

    def _apply(self, order):
        if order.keep:
            self._keep()
        groups = self.param_groups
        if self._driver.moves_lr:
            self._lr.put(groups, order.lr)
            for group in groups:
                group["qgd_scale"] = self._lr.factor
        if self._weight_decay is not None:
            self._weight_decay.put(groups, order.weight_decay)
        before = [_numbers(group) for group in groups] if order.keep else []
        try:
            self._base.step()
        finally:
            if self._was_scheduled and self._driver.moves_lr:
                self._lr.put_bases(groups)
        self._follow()
        for group, numbers in zip(groups, before):
            self._counters |= {key for key, value in _numbers(group).items() if numbers.get(key) != value} - {"lr"}

    def _snapshot(self):
        if not self._rollback:
            return None
        with_state, on_cpu = self._rollback != "parameters", self._rollback == "cpu"
        return Snapshot(self._params, self._base, self._models, with_state=with_state, on_cpu=on_cpu)

    def _keep(self):
        """Remembers the state before this step, which is verified; the first one as long as it may be needed."""
        if self._kept is not None:
            self._kept.take()
        if not self._driver.may_restart:
            self._first = None
        elif self._first is None:
            self._first = self._snapshot()

    def weights_loaded(self):
        """Takes note that weights were loaded, or changed otherwise, between two steps: no rollback goes back behind
        them, and the coming step is a decision."""
        self._losses.drop()
        self._begin_average()
        self._driver.begin_here()
        self._reset_measure()
        self._forget_params()


def _numbers(group):
    return {key: value for key, value in group.items() if isinstance(value, (int, float))}
