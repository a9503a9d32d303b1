"""`Orthogonal`: another direction for the steps of an optimizer, as long as before."""

import torch
from torch.optim import Optimizer

from ._checks import whole
from ._wrapper import Wrapper

#: Coefficients (a, b, c) of "The Polar Express" (Amsel, Persson, Musco and Gower 2025, arXiv 2505.16932, algorithm 1), one row
#: for each step, the last one for all that follow. As in Rust (`src/polar.rs`).
POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)

#: Optimizers whose step is the same wherever the parameters are, weight decay apart. Their change is taken at 0, where no
#: digit of it is lost.
STEADY = (
    torch.optim.SGD, torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop, torch.optim.Adagrad,
    torch.optim.Adamax, torch.optim.Adadelta,
)  # fmt: skip

#: What stands in the state of a matrix beside that of its optimizer: a count of steps, and the mean of plain SGD's filter.
STEPS, MEAN = "qgd_steps", "qgd_mean"

#: Largest number of steps whose own error, 13 %, is above that of bfloat16.
COARSE_STEPS = 5
#: Room for the rounding of bfloat16, without which a singular value can leave the interval where the steps converge: the
#: polynomials are those of X / 1.01 (the safety factor of the same paper).
SAFETY = 1.01

#: Smallest norm that is divided by: a change of 0 stays 0.
TINY = 1e-30


class Orthogonal(Wrapper):
    """Steps an optimizer, and turns the change of each weight matrix: all its singular values become alike, and its
    Frobenius norm stays. A learning rate means what it meant.

        opt = qgd.Orthogonal(torch.optim.AdamW(model.parameters(), lr=1e-3), model=model)
        opt = qgd.QController(opt, "lr", total_steps=10_000)  # if wanted; it goes around

    Which parameters? Those with two dimensions or more (a convolution as out × rest) whose sides are both larger than 1.
    Vectors, embeddings of `model=`, and what `leave` names are left to the optimizer alone, to the bit. Decoupled weight
    decay (AdamW) is no part of the change and stays as it is. Plain SGD has no memory, and the small singular values of a
    single gradient are noise: without momentum the gradients of the matrices first go through Muon's filter (0.95, in
    Nesterov's form).

    It costs about 15 products of matrices for each one at a step: little on a GPU or where the batch is large, and more
    than the rest of the step for wide layers and small batches on a CPU.

    Args:
        optimizer: any optimizer of PyTorch but LBFGS. It keeps its state, its groups and its checkpoints.
        model: the net, whose embeddings (`nn.Embedding`, `nn.EmbeddingBag`) are left to the optimizer.
        leave: parameters and modules that are left to the optimizer too, the head for instance.
        degree: share of the orthogonalized direction M' in (1 - degree) M/|M| + degree M'/|M'|, from 0 to 1.
        steps: Newton-Schulz steps. After 5 every singular value that is at least a thousandth of the norm lies within 13 %
            of its target, after 6 within 0.2 %. On a GPU up to 5 are done in bfloat16: within 18 %.
        every: steps from one orthogonalization to the next; between them the changes are those of the optimizer.

    Raises:
        TypeError: the optimizer is none, or one that cannot be turned.
        ValueError: an argument is outside its range.
    """

    # A gradient scaler then divides the gradients before the step.
    _step_supports_amp_scaling = False

    def __init__(self, optimizer, *, model=None, leave=(), degree=1.0, steps=5, every=1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"the optimizer is a {type(optimizer).__name__}, but must be a torch.optim.Optimizer")
        if isinstance(optimizer, Wrapper):
            raise TypeError(
                f"the optimizer is a {type(optimizer).__name__}: build QController(Orthogonal(optimizer), ...), so that the "
                "controller stands outside"
            )
        if isinstance(optimizer, torch.optim.LBFGS):
            raise TypeError("LBFGS takes several steps in one and cannot be turned: use SGD, Adam or AdamW, for instance")
        if isinstance(degree, bool) or not 0.0 <= degree <= 1.0:
            raise ValueError(f"degree is {degree!r}, but must be a number from 0 to 1")
        self._base = optimizer
        self._degree, self._steps, self._every = float(degree), whole("steps", steps, 1), whole("every", every, 1)
        self._left = {id(p) for p in _left(model, leave)}
        Optimizer.__setstate__(self, {})

    def __getstate__(self):
        left = [p for group in self.param_groups for p in group["params"] if id(p) in self._left]
        return {**{key: value for key, value in self.__dict__.items() if key != "step"}, "_left": left}

    def __setstate__(self, state):
        self.__dict__.update(state, _left={id(p) for p in state["_left"]})
        Optimizer.__setstate__(self, {})

    def __repr__(self):
        return f"Orthogonal({self._base!r}, degree={self._degree}, steps={self._steps}, every={self._every})"

    def add_param_group(self, param_group):
        """Adds a group of parameters to the optimizer."""
        self._base.add_param_group(param_group)

    def zero_grad(self, set_to_none=True):
        """Resets the gradients."""
        self._base.zero_grad(set_to_none)

    def state_dict(self):
        """The optimizer's own state dict, which it can load without this wrapper too."""
        return self._base.state_dict()

    def load_state_dict(self, state_dict):
        """Loads a state dict of this, or of the optimizer alone."""
        self._base.load_state_dict(state_dict)

    @torch.no_grad()
    def step(self, closure=None):
        """Takes one step. Returns the loss, if a closure computes it (and the gradients anew)."""
        (closure,), _ = self._run_step_hooks(self._optimizer_step_pre_hooks, (closure,), {})
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices = list(self._matrices())
        turned = [_Turned(self._base, group, p) for group, p in matrices if self._is_due(p)]
        try:
            for one in turned:
                one.begin()
            self._base.step()
        except BaseException:
            for one in turned:
                one.undo()
            raise
        for one in turned:
            one.end(self._degree, self._steps)
        if self._every > 1:
            for _, p in matrices:
                self.state[p][STEPS] = self.state[p].get(STEPS, 0) + 1
        self._run_step_hooks(self._optimizer_step_post_hooks, (closure,), {})
        return loss

    # The optimizer's own step runs the hooks that were registered for all optimizers, and its profile; once is enough.
    step.hooked = True

    def _is_due(self, p):
        # Optimizers make their state where there is none at all, so nothing may be put there before their first step.
        n_steps = self.state[p].get(STEPS, 0) if p in self.state else 0
        return n_steps % self._every == 0

    def _matrices(self):
        """The weight matrices whose changes are turned, each with its group."""
        if self._degree == 0.0:
            return
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None or id(p) in self._left or not _is_matrix(p):
                    continue
                if hasattr(p, "placements"):
                    raise TypeError(
                        "the parameters are spread over processes (FSDP2), where no process has a whole matrix: name them in "
                        "`leave`, or use DDP"
                    )
                yield group, p


class _Turned:
    """A weight matrix at a step."""

    def __init__(self, optimizer, group, p):
        self._optimizer, self._group, self._p = optimizer, group, p
        self._decay = group.get("weight_decay", 0.0) or 0.0
        self._is_decoupled = group.get("decoupled_weight_decay", False) or _decouples(optimizer)
        self._is_steady = isinstance(optimizer, STEADY)
        self._old, self._grad, self._mean = None, None, None

    def begin(self):
        p = self._p
        self._old, self._grad = p.clone(), p.grad
        if self._is_steady:
            grad = p.grad
            if self._decay and not self._is_decoupled:
                grad = grad.add(p, alpha=-self._decay if self._group.get("maximize") else self._decay)
            if isinstance(self._optimizer, torch.optim.SGD) and not self._group["momentum"]:
                grad = self._filtered(grad)
            p.grad = grad
            p.zero_()

    def undo(self):
        if self._old is not None:
            self._p.copy_(self._old)
            self._p.grad = self._grad

    def end(self, degree, steps):
        p, kept = self._p, self._old
        p.grad = self._grad
        if self._decay and self._is_decoupled:
            kept = kept * (1.0 - self._group["lr"] * self._decay)
        change = p.clone() if self._is_steady else p - kept
        p.copy_(kept + orthogonalized(change, degree, steps))
        if self._mean is not None:
            self._optimizer.state[p][MEAN] = self._mean

    def _filtered(self, grad):
        """Muon's filter."""
        mean = self._optimizer.state[self._p].get(MEAN)
        self._mean = torch.lerp(torch.zeros_like(grad) if mean is None else mean, grad, 0.05)
        return grad.lerp(self._mean, 0.95)


def orthogonalized(change, degree=1.0, steps=5, coarse=None):
    """The change `[out, ...]` of a weight matrix with its singular values alike, and its Frobenius norm, by Newton-Schulz
    iteration: X <- a X + (b G + c G²) X with G = X Xᵀ.

    coarse: whether it iterates in bfloat16, as `torch.optim.Muon` does. Default: on a GPU, and where the steps
    themselves are no more exact (5 at most); a change in double precision never does."""
    if coarse is None:
        coarse = change.is_cuda and steps <= COARSE_STEPS and change.dtype != torch.float64
    dtype = torch.float64 if change.dtype == torch.float64 else torch.float32
    matrix = change.reshape(change.shape[0], -1).to(dtype)
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if is_tall else matrix
    norm = wide.norm()
    unit = wide / norm.clamp_min(TINY)
    x = unit.bfloat16() if coarse else unit
    for i in range(steps):
        a, b, c = POLAR_EXPRESS[min(i, len(POLAR_EXPRESS) - 1)]
        if coarse:
            a, b, c = a / SAFETY, b / SAFETY**3, c / SAFETY**5
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.to(dtype)
    if degree < 1.0:
        x = degree / x.norm().clamp_min(TINY) * x + (1.0 - degree) * unit
    x = x * (norm / x.norm().clamp_min(TINY))
    return (x.T if is_tall else x).reshape(change.shape).to(change.dtype)


def _is_matrix(p):
    return p.dim() >= 2 and p.shape[0] > 1 and p.numel() > p.shape[0] and p.is_floating_point()


def _decouples(optimizer):
    names = {one.__name__ for one in type(optimizer).__mro__}
    return bool(names & {"AdamW", "Muon", "Lion"})


def _left(model, leave):
    """The parameters that are left to the optimizer."""
    if model is not None and not isinstance(model, torch.nn.Module):
        raise TypeError(f"model is a {type(model).__name__}, but must be a torch.nn.Module")
    embeddings = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    for module in model.modules() if model is not None else ():
        if isinstance(module, embeddings):
            yield module.weight
    for one in [leave] if isinstance(leave, (torch.Tensor, torch.nn.Module)) else leave:
        if isinstance(one, torch.nn.Module):
            yield from one.parameters()
        elif isinstance(one, torch.Tensor):
            yield one
        else:
            raise TypeError(f"leave holds a {type(one).__name__}, but must hold parameters and modules")
