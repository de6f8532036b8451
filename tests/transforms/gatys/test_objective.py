"""The loss of an optimisation against the papers' formulas, written out in float64."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from stylebeam.transforms.gatys.objective import Objective
from stylebeam.transforms.gatys.recipe import PRESETS, GatysRecipe
from stylebeam.transforms.losses.distilled_vgg import load_embedded_network
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.losses.vgg import Vgg

ALPHA, BETA, GAMMA = 3.0, 7.0, 11.0
EPSILON = 1e-3

Features = Mapping[str, Tensor]
Formula = Callable[[Features, Features, Features], tuple[Tensor, Tensor]]
"""Takes features of the image, the photo and the painting; returns content and style loss."""


def gram(features: Tensor) -> Tensor:
    """G_ij, the sum over k of F_ik F_jk."""
    flat = features[0].flatten(1)
    return torch.einsum("ik,jk->ij", flat, flat)


def sizes(features: Tensor) -> tuple[int, int]:
    """N_l, the number of filters, and M_l, the number of places."""
    return features.shape[1], features.shape[2] * features.shape[3]


def gatys2016(image: Features, photo: Features, painting: Features) -> tuple[Tensor, Tensor]:
    content = 0.5 * ((image["relu4_2"] - photo["relu4_2"]) ** 2).sum()
    style = torch.zeros((), dtype=torch.float64)
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        filters, places = sizes(image[layer])
        difference = gram(image[layer]) - gram(painting[layer])
        style = style + 1 / 5 * (difference**2).sum() / (4 * filters**2 * places**2)
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
    filters, places = sizes(image["relu4_2"])
    content = torch.linalg.norm((image["relu4_2"] - photo["relu4_2"]).flatten())
    style = torch.zeros((), dtype=torch.float64)
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        entries = torch.tensor(sizes(image[layer])).prod()
        style = style + 1 / 5 * torch.linalg.norm(
            (gram(image[layer]) - gram(painting[layer])) / entries
        )
    return content / (filters * places) ** 0.5, style


def charbonnier(image: Features, photo: Features, painting: Features) -> tuple[Tensor, Tensor]:
    difference = image["relu4_2"] - photo["relu4_2"]
    content = (difference**2 + EPSILON**2).sqrt().mean()
    style = torch.zeros((), dtype=torch.float64)
    for layer in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
        entries = torch.tensor(sizes(image[layer])).prod()
        grams = (gram(image[layer]) - gram(painting[layer])) / entries
        style = style + 1 / 5 * (grams**2 + EPSILON**2).sqrt().sum()
    return content, style


def vgg(layers: set[str]) -> Vgg:
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


def recipe_of(preset: str, **changes: object) -> GatysRecipe:
    weights = {
        "content_weight": ALPHA,
        "style_weight": BETA,
        "total_variation_weight": GAMMA,
        "charbonnier_epsilon": EPSILON,
    }
    return GatysRecipe(**{**PRESETS[preset], **weights, **changes})


@pytest.mark.parametrize(
    ("recipe", "formula"),
    [
        (recipe_of("gatys2016"), gatys2016),
        (recipe_of("sum_of_squares"), sum_of_squares),
        (recipe_of("frobenius"), frobenius),
        (
            recipe_of("frobenius", content_distance="charbonnier", style_distance="charbonnier"),
            charbonnier,
        ),
    ],
    ids=["gatys2016", "sum_of_squares", "frobenius", "charbonnier"],
)
def test_the_losses_and_the_gradient_are_those_of_the_formulas(
    recipe: GatysRecipe, formula: Formula
) -> None:
    network = vgg({*recipe.content_layers, *recipe.style_layers})
    image, photo, painting = images(3).split(1)
    objective = Objective(network, recipe, photo, [(painting, 1.0)])
    terms, found_gradient = objective.evaluate(image)

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


def test_the_default_takes_the_embedded_networks_features_as_vggs() -> None:
    recipe = recipe_of("default")
    network = load_embedded_network({*recipe.content_layers, *recipe.style_layers}).double()
    image, photo, painting = images(3).split(1)
    terms, found_gradient = Objective(network, recipe, photo, [(painting, 1.0)]).evaluate(image)

    image.requires_grad_()
    features, of_photo, of_painting = (network(each) for each in (image, photo, painting))
    content = ((features["relu4_2"] - of_photo["relu4_2"]) ** 2).mean()
    style = torch.zeros((), dtype=torch.float64)
    for layer in recipe.style_layers:
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


class Rectifier:
    """A loss network of one layer, the image's own colours where they are positive."""

    layers = frozenset({"relu1_1"})

    def __call__(self, images: Tensor, layers: object = None) -> dict[str, Tensor]:
        return {"relu1_1": images.relu()}

    def readout(self, layer: str) -> None:
        return None


def test_the_gradient_of_a_layers_style_loss_is_equation_6_of_gatys_et_al() -> None:
    recipe = GatysRecipe(
        content_layers={"relu1_1": 1.0},
        style_layers={"relu1_1": 1 / 4},
        content_weight=0.0,
        style_weight=1.0,
    )
    network: LossNetwork = Rectifier()
    image, photo, painting = (2 * images(3, 5, 7) - 1).split(1)
    objective = Objective(network, recipe, photo, [(painting, 1.0)])
    _, gradient = objective.evaluate(image)

    features = image[0].flatten(1).relu()  # F, of N filters and M places
    filters, places = features.shape
    difference = features @ features.T - gram(painting.relu())
    expected = (features.T @ difference).T / (filters**2 * places**2)
    expected[image[0].flatten(1) < 0] = 0
    assert (image < 0).any()
    assert (image > 0).any()
    torch.testing.assert_close(gradient[0].flatten(1), expected, rtol=1e-10, atol=0)


def test_plain_sums_count_what_the_embedded_network_stands_for() -> None:
    # Its 16 and 48 channels stand for 64 and 128: the plain sums are to be those over VGG's.
    plain, normalized = (
        recipe_of(
            "default",
            content_layers={"relu2_1": 1.0},
            style_layers={"relu1_1": 1.0},
            content_normalized=flag,
            gram_normalized=flag,
            total_variation_weight=0.0,
        )
        for flag in (False, True)
    )
    network = load_embedded_network(["relu1_1", "relu2_1"]).double()
    image, photo, painting = images(3).split(1)
    of_plain, of_normalized = (
        Objective(network, recipe, photo, [(painting, 1.0)]).evaluate(image)[0]
        for recipe in (plain, normalized)
    )
    ratio = of_plain.content / of_normalized.content
    assert ratio.item() == pytest.approx(128 * 16 * 24, rel=1e-9)
    ratio = of_plain.style / of_normalized.style
    assert ratio.item() == pytest.approx((64 * 32 * 48) ** 2, rel=1e-9)


def test_a_paintings_weight_in_plain_sums_does_not_depend_on_its_size() -> None:
    recipe = recipe_of("sum_of_squares")
    network = vgg({*recipe.content_layers, *recipe.style_layers})
    image, photo = images(2).split(1)
    # The same statistics in twice the places, but for what padding adds at the borders.
    one = torch.full((1, 3, 64, 64), 0.3, dtype=torch.float64)
    two = torch.full((1, 3, 64, 128), 0.3, dtype=torch.float64)
    losses = [
        Objective(network, recipe, photo, [(painting, 1.0)]).evaluate(image)[0].style
        for painting in (one, two)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=0.1)


def test_paintings_have_the_parts_that_they_are_given() -> None:
    recipe = recipe_of("default")
    network = load_embedded_network({*recipe.content_layers, *recipe.style_layers}).double()
    image, photo, one, other = images(4).split(1)

    def style(*paintings: tuple[Tensor, float]) -> tuple[float, Tensor]:
        terms, gradient = Objective(network, recipe, photo, paintings).evaluate(image)
        return terms.style.item(), gradient

    assert style((one, 2.0), (other, 0.0))[0] == pytest.approx(style((one, 1.0))[0], rel=1e-12)
    # The gradient towards a mean is the mean of the gradients.
    mixed = style((one, 1.0), (other, 3.0))[1]
    mean = 0.25 * style((one, 1.0))[1] + 0.75 * style((other, 1.0))[1]
    torch.testing.assert_close(mixed, mean, rtol=1e-8, atol=1e-12)
