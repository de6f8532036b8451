"""The losses of the presets against the papers' formulas in float64, and the settings' identity."""

from collections.abc import Callable, Iterable, Mapping

import pytest
import torch
from torch import Tensor, nn

from stylebeam.transforms.gatys.descent import Objective
from stylebeam.transforms.gatys.settings import PRESETS, OptimizationSettings
from stylebeam.transforms.losses.distilled_vgg import load_distilled_vgg
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.losses.perceptual import PerceptualLoss, blend_styles
from stylebeam.transforms.losses.vgg import Vgg

ALPHA, BETA, GAMMA = 3.0, 7.0, 11.0
EPSILON = 1e-3

Features = Mapping[str, Tensor]
Formula = Callable[[Features, Features, Features], tuple[Tensor, Tensor]]
"""Returns content and style loss from features of the image, the photo and the painting."""


def gram(features: Tensor) -> Tensor:
    """G_ij, the sum over k of F_ik F_jk."""
    flat = features[0].flatten(1)
    return torch.einsum("ik,jk->ij", flat, flat)


def sizes(features: Tensor) -> tuple[int, int]:
    """N_l, the number of filters, and M_l, the number of positions."""
    return features.shape[1], features.shape[2] * features.shape[3]


def gatys2016(image: Features, photo: Features, painting: Features) -> tuple[Tensor, Tensor]:
    content = 0.5 * ((image["relu4_2"] - photo["relu4_2"]) ** 2).sum()
    style = torch.zeros((), dtype=torch.float64)
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        filters, positions = sizes(image[layer])
        difference = gram(image[layer]) - gram(painting[layer])
        style = style + 1 / 5 * (difference**2).sum() / (4 * filters**2 * positions**2)
    return content, style


def sum_of_squares(image: Features, photo: Features, painting: Features) -> tuple[Tensor, Tensor]:
    content = torch.stack(
        [
            0.5 * ((image[layer] - photo[layer]) ** 2).sum()
            for layer in ("conv1_2", "conv2_2", "conv3_3")
        ]
    )
    style = torch.stack(
        [
            0.5 * ((gram(image[layer]) - gram(painting[layer])) ** 2).sum()
            for layer in ("conv1_2", "conv2_2", "conv4_2", "conv5_1")
        ]
    )
    return content.sum(), style.sum()


def frobenius(image: Features, photo: Features, painting: Features) -> tuple[Tensor, Tensor]:
    filters, positions = sizes(image["relu4_2"])
    content = torch.linalg.norm((image["relu4_2"] - photo["relu4_2"]).flatten())
    style = torch.zeros((), dtype=torch.float64)
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        entries = torch.tensor(sizes(image[layer])).prod()
        style = style + 1 / 5 * torch.linalg.norm(
            (gram(image[layer]) - gram(painting[layer])) / entries
        )
    return content / (filters * positions) ** 0.5, style


def charbonnier(image: Features, photo: Features, painting: Features) -> tuple[Tensor, Tensor]:
    difference = image["relu4_2"] - photo["relu4_2"]
    content = (difference**2 + EPSILON**2).sqrt().mean()
    style = torch.zeros((), dtype=torch.float64)
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        entries = torch.tensor(sizes(image[layer])).prod()
        grams = (gram(image[layer]) - gram(painting[layer])) / entries
        style = style + 1 / 5 * (grams**2 + EPSILON**2).sqrt().sum()
    return content, style


def vgg(layers: Iterable[str]) -> Vgg:
    """VGG-19 with random weights that keep the scale of activations, in float64."""
    generator = torch.Generator().manual_seed(5)
    network = Vgg("vgg19", layers).to_empty(device="cpu").double()
    for module in network.features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            nn.init.normal_(module.bias, std=0.1, generator=generator)
    return network.requires_grad_(False)


def images(count: int, height: int = 32, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(count, 3, height, width, generator=generator, dtype=torch.float64)


def objective(
    network: LossNetwork, settings: OptimizationSettings, photo: Tensor, *paintings: Tensor
) -> Objective:
    """The loss against a photo and paintings of equal parts."""
    loss = PerceptualLoss(network, settings.loss)
    style = blend_styles(loss.style_targets(paintings), [1.0] * len(paintings))
    return Objective(loss, loss.content_targets(photo), style)


def settings_of(preset: str, **changes: object) -> OptimizationSettings:
    weights = {
        "content_weight": ALPHA,
        "style_weight": BETA,
        "total_variation_weight": GAMMA,
        "charbonnier_epsilon": EPSILON,
    }
    return OptimizationSettings(**{**PRESETS[preset], **weights, **changes})


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        (settings_of("gatys2016"), gatys2016),
        (settings_of("sum_of_squares"), sum_of_squares),
        (settings_of("frobenius"), frobenius),
        (
            settings_of("frobenius", content_distance="charbonnier", style_distance="charbonnier"),
            charbonnier,
        ),
    ],
    ids=["gatys2016", "sum_of_squares", "frobenius", "charbonnier"],
)
def test_losses_and_gradient_match_the_formulas(
    settings: OptimizationSettings, formula: Formula
) -> None:
    network = vgg(settings.loss.layers)
    image, photo, painting = images(3).split(1)
    terms, found_gradient = objective(network, settings, photo, painting).evaluate(image)

    image.requires_grad_()
    content, style = formula(network(image), network(photo), network(painting))
    height, width = image.shape[2:]
    variation = (image.diff(dim=2) ** 2).sum() + (image.diff(dim=3) ** 2).sum()
    total = ALPHA * content + BETA * style + GAMMA * variation / (height * width)
    [gradient] = torch.autograd.grad(total, [image])
    assert terms.content.item() == pytest.approx(ALPHA * content.item(), rel=1e-9)
    assert terms.style.item() == pytest.approx(BETA * style.item(), rel=1e-9)
    assert terms.total.item() == pytest.approx(total.item(), rel=1e-9)
    torch.testing.assert_close(
        found_gradient, gradient, rtol=1e-7, atol=1e-9 * gradient.abs().max().item()
    )


def test_the_default_loss_applies_the_readouts_of_the_distilled_vgg() -> None:
    settings = settings_of("default")
    network = load_distilled_vgg(settings.loss.layers).double()
    image, photo, painting = images(3).split(1)
    terms, found_gradient = objective(network, settings, photo, painting).evaluate(image)

    image.requires_grad_()
    features, of_photo, of_painting = (network(each) for each in (image, photo, painting))
    content = ((features["relu4_2"] - of_photo["relu4_2"]) ** 2).mean()
    style = torch.zeros((), dtype=torch.float64)
    for layer in settings.style_layers:
        entries = torch.tensor(sizes(features[layer])).prod()
        difference = (gram(features[layer]) - gram(of_painting[layer])) / entries
        readout = network.readout(layer)
        if readout is not None:
            difference = readout @ difference @ readout.T
        style = style + 1 / 4 * 1 / 5 * (difference**2).sum()
    variation = (image.diff(dim=2) ** 2).sum() + (image.diff(dim=3) ** 2).sum()
    total = ALPHA * content + BETA * style + GAMMA * variation / (image.shape[2] * image.shape[3])
    [gradient] = torch.autograd.grad(total, [image])
    assert terms.total.item() == pytest.approx(total.item(), rel=1e-9)
    torch.testing.assert_close(
        found_gradient, gradient, rtol=1e-7, atol=1e-9 * gradient.abs().max().item()
    )


class Relu:
    """A loss network with one layer, the ReLU of the image."""

    layers = frozenset({"relu1_1"})

    def __call__(self, images: Tensor, layers: object = None) -> dict[str, Tensor]:
        return {"relu1_1": images.relu()}

    def readout(self, layer: str) -> None:
        return None


def test_the_gradient_of_the_style_loss_matches_equation_6_of_gatys_et_al() -> None:
    settings = OptimizationSettings(
        content_layers={"relu1_1": 1.0},
        style_layers={"relu1_1": 1 / 4},
        content_weight=0.0,
        style_weight=1.0,
    )
    image, photo, painting = (2 * images(3, 5, 7) - 1).split(1)
    _, gradient = objective(Relu(), settings, photo, painting).evaluate(image)

    features = image[0].flatten(1).relu()  # F, with N filters and M positions
    filters, positions = features.shape
    difference = features @ features.T - gram(painting.relu())
    expected = (features.T @ difference).T / (filters**2 * positions**2)
    expected[image[0].flatten(1) < 0] = 0
    assert (image < 0).any()
    assert (image > 0).any()
    torch.testing.assert_close(gradient[0].flatten(1), expected, rtol=1e-10, atol=0)


def test_sums_over_the_distilled_vggs_channels_are_scaled_to_vggs() -> None:
    # Its 16 and 48 channels replace 64 and 128 of VGG's.
    plain, normalized = (
        settings_of(
            "default",
            content_layers={"relu2_1": 1.0},
            style_layers={"relu1_1": 1.0},
            content_normalized=flag,
            gram_normalized=flag,
            total_variation_weight=0.0,
        )
        for flag in (False, True)
    )
    network = load_distilled_vgg(["relu1_1", "relu2_1"]).double()
    image, photo, painting = images(3).split(1)
    of_plain, of_normalized = (
        objective(network, settings, photo, painting).evaluate(image)[0]
        for settings in (plain, normalized)
    )
    ratio = of_plain.content / of_normalized.content
    assert ratio.item() == pytest.approx(128 * 16 * 24, rel=1e-9)
    ratio = of_plain.style / of_normalized.style
    assert ratio.item() == pytest.approx((64 * 32 * 48) ** 2, rel=1e-9)


def test_the_weight_of_a_painting_in_sums_does_not_depend_on_its_size() -> None:
    settings = settings_of("sum_of_squares")
    network = vgg(settings.loss.layers)
    image, photo = images(2).split(1)
    # The same statistics at twice the positions, except near the padding.
    one = torch.full((1, 3, 64, 64), 0.3, dtype=torch.float64)
    two = torch.full((1, 3, 64, 128), 0.3, dtype=torch.float64)
    losses = [
        objective(network, settings, photo, painting).evaluate(image)[0].style
        for painting in (one, two)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=0.1)


def test_the_finish_is_left_some_of_the_style() -> None:
    settings = OptimizationSettings(finish="vgg19")
    before, after = settings.loss_before_finish, settings.loss
    assert before.content_layers == after.content_layers
    factors = {
        layer: before.style_layers[layer] / weight for layer, weight in after.style_layers.items()
    }
    assert factors.pop("relu5_1") == pytest.approx(0.14)
    assert list(factors.values()) == pytest.approx([0.7] * 4)
    alone = OptimizationSettings()
    assert alone.loss_before_finish == alone.loss


def test_the_identity_keeps_old_names_for_digests() -> None:
    identity = OptimizationSettings(history_size=7).identity()
    assert identity["memory"] == 7
    assert "history_size" not in identity
    assert identity["iterations"] == 100
