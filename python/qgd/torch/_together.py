"""Several processes that train one net: all take the same decisions, from the same numbers."""

import torch
import torch.distributed as dist


def processes(group, params):
    """The processes that train these parameters together; None where this one is on its own."""
    if group is False or not dist.is_available() or not dist.is_initialized() or dist.get_world_size(group) < 2:
        return None
    return Together(group, params[0].device, any(map(is_sharded, params)))


def is_sharded(tensor):
    """Whether a tensor is a part of one that is spread over processes (FSDP2)."""
    return any(placement.is_shard() for placement in getattr(tensor, "placements", ()))


class Together:
    """The processes of a group. What each has seen is added up; one reduction a decision."""

    def __init__(self, group, device, sharded):
        self.group = group
        self.size = dist.get_world_size(group)
        self.rank = dist.get_rank(group)
        self._device = device
        #: Whether each process holds a part of the parameters.
        self.is_sharded = sharded

    def share(self, sums, n_sampled, n_params, is_finite, losses, lr, is_own):
        """Sums of all processes, mean losses, whether all are finite, and whether all sums rest on the own measurements of
        their process. Equal to the bit in every process."""
        flags = [float(is_finite), float(is_own)]
        mine = torch.tensor([*sums, n_sampled, n_params, lr, *flags, *losses], dtype=torch.float64, device="cpu")
        ours = self._sum(mine)
        *sums, n_sampled, n_params, lr_sum, n_finite, n_own = ours[:16]
        if not abs(lr_sum / self.size - lr) <= 1e-9 * lr:
            raise RuntimeError(
                f"the processes disagree: the learning rate is {lr} in process {self.rank}, and {lr_sum / self.size} on "
                "average. Build the same QController in every process, and load the same checkpoint"
            )
        if not self.is_sharded:
            # Every process holds all parameters: the mean is what each has measured.
            sums = [value / self.size for value in sums]
            n_sampled, n_params = n_sampled / self.size, n_params / self.size
        losses = [loss / self.size for loss in ours[16:]]
        return sums, round(n_sampled), round(n_params), n_finite == self.size, losses, n_own == self.size

    def all_finite(self, is_finite):
        """Whether it is finite in all processes. Where each holds the whole gradient, no one needs to be asked."""
        if not self.is_sharded:
            return is_finite
        return self._sum(torch.tensor([float(is_finite)], dtype=torch.float64, device="cpu"))[0] == self.size

    def _sum(self, vector):
        vector = vector.to(self._device)
        dist.all_reduce(vector, group=self.group)
        return vector.tolist()
