"""The controller around an optimizer of PyTorch."""

from ._controller import QController

__all__ = ["QController"]
