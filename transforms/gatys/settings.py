"""Settings of an optimization: what is minimized, where it starts, and when it stops."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stylebeam.transforms.losses.distances import (
    CharbonnierEpsilon,
    ContentDistance,
    Distance,
    StyleDistance,
)
from stylebeam.transforms.losses.loss_network import LossNetworkName, check_layers
from stylebeam.transforms.losses.perceptual import LossSettings
from stylebeam.transforms.losses.vgg import Pooling
from stylebeam.transforms.losses.vgg_weights import WeightsConvention

Initial = Literal["content", "noise", "fast"]
Colors = Literal["painting", "luminance", "histogram"]
PresetName = Literal["default", "gatys2016", "sum_of_squares", "frobenius"]
OptimizerName = Literal["lbfgs", "adam"]
LayerWeights = dict[str, Annotated[float, Field(ge=0)]]

# Factors of the style's loss weights while the distilled VGG optimizes an image that VGG-19 will
# finish. The deep layers of the two differ the most: content that the distilled VGG gives up for
# their style takes VGG-19 long to restore.
_STYLE_BEFORE_FINISH = 0.7
_DEEPEST_BEFORE_FINISH = 0.2

_GATYS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class OptimizationSettings(BaseModel):
    """Everything that decides an optimization except the photo and the paintings.

    With features F of the image and P of the photo, Gram matrices G of the image and A of the
    paintings, and the chosen distances d, the loss is

        content_weight * sum over content_layers of weight * d(F, P)
        + style_weight * sum over style_layers of weight * d(G, A)
        + total_variation_weight * total variation loss
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss_network: LossNetworkName = Field(
        default="embedded",
        description="The loss network: embedded is the distilled VGG and shipped, the others need"
        " VGG's weights.",
    )
    weights_convention: WeightsConvention = Field(
        default="torchvision",
        description="The input that the file of VGG's weights expects: torchvision, RGB in [0, 1]"
        " normalized by ImageNet's mean and standard deviation, or caffe, BGR from 0 to 255 minus"
        " the mean.",
    )
    pooling: Pooling = Field(
        default="max", description="VGG's pooling. The distilled VGG always uses the average."
    )
    content_layers: LayerWeights = Field(
        min_length=1, default={"relu4_2": 1.0}, description="Loss weight of the content, by layer."
    )
    style_layers: LayerWeights = Field(
        min_length=1,
        default=dict.fromkeys(_GATYS_LAYERS, 1 / 4 * 1 / 5),
        description="Loss weight of the style, by layer.",
    )
    content_normalized: bool = Field(
        default=True,
        strict=True,
        description="Divide the content loss by the number of features, channels times positions,"
        " instead of summing.",
    )
    gram_normalized: bool = Field(
        default=True,
        strict=True,
        description="Divide Gram matrices by channels times positions, instead of summing.",
    )
    content_distance: ContentDistance = "squared_error"
    style_distance: StyleDistance = "squared_error"
    charbonnier_epsilon: CharbonnierEpsilon = 1e-3
    content_weight: float = Field(
        default=1.0, ge=0, strict=True, description="Loss weight of the content: the papers' alpha."
    )
    style_weight: float = Field(
        default=1000.0, ge=0, strict=True, description="Loss weight of the style: the papers' beta."
    )
    total_variation_weight: float = Field(
        default=0.0,
        ge=0,
        strict=True,
        description="Loss weight of the total variation: a larger one makes a smoother picture.",
    )
    style_scale: float = Field(
        default=1.0,
        gt=0,
        le=4,
        strict=True,
        description="Size of the strokes: the size of the painting relative to the photo. At 1 both"
        " have the same number of pixels.",
    )
    colors: Colors = Field(
        default="painting",
        description="Where colors come from: the painting; or the photo, either by changing nothing"
        " but its luminance (luminance) or by giving its colors to the painting (histogram).",
    )
    init: Initial = Field(
        default="content",
        description="The image to start from: the photo, white noise, or the picture that the"
        " batch's fast network makes.",
    )
    optimizer: OptimizerName = Field(
        default="lbfgs", description="The algorithm that minimizes the loss."
    )
    iterations: int = Field(
        default=100,
        ge=1,
        strict=True,
        description="Number of evaluations of the loss at full size; half as many at each coarser"
        " level.",
    )
    levels: int = Field(
        default=3,
        ge=1,
        le=8,
        strict=True,
        description="Number of resolutions, coarse to fine: each is twice the one before, and the"
        " last is full size. Levels with a side below 128 pixels are left out. Flat parts of a"
        " photo receive their strokes at a coarse level.",
    )
    finish: Literal["none", "vgg19"] = Field(
        default="none",
        description="Continue with the full VGG-19 for finish_iterations, after the distilled VGG.",
    )
    finish_iterations: int = Field(
        default=30, ge=1, strict=True, description="Number of evaluations with VGG-19 at the end."
    )
    tolerance: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        strict=True,
        description="Stop a level early once ten evaluations lower the loss by less than this"
        " fraction of it; 0 for never.",
    )
    learning_rate: float = Field(
        default=0.02,
        gt=0,
        strict=True,
        description="Adam's, as a fraction of the range of a color.",
    )
    history_size: int = Field(
        default=40, ge=1, strict=True, description="Number of steps that L-BFGS remembers."
    )
    preconditioning: float = Field(
        default=0.7,
        ge=0,
        le=2,
        strict=True,
        description="L-BFGS starts with steps in which a spatial frequency f has the weight f to"
        " the power of minus this, and which are longer where the loss curves less; 0 for steps"
        " along the gradient, as in the literature.",
    )
    bounded: bool = Field(
        default=True,
        strict=True,
        description="Keep colors in their range at every step, not only at the end.",
    )
    size: int | None = Field(
        default=None,
        ge=32,
        strict=True,
        description="Short side in pixels to which a larger photo is reduced first; the result is"
        " enlarged to the photo's size with the photo's fine detail. null for the photo's own.",
    )

    @model_validator(mode="after")
    def _check_layers_and_weights(self) -> "OptimizationSettings":
        for name, layers in (
            ("content_layers", self.content_layers),
            ("style_layers", self.style_layers),
        ):
            for network in self.networks:
                try:
                    check_layers(network, layers)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
        if not self.content_weight and not self.style_weight:
            raise ValueError("content_weight and style_weight must not both be 0")
        if self.finish != "none" and self.loss_network != "embedded":
            raise ValueError(
                f"finish: {self.finish} comes after loss_network: embedded, not {self.loss_network}"
            )
        return self

    @property
    def networks(self) -> tuple[LossNetworkName, ...]:
        """The loss networks, in the order in which they are used."""
        return (self.loss_network,) if self.finish == "none" else (self.loss_network, self.finish)

    @property
    def loss(self) -> LossSettings:
        """The loss of the last of the networks."""
        return LossSettings(
            content_layers=self.content_layers,
            style_layers=self.style_layers,
            content_weight=self.content_weight,
            style_weight=self.style_weight,
            total_variation_weight=self.total_variation_weight,
            content_distance=Distance(self.content_distance, self.charbonnier_epsilon),
            style_distance=Distance(self.style_distance, self.charbonnier_epsilon),
            content_normalized=self.content_normalized,
            gram_normalized=self.gram_normalized,
        )

    @property
    def loss_before_finish(self) -> LossSettings:
        """The loss of the first of the networks, which leaves some of the style to `finish`."""
        if self.finish == "none":
            return self.loss
        factors = {"relu5_1": _STYLE_BEFORE_FINISH * _DEEPEST_BEFORE_FINISH}
        layers = {
            layer: weight * factors.get(layer, _STYLE_BEFORE_FINISH)
            for layer, weight in self.style_layers.items()
        }
        return replace(self.loss, style_layers=layers)

    def identity(self) -> dict[str, Any]:
        """Return the settings as plain values, for a digest.

        A key that has been renamed keeps its old name here: other names would change the digests of
        recipes, and every archive would be stylized again.
        """
        values = self.model_dump(mode="json")
        values["memory"] = values.pop("history_size")
        return values


_AS_PUBLISHED: Mapping[str, Any] = {
    "loss_network": "vgg19",
    "init": "noise",
    "iterations": 500,
    "levels": 1,
    "history_size": 20,
    "preconditioning": 0.0,
    "bounded": False,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Finishes early, and needs no download.
    "default": {"size": 1024, "tolerance": 0.003},
    # Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks".
    # The weights of the layers contain the 1/2 of equation (1), the 1/4 of E_l and w_l = 1/5. The
    # paper names layers after their convolution; features are taken after its ReLU, as equation (6)
    # says. The paper's alpha / beta = 1e-3 is for the mean of (F - P)^2; at 512x384 pixels the sum
    # is 8e5 times as large.
    "gatys2016": {
        **_AS_PUBLISHED,
        "content_layers": {"relu4_2": 1 / 2},
        "style_layers": dict.fromkeys(_GATYS_LAYERS, 1 / 4 * 1 / 5),
        "content_normalized": False,
        "style_weight": 1e9,
    },
    # 1/2 sum (F - P)^2 and 1/2 sum (G - A)^2, without normalization, after convolutions 2, 4 and 7,
    # and 2, 4, 10 and 13, before their ReLU.
    "sum_of_squares": {
        **_AS_PUBLISHED,
        "content_layers": dict.fromkeys(("conv1_2", "conv2_2", "conv3_3"), 1 / 2),
        "style_layers": dict.fromkeys(("conv1_2", "conv2_2", "conv4_2", "conv5_1"), 1 / 2),
        "content_normalized": False,
        "gram_normalized": False,
        "style_weight": 1e-4,
    },
    # Pandey et al. 2018: norms instead of their squares. content_distance and style_distance choose
    # squared errors, Charbonnier or MSCE instead. The gradient of a norm is as large near the
    # minimum as far from it: starting from noise, a flat sky stays flat at full size alone, or with
    # steps along the gradient.
    "frobenius": {
        **_AS_PUBLISHED,
        "levels": 3,
        "preconditioning": 0.7,
        "content_layers": {"relu4_2": 1.0},
        "style_layers": dict.fromkeys(_GATYS_LAYERS, 1 / 5),
        "content_distance": "frobenius",
        "style_distance": "frobenius",
        "style_weight": 20.0,
    },
}
"""Named settings: the values in which each differs from the defaults of `OptimizationSettings`."""
