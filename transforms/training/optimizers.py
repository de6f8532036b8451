"""The optimizers of trainings: Adam, and Muon for the kernels of convolutions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

OptimizerName = Literal["muon", "adam"]


def optimizers_of(
    model: nn.Module,
    name: OptimizerName,
    learning_rate: float,
    others: Mapping[nn.Parameter, float] | None = None,
) -> list[torch.optim.Optimizer]:
    """Return optimizers that together update all parameters of a model that require gradients.

    Args:
        model: in the memory format channels_last.
        name: `muon` for Muon on convolution kernels that mix channels, and Adam on all other
            parameters; `adam` for Adam on all.
        learning_rate: of all of them. Updates of Muon are scaled to the size of Adam's.
        others: parameters of the model with learning rates of their own, for Adam.
    """
    others = others or {}
    trained = [
        parameter
        for parameter in model.parameters()
        if parameter.requires_grad and parameter not in others
    ]
    apart: list[dict[str, Any]] = [
        {"params": [parameter], "lr": rate} for parameter, rate in others.items()
    ]
    kernels = [each for each in trained if each.ndim == 4 and each.shape[1] > 1]
    if name == "adam" or not kernels:
        groups: list[dict[str, Any]] = [{"params": trained}] if trained else []
        return [torch.optim.Adam([*groups, *apart], lr=learning_rate)]
    rest = [each for each in trained if not any(each is kernel for kernel in kernels)]
    adam = torch.optim.Adam([{"params": rest}, *apart], lr=learning_rate)
    return [_KernelMuon(kernels, learning_rate), adam]


class Muon(torch.optim.Muon):
    """Muon (Jordan et al. 2024) for matrices, its updates scaled to the size of Adam's.

    Its updates are nearly orthogonal: all directions of a matrix get equal steps, whereas Adam
    follows the few directions that have most of the gradient.
    """

    def __init__(self, matrices: Iterable[Tensor], learning_rate: float) -> None:
        super().__init__(
            matrices, lr=learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
        )


class _KernelMuon(Muon):
    """Muon for convolution kernels. The final loss of a style is a seventh lower than with Adam."""

    def __init__(self, kernels: Sequence[nn.Parameter], learning_rate: float) -> None:
        """Make the optimizer.

        Args:
            kernels: of shape (C_out, C_in, H, W), channels_last; their memory is viewed as
                matrices.
            learning_rate: of the updates.
        """
        self._kernels = kernels
        matrices = (_columns_last(kernel.detach()).view(len(kernel), -1) for kernel in kernels)
        super().__init__(map(nn.Parameter, matrices), learning_rate)

    def step(self) -> None:  # type: ignore[override]  # no closure
        """Update the kernels from their gradients."""
        for matrix, kernel in zip(self.param_groups[0]["params"], self._kernels, strict=True):
            assert kernel.grad is not None, "the loss depends on every kernel"
            matrix.grad = _columns_last(kernel.grad).reshape(matrix.shape)
        super().step()


def _columns_last(kernels: Tensor) -> Tensor:
    """Return kernels with the channels last, the order of channels_last in memory."""
    return kernels.permute(0, 2, 3, 1)
