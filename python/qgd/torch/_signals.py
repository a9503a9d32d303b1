"""What a controlled run sees at a step, and tells its driver."""

from math import isfinite
from operator import is_

import torch

from ._checks import check_first, check_params, mind_validation
from ._grads import are_finite, masked
from ._sample import Sample
from ._together import processes


class Signals:
    """Losses, sampled parameters and gradients of a controlled run, of all processes that train the net."""

    def _refresh(self):
        """Takes in the parameters of the groups, where they are others than at the last step."""
        params = [p for group in self.param_groups for p in group["params"]]
        if self._params is not None and len(params) == len(self._params) and all(map(is_, params, self._params)):
            return
        check_params(params)
        self._forget_params()
        self._params = params
        self._sample = Sample(params, self._options["seed"])
        self._together = processes(self._process_group, params)
        # What was measured of other coordinates (of another process, another net, with another seed) is of no use.
        self._is_own = self._measured in (None, self._what_is_measured())
        is_alone = self._together is None or not self._together.is_sharded
        if not self._driver.measures(self._sample.n_sampled) or (is_alone and not self._is_own):
            self._driver.reset_measure()
        if self._is_own or is_alone:
            self._measured = self._what_is_measured()

    def _what_is_measured(self):
        """What tells the sampled coordinates from others: rank and number of processes, of parameters, and seed."""
        parts = self._together is not None and self._together.is_sharded
        rank, size = (self._together.rank, self._together.size) if parts else (0, 1)
        return [rank, size, self._sample.n_params, self._options["seed"]]

    def _reset_measure(self):
        self._driver.reset_measure()
        self._measured = None

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
            mind_validation(self._n_blind, self._options["controller"])
        params, grad, losses = self._read()
        if self._together is None:
            self._check_first(is_guarded, losses)
            self._heal(losses)
            return self._driver.step(losses, is_finite, params=params, grad=grad, n_params=self._sample.n_params)
        sums, n_sampled, n_params, is_finite, losses = self._share(params, grad, is_finite, losses)
        self._check_first(is_guarded, losses)
        self._heal(losses)
        return self._driver.step(losses, is_finite, sums=sums, n_sampled=n_sampled, n_params=n_params)

    def _share(self, params, grad, is_finite, losses):
        """What all processes have seen."""
        sample, lr, share = self._sample, self._driver.lr, self._together.share
        sums = self._driver.sums(params, grad)
        *shared, is_own = share(sums, sample.n_sampled, sample.n_params, is_finite, losses, lr, self._is_own)
        if not is_own:
            # A checkpoint holds what one process had measured of its part. All processes see that, and measure anew.
            self._driver.reset_measure()
            self._is_own, self._measured = True, self._what_is_measured()
            sums = self._driver.sums(params, grad)
            *shared, _ = share(sums, sample.n_sampled, sample.n_params, is_finite, losses, lr, True)
        return shared

    def _read(self):
        """Copies to the host what a decision needs: sampled parameters, gradient, and losses; at once."""
        sample, losses = self._sample, self._losses.kept()
        device = self._params[0].device
        joined = torch.cat([sample.of_params(), sample.of_grads(), *[one.to(device).reshape(-1) for one in losses]])
        host, n = joined.cpu().numpy(), sample.n_sampled
        return host[:n], host[n : 2 * n], host[2 * n :].tolist()

    def _check_first(self, is_guarded, losses):
        if is_guarded and self._driver.steps == 0:
            check_first(losses)

    def _heal(self, losses):
        if self._kept is not None and not all(map(isfinite, losses)):
            self._kept.heal_buffers()
