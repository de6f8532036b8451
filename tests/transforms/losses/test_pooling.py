"""2x2 poolings against PyTorch's."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses.pooling import average_pool, max_pool

Pool = Callable[[Tensor], Tensor]


def values_and_gradient(pool: Pool, values: Tensor) -> tuple[Tensor, Tensor]:
    values = values.clone(memory_format=torch.preserve_format).requires_grad_()
    pooled = pool(values)
    weights = torch.linspace(-1, 1, pooled.numel(), dtype=pooled.dtype).view(pooled.shape)
    [gradient] = torch.autograd.grad((pooled * weights).sum(), [values])
    return pooled.detach(), gradient


@pytest.mark.parametrize(
    ("pool", "torchs"), [(max_pool, F.max_pool2d), (average_pool, F.avg_pool2d)]
)
@pytest.mark.parametrize("size", [(2, 2), (6, 8), (7, 8), (6, 9), (5, 3)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_equal_pytorchs(
    pool: Pool,
    torchs: Callable[[Tensor, int], Tensor],
    size: tuple[int, int],
    memory_format: torch.memory_format,
) -> None:
    torch.manual_seed(0)
    # After ReLU many values are 0: the first of equal values receives the gradient.
    values = torch.randn(2, 5, *size, dtype=torch.float64).relu()
    values = values.contiguous(memory_format=memory_format)
    found = values_and_gradient(pool, values)
    expected = values_and_gradient(lambda some: torchs(some, 2), values)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-15)


@pytest.mark.parametrize("pool", [max_pool, average_pool])
@pytest.mark.parametrize("height", [8, 9])
def test_the_memory_format_is_kept(pool: Pool, height: int) -> None:
    values = torch.rand(1, 4, height, 6).contiguous(memory_format=torch.channels_last)
    pooled = pool(values.requires_grad_())
    [gradient] = torch.autograd.grad(pooled, [values], torch.ones_like(pooled))
    assert pooled.is_contiguous(memory_format=torch.channels_last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_average_pooling_has_second_derivatives() -> None:
    values = torch.rand(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(average_pool, [values])
