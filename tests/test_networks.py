"""The image transformation networks: size, shapes, construction by name."""

import pytest
import torch

from transforms.networks import MIN_SIDE, build_network


def test_johnson_has_the_published_count_of_parameters() -> None:
    network = build_network("johnson", {})
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_679_235


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (61, 50), (MIN_SIDE, MIN_SIDE + 3), (18, 35)]
)
def test_the_output_has_the_size_of_the_input(height: int, width: int) -> None:
    images = torch.rand(2, 3, height, width)
    with torch.inference_mode():
        stylized = build_network("johnson", {})(images)
    assert stylized.shape == images.shape


def test_the_output_lies_where_the_input_lies() -> None:
    """A change of one pixel spreads around that pixel, not elsewhere."""
    torch.manual_seed(0)
    network = build_network("johnson", {}).eval()
    # Without normalisation, whose statistics see the whole image, influence is local.
    for module in network.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda x: x
    images = torch.rand(1, 3, 321, 321, requires_grad=True)
    network(images)[0, :, 201, 157].sum().backward()
    influence = images.grad.abs().sum((0, 1))
    rows, columns = torch.arange(321.0), torch.arange(321.0)
    centre_y = (influence.sum(1) * rows).sum() / influence.sum()
    centre_x = (influence.sum(0) * columns).sum() / influence.sum()
    assert abs(centre_y - 201) < 4
    assert abs(centre_x - 157) < 4


def test_an_unknown_network_and_an_unknown_argument_are_refused() -> None:
    with pytest.raises(ValueError, match="no network 'jonson'; there is johnson"):
        build_network("jonson", {})
    with pytest.raises(ValueError, match="cannot be built"):
        build_network("johnson", {"depth": 3})
