"""What an optimizer of PyTorch is, for one that stands around another."""

from torch.optim import Optimizer


class Wrapper(Optimizer):
    """An optimizer around another, whose objects are its own. Subclasses set `_base`."""

    @property
    def param_groups(self):
        """The parameter groups of the optimizer, its own objects. The learning rate in force stands in "lr"."""
        return self._base.param_groups

    @param_groups.setter
    def param_groups(self, groups):
        self._base.param_groups = groups

    @property
    def state(self):
        """The state of the optimizer, its own object."""
        return self._base.state

    @state.setter
    def state(self, state):
        self._base.state = state

    @property
    def defaults(self):
        """The defaults of the optimizer, its own object."""
        return self._base.defaults

    @defaults.setter
    def defaults(self, defaults):
        self._base.defaults = defaults

    @property
    def optimizer(self):
        """The optimizer inside."""
        return self._base

    def __getattr__(self, name):
        # Called for what is not here. While it is unpickled there is no optimizer yet.
        base = self.__dict__.get("_base")
        if base is None or name.startswith("__"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(base, name)

    def _run_step_hooks(self, hooks, args, kwargs):
        for hook in hooks.values():
            changed = hook(self, args, kwargs)
            if changed is not None:
                args, kwargs = changed
        return args, kwargs

    def _hooked(self, hooks, state_dict):
        """What hooks, which may answer with another one, make of a state dict."""
        for hook in hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        return state_dict
