from collections.abc import Callable, Iterable
from typing import Any, Optional, Union

from torch import Tensor, nn
from torch.optim import Optimizer

POLAR_EXPRESS: tuple[tuple[float, float, float], ...]
STEADY: tuple[type[Optimizer], ...]
STEPS: str
MEAN: str
TINY: float
COARSE_STEPS: int
SAFETY: float

class Orthogonal(Optimizer):
    # The optimizer's own objects.
    param_groups: list[dict[str, Any]]
    state: Any
    defaults: dict[str, Any]
    def __init__(
        self,
        optimizer: Optimizer,
        *,
        model: Optional[nn.Module] = None,
        leave: Union[Tensor, nn.Module, Iterable[Union[Tensor, nn.Module]]] = (),
        degree: float = 1.0,
        steps: int = 5,
        every: int = 1,
    ) -> None: ...
    @property
    def optimizer(self) -> Optimizer: ...
    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any: ...
    def add_param_group(self, param_group: dict[str, Any]) -> None: ...
    def zero_grad(self, set_to_none: bool = True) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...
    def __getattr__(self, name: str) -> Any: ...

def orthogonalized(change: Tensor, degree: float = 1.0, steps: int = 5, coarse: Optional[bool] = None) -> Tensor: ...
