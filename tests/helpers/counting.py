"""How many clips a network really sees: to hold against what a method says it costs."""

from torch import Tensor, nn

from vxbench.explainers.base import Passes


class Counter:
    """Counts the clips that go through a module, and those whose gradient comes back to its output.

    Copies of the network count along: the hook is a plain function, which deepcopy leaves as it is.
    rows: what the module makes of one clip, such as its frames.
    """

    def __init__(self, module: nn.Module, rows: int = 1):
        self.rows = rows
        self.forward = self.backward = 0

        def count(module: nn.Module, args: tuple, output: Tensor) -> None:
            self.forward += len(output)
            if output.requires_grad:
                output.register_hook(back)

        def back(gradient: Tensor) -> None:
            self.backward += len(gradient)

        module.register_forward_hook(count)

    def passes(self, clips: int) -> Passes:
        """A clip's share of what was counted."""
        return Passes(self.forward / self.rows / clips, self.backward / self.rows / clips)
