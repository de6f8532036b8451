"""Tests of stylization in tiles: the same picture, without seams, at any size."""

from collections.abc import Callable

import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.transforms.checkpoints import Checkpoint, Style
from stylebeam.transforms.inference import tiles, tiling
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.tiling import TiledImage
from stylebeam.transforms.networks import build_network
from stylebeam.transforms.networks.style_network import StyleNetwork

CPU = torch.device("cpu")
NETWORKS = [
    ("multi_style", {"channels": 16, "blocks": 2}),
    ("johnson", {}),
    ("depsep", {"channel_multiplier": 1}),
    ("depsep_nn_bil", {"channel_multiplier": 2}),
    ("any_style", {"channels": 16}),
]


def network_of(name: str, arguments: dict[str, object]) -> tuple[StyleNetwork, torch.Tensor]:
    """Return a network with random weights, and the vector of a style."""
    torch.manual_seed(0)
    network = build_network(name, arguments).eval()
    return network, 0.3 * torch.randn(1, network.style_size)


@pytest.fixture
def photo(gradient: Callable[[int, int], Image.Image]) -> Callable[[int, int], torch.Tensor]:
    """Makes pixels, shape (H, W, 3), whose statistics differ from place to place."""

    def make(height: int, width: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        smooth = pil_to_tensor(gradient(width, height)).permute(1, 2, 0)
        noise = torch.randint(0, 80, (height, width, 3), generator=generator, dtype=torch.uint8)
        return (smooth // 2 + noise * (smooth > 128)).to(torch.uint8)

    return make


@pytest.mark.parametrize("statistics", ["exact", "thumbnail"])
@pytest.mark.parametrize("size", [(150, 131), (64, 200), (17, 33), (18, 131)])
@pytest.mark.parametrize(("name", "arguments"), NETWORKS)
def test_an_image_in_tiles_equals_the_image_as_a_whole(
    name: str,
    arguments: dict[str, object],
    size: tuple[int, int],
    statistics: tiling.Statistics,
    photo: Callable[[int, int], torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The images are no larger than a thumbnail, so its statistics are exact as well."""
    monkeypatch.setattr(tiles, "TILE_SIDE", 48)
    network, vector = network_of(name, arguments)
    pixels = photo(*size)
    with torch.inference_mode():
        whole = network(pixels.permute(2, 0, 1)[None] / 255, vector)[0].permute(1, 2, 0)
    tiled, finite = TiledImage(network, pixels, vector).stylize(statistics, torch.float32)
    assert finite
    assert tiled.shape == pixels.shape
    assert (tiled - 255 * whole.clamp(0, 1)).abs().max() < 0.51


@pytest.mark.parametrize(("name", "arguments"), NETWORKS[:2])
def test_16_bits_stay_16_bits(
    name: str, arguments: dict[str, object], photo: Callable[[int, int], torch.Tensor]
) -> None:
    network, vector = network_of(name, arguments)
    pixels = photo(60, 70).int() * 257 + 3
    with torch.inference_mode():
        whole = network(pixels.permute(2, 0, 1)[None] / 65_535, vector)[0].permute(1, 2, 0)
    tiled, _ = TiledImage(network, pixels, vector).stylize("exact", torch.float32)
    assert tiled.dtype == torch.int32
    assert (tiled - 65_535 * whole.clamp(0, 1)).abs().max() < 2


def test_a_thumbnail_has_the_mean_of_the_image(
    photo: Callable[[int, int], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, vector = network_of(*NETWORKS[0])
    monkeypatch.setattr(tiling, "THUMBNAIL_PIXELS", 64**2)
    pixels = photo(240, 480)
    thumbnail = TiledImage(network, pixels, vector).thumbnail()
    assert thumbnail.shape[2] * thumbnail.shape[3] <= 2 * 64**2
    torch.testing.assert_close(
        thumbnail.mean((0, 2, 3)), pixels.float().mean((0, 1)) / 255, atol=1e-4, rtol=0
    )


def test_a_panorama_has_a_thumbnail_too(monkeypatch: pytest.MonkeyPatch) -> None:
    network, vector = network_of(*NETWORKS[0])
    monkeypatch.setattr(tiling, "THUMBNAIL_PIXELS", 64**2)
    pixels = torch.randint(0, 256, (20, 9000, 3), dtype=torch.uint8)
    made, finite = TiledImage(network, pixels, vector).stylize("thumbnail", torch.float32)
    assert finite
    assert made.shape == pixels.shape


@pytest.fixture
def checkpoint() -> Checkpoint:
    """A small network with one style."""
    network, vector = network_of(*NETWORKS[0])
    styles = {"random": Style(vector[0])}
    return Checkpoint("multi_style", network.state_dict(), styles, NETWORKS[0][1])


def test_an_image_too_large_for_the_memory_is_tiled(
    checkpoint: Checkpoint,
    photo: Callable[[int, int], torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "TILE_SIDE", 48)
    sizes: list[torch.Size] = []
    convolve = torch.nn.functional.conv2d
    pixels = photo(200, 220).permute(2, 0, 1)
    whole = FeedForwardStylizer(checkpoint, CPU, torch.float32)
    tiled = FeedForwardStylizer(checkpoint, CPU, torch.float32, memory=200 * 220 * 20)

    def counting(x: torch.Tensor, *rest: object) -> torch.Tensor:
        sizes.append(x.shape)
        return convolve(x, *rest)

    monkeypatch.setattr("torch.nn.functional.conv2d", counting)
    made = tiled.stylize(pixels)
    assert max(size[2] * size[3] for size in sizes) < 30**2
    monkeypatch.undo()
    assert (made.int() - whole.stylize(pixels).int()).abs().max() <= 1


def test_an_image_too_large_even_for_tiles_is_an_error_with_advice(checkpoint: Checkpoint) -> None:
    stylizer = FeedForwardStylizer(checkpoint, CPU, torch.float32, memory=1_000_000)
    pixels = torch.zeros(3, 400, 500, dtype=torch.uint8)
    with pytest.raises(MemoryError, match=r"run\.memory.*statistics: thumbnail.*processing_size"):
        stylizer.stylize(pixels)
    assert stylizer.stylize(pixels, statistics="thumbnail").shape == pixels.shape
    assert stylizer.stylize(pixels, processing_size=64).shape == pixels.shape
