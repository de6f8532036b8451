"""Tests of the image transformation networks and of their layers."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from benchmarks.plain_johnson import PlainJohnson
from stylebeam.transforms.networks import MIN_SIDE, build_network, style_network, style_size
from stylebeam.transforms.networks.layers import (
    NORM_EPSILON,
    SeparableConvolution,
    convolution,
    convolve_upsampled,
    instance_norm,
)
from stylebeam.transforms.networks.space_to_depth import (
    convolve_space_to_depth,
    convolve_to_depth,
    depth_to_space,
    upsample_space_to_depth,
)
from stylebeam.transforms.training.data import read_style_image

SAMPLES = Path(__file__).parents[3] / "samples" / "photos"
NETWORKS = [
    ("johnson", {}),
    ("johnson", {"upsampling": "transposed"}),
    ("depsep", {}),
    ("depsep_nn", {"channel_multiplier": 1}),
    ("depsep_nn_bil", {"channel_multiplier": 2}),
]


def parameter_count(name: str, **arguments: object) -> int:
    return sum(parameter.numel() for parameter in build_network(name, arguments).parameters())


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
def test_johnson_has_the_published_number_of_parameters(upsampling: str) -> None:
    assert parameter_count("johnson", upsampling=upsampling) == 1_679_235


def separable(channels_in: int, channels_out: int, kernel: int, multiplier: int) -> int:
    """Return the number of parameters of a depthwise separable convolution."""
    between = channels_in * multiplier
    return between * (kernel**2 + 1) + (between + 1) * channels_out


@pytest.mark.parametrize("multiplier", [1, 4])
@pytest.mark.parametrize(("name", "copies"), [("depsep_nn", 1), ("depsep_nn_bil", 2)])
def test_parameter_counts_of_the_separable_networks(
    name: str, copies: int, multiplier: int
) -> None:
    """The sizes are Johnson's; depsep_nn_bil convolves two concatenated interpolations."""
    sizes = [
        *((3, 32, 9), (32, 64, 3), (64, 128, 3)),
        *[(128, 128, 3)] * 10,
        *((128 * copies, 64, 3), (64 * copies, 32, 3)),
        (32, 3, 9),
    ]
    normalized = [channels_out for _, channels_out, _ in sizes[:-1]]
    expected = sum(separable(*size, multiplier) for size in sizes) + 2 * sum(normalized)
    assert parameter_count(name, channel_multiplier=multiplier) == expected


def test_the_default_channel_multiplier_is_4() -> None:
    for name in ("depsep", "depsep_nn", "depsep_nn_bil"):
        assert parameter_count(name) == parameter_count(name, channel_multiplier=4)


@pytest.mark.parametrize("multiplier", [1, 2, 4])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (9, 1)])
def test_a_separable_convolution_equals_its_two_convolutions(
    kernel: int, stride: int, multiplier: int
) -> None:
    layer = SeparableConvolution(5, 7, kernel, stride, multiplier).double()
    features = torch.randn(2, 5, 12, 13, dtype=torch.float64)
    padded = F.pad(features, [kernel // 2] * 4, mode="reflect")
    depthwise = F.conv2d(padded, layer.depthwise.weight, layer.depthwise.bias, stride, groups=5)
    assert depthwise.shape[1] == 5 * multiplier
    mixed = F.conv2d(depthwise, layer.pointwise.weight, layer.pointwise.bias)
    torch.testing.assert_close(layer(features), mixed)


def test_depsep_has_transposed_convolutions() -> None:
    transposed = 9 * 128 * 64 + 64 + 9 * 64 * 32 + 32
    nearest = separable(128, 64, 3, 4) + separable(64, 32, 3, 4)
    assert parameter_count("depsep") - parameter_count("depsep_nn") == transposed - nearest


@pytest.mark.parametrize(("name", "arguments"), NETWORKS)
@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (61, 50), (MIN_SIDE, MIN_SIDE + 3), (18, 35)]
)
def test_the_output_has_the_size_of_the_input(
    name: str, arguments: dict, height: int, width: int
) -> None:
    images = torch.rand(2, 3, height, width)
    with torch.inference_mode():
        stylized = build_network(name, arguments)(images, torch.zeros(1, 0))
    assert stylized.shape == images.shape


@pytest.mark.parametrize(("name", "arguments"), NETWORKS)
def test_the_output_is_aligned_with_the_input(
    name: str, arguments: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The influence of the input on an output pixel is centered at that pixel."""
    torch.manual_seed(0)
    network = build_network(name, arguments).eval()
    # Normalization is left out: its statistics depend on the whole image.
    monkeypatch.setattr(style_network, "normalize_by_image", lambda stage, x: x)
    images = torch.rand(1, 3, 321, 321, requires_grad=True)
    network(images, torch.zeros(1, 0))[0, :, 201, 157].sum().backward()
    influence = images.grad.abs().sum((0, 1))
    rows, columns = torch.arange(321.0), torch.arange(321.0)
    center_y = (influence.sum(1) * rows).sum() / influence.sum()
    center_x = (influence.sum(0) * columns).sum() / influence.sum()
    assert abs(center_y - 201) < 4
    assert abs(center_x - 157) < 4


@pytest.mark.parametrize("name", ["johnson", "multi_style"])
def test_the_border_is_stylized_like_the_interior(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Normalization is left out: its statistics depend on the whole image.
    monkeypatch.setattr(style_network, "normalize_by_image", lambda stage, x: x)
    torch.manual_seed(0)
    network = build_network(name, {}).eval()
    vector = torch.zeros(1, style_size(network))
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        stylized = network(images, vector)
        larger = network(F.pad(images, [48] * 4, mode="reflect"), vector)
    difference = stylized - larger[..., 48:-48, 48:-48]
    assert difference[..., :2, :].abs().mean() < 0.08 * larger.std()
    assert difference[..., -2:].abs().mean() < 0.08 * larger.std()


@pytest.fixture
def multi_style() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network("multi_style", {}).eval()


def test_a_style_is_a_scale_and_a_shift_of_every_normalized_channel(
    multi_style: torch.nn.Module,
) -> None:
    assert style_size(multi_style) == 2 * (64 * 11 + 24 + 12)
    assert style_size(build_network("johnson", {})) == 0
    convolutions = [(48, 64), *[(64, 64)] * 10, (64, 24), (24, 12), (12, 3)]
    expected = sum((9 * before + 1) * after for before, after in convolutions)
    assert sum(parameter.numel() for parameter in multi_style.parameters()) == expected


@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 50), (MIN_SIDE, MIN_SIDE + 3)])
def test_each_image_of_a_batch_has_its_own_style(
    multi_style: torch.nn.Module, height: int, width: int
) -> None:
    images = torch.rand(3, 3, height, width)
    styles = torch.randn(3, style_size(multi_style))
    with torch.inference_mode():
        together = multi_style(images, styles)
        assert together.shape == images.shape
        for image, style, result in zip(images, styles, together, strict=True):
            alone = multi_style(image[None], style[None])[0]
            torch.testing.assert_close(result, alone, atol=1e-5, rtol=0)
        same_style = multi_style(images, styles[1:2])
        torch.testing.assert_close(same_style[1], together[1], atol=1e-5, rtol=0)
        assert (same_style[0] - together[0]).abs().max() > 0.01


def test_with_scales_of_zero_the_result_is_constant_and_depends_on_the_shifts(
    multi_style: torch.nn.Module,
) -> None:
    """The vector holds the scale minus 1, so -1 is a scale of 0."""
    style = torch.zeros(1, style_size(multi_style))
    style[0, -24:-12] = -1.0  # the scales of the last 12 normalized channels
    with torch.inference_mode():
        flat = multi_style(torch.rand(1, 3, 32, 32), style)
        torch.testing.assert_close(flat, flat[..., :1, :1].expand_as(flat))
        style[0, -12:] = 1.0
        shifted = multi_style(torch.rand(1, 3, 32, 32), style)
        torch.testing.assert_close(shifted, shifted[..., :1, :1].expand_as(flat))
        assert not torch.equal(shifted, flat)


def test_all_pixels_of_a_block_have_the_same_mean(multi_style: torch.nn.Module) -> None:
    """Otherwise there would be a grid with a period of 2 or 4 pixels."""
    images = read_style_image(SAMPLES / "canyon.jpg", 320)
    with torch.inference_mode():
        features = []
        finish = multi_style.finish
        patch = pytest.MonkeyPatch()
        patch.setattr(multi_style, "finish", lambda x, _: features.append(x) or finish(x, _))
        multi_style(images, 0.3 * torch.randn(1, style_size(multi_style)))
    [places] = features
    places = places.unflatten(1, (16, -1))
    spread = places.mean((3, 4)).std(1) / places.std((1, 3, 4))
    assert spread.max() < 0.02


def test_the_output_of_multi_style_is_aligned_with_the_input(multi_style: torch.nn.Module) -> None:
    network = multi_style
    images = torch.rand(1, 3, 320, 320, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        # Normalization is left out: its statistics depend on the whole image.
        patch.setattr(style_network, "normalize_by_image", lambda stage, x: x)
        stylized = network(images, torch.zeros(1, style_size(network)))
        stylized[0, :, 200, 157].sum().backward()
    influence = images.grad.abs().sum((0, 1))
    places = torch.arange(320.0)
    assert abs((influence.sum(1) * places).sum() / influence.sum() - 200) < 6
    assert abs((influence.sum(0) * places).sum() / influence.sum() - 157) < 6


def test_instance_norm_equals_that_of_torch() -> None:
    features = 3 + torch.randn(3, 5, 8, 9, dtype=torch.float64)
    scale, shift = torch.randn(2, 3, 5, dtype=torch.float64)
    normalized = F.instance_norm(features)
    expected = normalized * scale[..., None, None] + shift[..., None, None]
    torch.testing.assert_close(instance_norm(features, scale, shift, NORM_EPSILON), expected)
    of_first = normalized * scale[0][:, None, None] + shift[0][:, None, None]
    torch.testing.assert_close(
        instance_norm(features, scale[:1], shift[:1], NORM_EPSILON), of_first
    )


def row_major(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return images in space-to-depth layout, in row-major order."""
    channels = F.pixel_unshuffle(images, side).unflatten(1, (images.shape[1], -1))
    return channels.transpose(1, 2).flatten(1, 2)


def nested(images: torch.Tensor, side: int) -> torch.Tensor:
    """Return images in space-to-depth layout, in nested order."""
    while side > 1:
        images, side = row_major(images, 2), side // 2
    return images


@pytest.mark.parametrize("side", [1, 2, 4])
def test_a_convolution_in_space_to_depth_layout_equals_that_of_pixels(side: int) -> None:
    features = torch.randn(2, 5, 8 * side, 9 * side, dtype=torch.float64)
    layer = torch.nn.Conv2d(5, 7, 3).double()
    whole = row_major(layer(F.pad(features, [1] * 4)), side)
    check_inside(convolve_space_to_depth(nested(features, side), layer, side), whole)


@pytest.mark.parametrize("side", [1, 2])
def test_upsampling_in_space_to_depth_layout_equals_that_of_pixels(side: int) -> None:
    features = torch.randn(2, 5, 8 * side, 9 * side, dtype=torch.float64)
    layer = torch.nn.Conv2d(5, 7, 3).double()
    pixels = F.interpolate(features, scale_factor=2.0, mode="nearest")
    whole = nested(layer(F.pad(pixels, [1] * 4)), 2 * side)
    check_inside(upsample_space_to_depth(nested(features, side), layer, side), whole)


@pytest.mark.parametrize("multiplier", [None, 1, 4])
def test_convolve_upsampled_equals_upsampling_then_convolution(multiplier: int | None) -> None:
    features = torch.randn(2, 5, 7, 9, dtype=torch.float64)
    layer = convolution(5, 6, 3, channel_multiplier=multiplier).double()
    pixels = F.interpolate(features, scale_factor=2.0, mode="nearest")
    torch.testing.assert_close(convolve_upsampled(features, layer), layer(pixels))


@pytest.mark.parametrize("multiplier", [None, 1, 4])
@pytest.mark.parametrize("side", [1, 2, 4])
def test_convolve_to_depth_equals_a_convolution_of_pixels(
    side: int, multiplier: int | None
) -> None:
    features = torch.randn(2, 5, 4 * side, 6 * side, dtype=torch.float64)
    layer = convolution(5, 3, 9 if side > 1 else 3, channel_multiplier=multiplier).double()
    made = convolve_to_depth(features, layer, side)
    assert made.shape == (2, 3 * side**2, 4, 6)
    pixels = depth_to_space(made.permute(0, 2, 3, 1), side).permute(0, 3, 1, 2)
    torch.testing.assert_close(pixels, layer(features))


@pytest.mark.parametrize(("name", "arguments"), NETWORKS)
def test_a_network_equals_its_plain_layers_in_sequence(name: str, arguments: dict) -> None:
    network = build_network(name, arguments).double()
    for parameter in network.parameters():
        if parameter.dim() == 1:  # scales, shifts and biases
            torch.nn.init.normal_(parameter)
    images = torch.rand(2, 3, 41, 50, dtype=torch.float64)
    with torch.inference_mode():
        made = network(images, torch.zeros(1, 0))
        torch.testing.assert_close(made, PlainJohnson(network)(images))


def check_inside(convolved: torch.Tensor, whole: torch.Tensor) -> None:
    """Check that features in space-to-depth layout are equal except at the border."""
    assert convolved.shape == whole.shape
    # At the border, blocks are padded differently from pixels.
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(convolved[inside], whole[inside])


def test_packed_images_can_be_unpacked() -> None:
    images = torch.randint(0, 256, (2, 20, 28, 3), dtype=torch.uint8)
    packed = build_network("multi_style", {}).packed(images)
    assert torch.equal(style_network.unpacked(packed), images)


@pytest.mark.parametrize("upsampling", ["transposed", "nearest", "nearest_and_bilinear"])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_super_resolution_with_random_weights_is_close_to_bicubic_upsampling(
    factor: int, upsampling: str
) -> None:
    torch.manual_seed(0)
    network = build_network("super_resolution", {"factor": factor, "upsampling": upsampling})
    images = torch.rand(2, 3, 12, 17)
    with torch.inference_mode():
        large = network(images)
    bicubic = torch.nn.functional.interpolate(images, scale_factor=factor, mode="bicubic")
    assert large.shape == (2, 3, 12 * factor, 17 * factor)
    assert (large - bicubic).abs().mean() < 0.1
    assert not torch.equal(large, bicubic)


def test_an_unknown_network_and_an_unknown_argument_are_refused() -> None:
    with pytest.raises(ValueError, match="no network 'jonson'; there is johnson, depsep"):
        build_network("jonson", {})
    for arguments, message in (
        ({"depth": 3}, "depth"),
        ({"channel_multiplier": 2}, "channel_multiplier"),
        ({"upsampling": "bicubic"}, "'bicubic', not transposed, nearest, nearest_and_bilinear"),
    ):
        with pytest.raises(ValueError, match=f"'johnson' cannot be built: .*{message}"):
            build_network("johnson", arguments)
    for arguments in ({"factor": 3}, {"upsampling": "bicubic"}):
        with pytest.raises(ValueError, match=r"'super_resolution' cannot be built: .* not "):
            build_network("super_resolution", arguments)
    for arguments in ({"channels": 8}, {"channels": 4096}, {"blocks": 0}, {"blocks": 65}):
        with pytest.raises(ValueError, match=r"'multi_style' cannot be built: .* whole number"):
            build_network("multi_style", arguments)
    for multiplier in (0, 65, 1.5, True):
        with pytest.raises(ValueError, match=r"a whole number from 1 to 64"):
            build_network("depsep", {"channel_multiplier": multiplier})
