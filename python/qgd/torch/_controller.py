"""`QController`: a policy beside an optimizer of PyTorch."""

from math import isfinite
from operator import is_

import torch
from torch.optim import Optimizer

from .. import _core
from . import _checks as checks
from ._checkpoint import Checkpoint
from ._grads import are_finite, check_grads, masked
from ._losses import Losses
from ._rates import Controlled, is_scheduled, numbers
from ._report import Report
from ._sample import Sample
from ._snapshot import Snapshot
from ._together import processes
from ._wrapper import Wrapper

ROLLBACKS = ("state", "parameters", "cpu", False)


class QController(Report, Checkpoint, Wrapper):
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
            accumulated), where it is known. In its second half the learning rate falls in a straight line to zero.
        model: the net (or several, in a list), for its buffers: a rollback restores running statistics too.
        rollback: what is kept to go back to. "state": parameters, the optimizer's state and buffers (as much memory as
            they take). "parameters": parameters and buffers. "cpu": as "state", in the memory of the host. False:
            nothing; a step that wrecks the net stays.
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

    # A gradient scaler then divides the gradients before the step, so that scaled ones are never measured.
    _step_supports_amp_scaling = False

    def __init__(
        self,
        optimizer,
        controller="lr",
        *,
        total_steps=None,
        model=None,
        rollback="state",
        loss_floor=0.0,
        lr_bounds=None,
        weight_decay_bounds=None,
        looks_first=None,
        process_group=None,
        seed=0,
    ):
        checks.check_optimizer(optimizer, QController)
        if rollback not in ROLLBACKS:
            raise ValueError(f"rollback is {rollback!r}, but it can be one of {ROLLBACKS}")
        options = {
            "controller": str(controller),
            "total_steps": checks.whole_steps(total_steps),
            "loss_floor": float(loss_floor),
            "lr_bounds": checks.check_bounds(lr_bounds, "lr", optimizer.param_groups),
            "weight_decay_bounds": checks.check_bounds(weight_decay_bounds, "weight_decay", optimizer.param_groups),
            "seed": int(seed),
        }
        self._rollback, self._looks_first = rollback, looks_first
        self._process_group = process_group
        self._models = checks.check_models(model)
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
        # Number of decisions without a validation loss; None once there was one.
        self._n_blind = 0
        self._counters = set()
        self._make_driver()
        self._forget_params()

    def _make_driver(self):
        """The driver at the learning rate that stands in the groups."""
        groups, options = self._base.param_groups, dict(self._options)
        self._lr = Controlled(groups, "lr")
        if self._lr.reference is None:
            raise ValueError("the learning rate is 0 in every parameter group; a controller starts from a positive one")
        decays = all("weight_decay" in group for group in groups)
        weight_decay = Controlled(groups, "weight_decay") if decays else None
        has_decay = weight_decay is not None and weight_decay.reference is not None
        self._driver = _core.Driver(
            options.pop("controller"),
            self._lr.base,
            weight_decay=weight_decay.base if has_decay else 0.0,
            **options,
        )
        self._weight_decay = weight_decay if has_decay and self._driver.moves_weight_decay else None
        if self._driver.moves_weight_decay and not has_decay:
            raise ValueError(
                f"the controller '{self._options['controller']}' moves the weight decay, but the optimizer has none: build "
                "it with weight_decay=1e-4, for instance"
            )

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
        group = self._base.param_groups[-1]
        self._lr.add(group)
        if self._weight_decay is not None:
            self._weight_decay.add(group)
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
            checks.check_closure(closure)
            loss = self._run(closure)
            if loss is None and self._losses.is_empty():
                # A batch that was left out.
                return None
        elif loss is not None:
            self.observe(loss)
        if self._is_dry():
            self._losses.drop()
            self._base.step()
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

    def _refresh(self):
        """Takes in the parameters of the groups, where they are others than at the last step."""
        params = [p for group in self.param_groups for p in group["params"]]
        if self._params is not None and len(params) == len(self._params) and all(map(is_, params, self._params)):
            return
        checks.check_params(params)
        self._forget_params()
        self._params = params
        self._sample = Sample(params, self._options["seed"])
        self._together = processes(self._process_group, params)
        if not self._driver.measures(self._sample.n_sampled):
            self._driver.reset_measure()

    def _renew(self):
        """What follows from other parameters in the groups."""
        if self._first is not None:
            self._driver.forget_first()
        self._driver.reset_measure()
        self._forget_params()

    def _take_in(self):
        """Takes in rates that others have written."""
        groups = self.param_groups
        scheduled = is_scheduled((self, self._base), groups)
        if scheduled and not self._was_scheduled:
            # The scheduler goes on from the rates that stood here: the factor so far is part of them.
            self._driver.set_lr(self._lr.base)
            self._lead = self._lr.base / self._driver.lr
            self._was_scheduled = True
        if self._lr.take_in(groups, scheduled):
            self._driver.set_lr(self._lr.base * (self._lead if scheduled else 1.0))
        if self._weight_decay is not None and self._weight_decay.take_in(groups, False):
            self._driver.set_weight_decay(self._weight_decay.base * self._weight_decay.factor)

    def _looks(self):
        if self._looks_first is not None:
            return self._looks_first
        return self._params[0].device.type == "cpu"

    def _ask(self, now, is_guarded):
        """Tells the driver what is seen at this step. Returns its order."""
        driver, grads = self._driver, [p.grad for p in self._params if p.grad is not None]
        is_due = driver.is_due
        if not is_due and (not is_guarded or not self._looks()):
            if is_guarded:
                now = masked(grads, now)
            self._losses.keep(now)
            return driver.step([])
        is_finite = not is_guarded or are_finite(grads)
        if is_due:
            self._losses.keep(now)
            return self._decide(is_guarded, is_finite)
        if self._together is not None:
            # The losses are added up at the next decision; that of a step which is left out is told by the gradient.
            is_finite = self._together.all_finite(is_finite)
            if is_finite:
                self._losses.keep(now)
            return driver.step([], is_finite)
        loss = float(now)
        self._heal([loss])
        return driver.step([loss], is_finite)

    def _decide(self, is_guarded, is_finite):
        if self._n_blind is not None and self._driver.watches_validation:
            self._n_blind += 1
            checks.mind_validation(self._n_blind, self._options["controller"])
        params, grad, losses = self._read()
        if self._together is None:
            self._check_first(is_guarded, losses)
            self._heal(losses)
            return self._driver.step(losses, is_finite, params=params, grad=grad, n_params=self._sample.n_params)
        sums = self._driver.sums(params, grad)
        sample = self._sample
        shared = self._together.share(sums, sample.n_sampled, sample.n_params, is_finite, losses, self._driver.lr)
        sums, n_sampled, n_params, is_finite, losses = shared
        self._check_first(is_guarded, losses)
        self._heal(losses)
        return self._driver.step(losses, is_finite, sums=sums, n_sampled=n_sampled, n_params=n_params)

    def _read(self):
        """Copies to the host what a decision needs: sampled parameters, gradient, and losses; at once."""
        sample, losses = self._sample, self._losses.kept()
        device = self._params[0].device
        joined = torch.cat([sample.of_params(), sample.of_grads(), *[one.to(device).reshape(1) for one in losses]])
        host, n = joined.cpu().numpy(), sample.n_sampled
        return host[:n], host[n : 2 * n], host[2 * n :].tolist()

    def _check_first(self, is_guarded, losses):
        if is_guarded and self._driver.steps == 0 and not all(map(isfinite, losses)):
            raise ValueError(
                f"the loss of the first step is {losses[-1]}: there is no sound state to go back to. Look at the data and "
                "at the initial weights"
            )

    def _heal(self, losses):
        if self._kept is not None and not all(map(isfinite, losses)):
            self._kept.heal_buffers()

    def _obey(self, order):
        if order.kind == "apply":
            self._apply(order)
        elif order.kind == "roll_back":
            if self._kept is not None:
                self._kept.restore(self._counters)
            self._driver.rolled_back(self._sample.of_params().cpu().numpy())
        elif order.kind == "restart":
            if self._first is not None:
                self._first.restore(self._counters)
                self._kept.take()
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
        before = [numbers(group) for group in groups] if order.keep else []
        try:
            self._base.step()
        finally:
            if self._was_scheduled and self._driver.moves_lr:
                self._lr.put_bases(groups)
        for group, those in zip(groups, before):
            self._counters |= {key for key, value in numbers(group).items() if those.get(key) != value} - {"lr"}

    def _snapshot(self):
        if not self._rollback:
            return None
        buffers = [buffer for model in self._models for buffer in model.buffers()]
        with_state, on_cpu = self._rollback != "parameters", self._rollback == "cpu"
        return Snapshot(self._params, self._base, buffers, with_state=with_state, on_cpu=on_cpu)

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
        self._driver.begin_here()
        self._forget_params()
