"""The controller around an optimizer of PyTorch, and another direction for its steps."""

from ._controller import QController
from ._orthogonal import Orthogonal

__all__ = ["Orthogonal", "QController"]
