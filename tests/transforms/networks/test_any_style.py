"""Tests of the network for any painting: its colors are the painting's, whatever the photo."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.backends import HAS_OPENVINO
from stylebeam.transforms.backends.pytorch import TorchBackend
from stylebeam.transforms.checkpoints import Checkpoint, Style
from stylebeam.transforms.inference import feed_forward
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.networks import MIN_SIDE, build_network, style_size
from stylebeam.transforms.networks.any_style import (
    COLOR_SIZE,
    AnyStyleNetwork,
    decode_colors,
    encode_colors,
)
from stylebeam.transforms.networks.style_network import framed, normalize_by_image

CPU = torch.device("cpu")
MEAN = torch.tensor([[0.6, 0.45, 0.2]])
FACTOR = torch.tensor([[0.2, 0.0, 0.0], [0.1, 0.15, 0.0], [-0.05, 0.1, 0.05]])
COVARIANCE = (FACTOR @ FACTOR.mT)[None]


@pytest.fixture
def network() -> AnyStyleNetwork:
    torch.manual_seed(0)
    network = build_network("any_style", {"channels": 16}).eval()
    assert isinstance(network, AnyStyleNetwork)
    return network


def styles_of(network: AnyStyleNetwork, count: int) -> Tensor:
    """Return random styles, all of them with the colors of MEAN and COVARIANCE."""
    styles = 0.3 * torch.randn(
        count, network.style_size, generator=torch.Generator().manual_seed(1)
    )
    styles[:, -COLOR_SIZE:] = encode_colors(MEAN, COVARIANCE)
    return styles


def test_colors_can_be_decoded() -> None:
    mean, root = decode_colors(F.pad(encode_colors(MEAN, COVARIANCE), (20, 0)))
    torch.testing.assert_close(mean, MEAN)
    torch.testing.assert_close(root, root.mT)
    torch.testing.assert_close(root @ root, COVARIANCE)


def test_the_colors_of_a_constant_painting_have_no_contrast() -> None:
    """Rounding can give its covariance eigenvalues below 0."""
    colors = encode_colors(MEAN, torch.diag(torch.tensor([0.0, -1e-9, 1e-20]))[None])
    mean, root = decode_colors(colors)
    torch.testing.assert_close(mean, MEAN)
    assert root.abs().max() < 1e-7


def test_zeros_are_gray_with_an_average_contrast() -> None:
    gray = torch.full((1, 3), 0.5)
    assert encode_colors(gray, 0.25**2 * torch.eye(3)[None]).abs().max() < 1e-7


def test_a_vector_is_that_of_the_multi_style_network_and_the_colors() -> None:
    network, other = build_network("any_style", {}), build_network("multi_style", {})
    assert style_size(network) == style_size(other) + 12
    network.load_state_dict(other.state_dict())


@pytest.mark.parametrize("arguments", [{"channels": 8}, {"blocks": 3}])
def test_wrong_arguments_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="'any_style' cannot be built"):
        build_network("any_style", arguments)


def test_residual_blocks_are_dilated(network: AnyStyleNetwork) -> None:
    x = torch.randn(1, 16, 12, 15)
    styles = styles_of(network, 1)
    for (first, second), dilation in zip(network.body(styles), (1, 2, 4, 2, 1), strict=True):
        assert first.reach == second.reach == dilation
    layer = network.residual[4]
    plain = F.conv2d(F.pad(x, [4] * 4, "reflect"), layer.weight, layer.bias, dilation=4)
    torch.testing.assert_close(layer(x), plain)


def blocks_of(network: AnyStyleNetwork, images: Tensor, styles: Tensor) -> Tensor:
    """Return the output before the frame is cut off: (B, 16 pixels, 3 colors, H, W)."""
    packed = network.packed(framed(images, network.frame).permute(0, 2, 3, 1))
    made = network.transform(packed.permute(0, 3, 1, 2), styles, normalize_by_image)
    return made.unflatten(1, (16, 3))


@torch.no_grad()
def test_each_pixel_of_a_block_has_the_mean_color_of_the_painting(network: AnyStyleNetwork) -> None:
    images = torch.rand(2, 3, 61, 50)
    for styles in (styles_of(network, 1), styles_of(network, 2)):
        means = blocks_of(network, images, styles).mean((3, 4))
        torch.testing.assert_close(means, MEAN[None].expand_as(means), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2])
def test_uncorrelated_features_have_the_covariance_of_the_painting(
    network: AnyStyleNetwork, count: int
) -> None:
    features = torch.randn(400, 48).double()
    # Channels with the mean 0, orthogonal to one another.
    features = torch.linalg.qr(features - features.mean(0)).Q * 400**0.5
    x = features.mT.reshape(1, 48, 20, 20).float().expand(count, -1, -1, -1)
    made = network.finish(x, styles_of(network, count))
    for picture in made.unflatten(1, (16, 3)):
        colors = picture.transpose(0, 1).flatten(1)
        torch.testing.assert_close(colors.mean(1), MEAN[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(
            torch.cov(colors, correction=0), COVARIANCE[0], atol=1e-5, rtol=0
        )


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 50), (MIN_SIDE, MIN_SIDE + 3)])
def test_each_image_of_a_batch_has_its_own_style(
    network: AnyStyleNetwork, height: int, width: int
) -> None:
    images = torch.rand(2, 3, height, width)
    styles = styles_of(network, 2)
    styles[1, -COLOR_SIZE:] = 0
    together = network(images, styles)
    assert together.shape == images.shape
    for image, style, result in zip(images, styles, together, strict=True):
        alone = network(image[None], style[None])[0]
        torch.testing.assert_close(result, alone, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_constant_photo_gives_a_constant_picture(network: AnyStyleNetwork) -> None:
    made = network(torch.full((1, 3, 70, 93), 0.5), styles_of(network, 1))
    assert (made - MEAN[:, :, None, None]).abs().max() < 0.5 / 255


@pytest.mark.skipif(not HAS_OPENVINO, reason="OpenVINO is not installed")
def test_openvino_and_torch_agree(
    network: AnyStyleNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = {"random": Style(styles_of(network, 1)[0])}
    checkpoint = Checkpoint("any_style", network.state_dict(), styles, {"channels": 16})
    photo = torch.randint(0, 256, (3, 90, 121), dtype=torch.uint8)
    by_openvino = FeedForwardStylizer(checkpoint, CPU, torch.float32).stylize(photo)
    monkeypatch.setattr(
        feed_forward, "backend_for", lambda computation, *_: TorchBackend(computation, CPU)
    )
    by_torch = FeedForwardStylizer(checkpoint, CPU, torch.float32).stylize(photo)
    assert (by_openvino.int() - by_torch.int()).abs().max() <= 1


@pytest.mark.slow
def test_trainings_can_compile_the_network(network: AnyStyleNetwork) -> None:
    """As on a GPU: a batch of several styles, in bfloat16, without breaks of the graph."""
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    images, styles = torch.rand(2, 3, 64, 64), styles_of(network, 2)
    gradients = []
    for forward in (network, compiled):
        vectors = styles.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            made = forward(images, vectors)
        made.float().square().mean().backward()
        assert made.dtype == torch.float32
        gradients.append(vectors.grad)
    difference = (gradients[0] - gradients[1]).norm()
    assert difference < 0.1 * gradients[0].norm()
