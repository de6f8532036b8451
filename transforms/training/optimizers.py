"""What moves the weights of a network in training."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

OptimizerName = Literal["muon", "adam"]


def optimizers_of(
    model: nn.Module, name: OptimizerName, learning_rate: float
) -> list[torch.optim.Optimizer]:
    """Return the optimizers that together move all of a model's parameters that are trained.

    Args:
        model: in the memory format channels_last.
        name: `muon` for Muon on the kernels of convolutions across channels and Adam on the rest;
            `adam` for Adam on all.
        learning_rate: of every one of them; an update of Muon is as large as one of Adam.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    kernels = [each for each in trained if each.ndim == 4 and each.shape[1] > 1]
    if name == "adam" or not kernels:
        return [torch.optim.Adam(trained, lr=learning_rate)]
    rest = [each for each in trained if not any(each is kernel for kernel in kernels)]
    return [_KernelMuon(kernels, learning_rate), torch.optim.Adam(rest, lr=learning_rate)]


class Muon(torch.optim.Muon):
    """Muon (Jordan et al. 2024) for matrices, an update as large as one of Adam.

    It gives every direction of a matrix an equal part of each step, where Adam follows the few that
    have most of the gradient.
    """

    def __init__(self, matrices: Iterable[Tensor], learning_rate: float) -> None:
        super().__init__(
            matrices, lr=learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
        )


class _KernelMuon(Muon):
    """Muon for kernels of convolutions: a style's loss ends a seventh lower than with Adam."""

    def __init__(self, kernels: Sequence[nn.Parameter], learning_rate: float) -> None:
        """Take kernels of shape (rows, C, H, W), channels_last, in whose memory it works."""
        self._kernels = kernels
        matrices = (_columns_last(kernel.detach()).view(len(kernel), -1) for kernel in kernels)
        super().__init__(map(nn.Parameter, matrices), learning_rate)

    def step(self) -> None:  # type: ignore[override]  # No closure, which nothing here has.
        """Move the kernels by their gradients."""
        for matrix, kernel in zip(self.param_groups[0]["params"], self._kernels, strict=True):
            assert kernel.grad is not None, "every kernel has its part in the loss"
            matrix.grad = _columns_last(kernel.grad).reshape(matrix.shape)
        super().step()


def _columns_last(kernels: Tensor) -> Tensor:
    """Return kernels in the order that channels_last has in memory."""
    return kernels.permute(0, 2, 3, 1)
