"""Recipes of an optimisation: what is minimised, from where, and for how long."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stylebeam.transforms.losses.distances import DistanceName
from stylebeam.transforms.losses.loss_network import LossNetworkName, check_layers
from stylebeam.transforms.losses.vgg import Pooling
from stylebeam.transforms.losses.vgg_weights import WeightsConvention

Initial = Literal["content", "noise", "fast"]
Colors = Literal["painting", "luminance", "histogram"]
PresetName = Literal["default", "gatys2016", "sum_of_squares", "frobenius"]
OptimizerName = Literal["lbfgs", "adam"]
LayerWeights = dict[str, Annotated[float, Field(ge=0)]]

# Of the style's weights, what the embedded network minimises where VGG-19 is to finish. Its deep
# layers are the least like VGG-19's: what of the photo it gives up for their style, VGG-19 takes
# long to bring back.
_STYLE_BEFORE_FINISH = 0.7
_DEEPEST_BEFORE_FINISH = 0.2

_GATYS_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class GatysRecipe(BaseModel):
    """Everything that decides an optimisation but the photo and the paintings.

    With features F of the image, P of the photo, Gram matrices G of the image and A of the
    paintings, and d the distance that is chosen for each, the loss is

        content_weight * sum over content_layers of weight * d(F, P)
        + style_weight * sum over style_layers of weight * d(G, A)
        + total_variation_weight * total variation loss
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    loss_network: LossNetworkName = Field(
        default="embedded",
        description="The network that judges: embedded is shipped, VGG's weights are needed for the"
        " others.",
    )
    weights_convention: WeightsConvention = Field(
        default="torchvision",
        description="What the file of VGG's weights takes: torchvision, RGB in [0, 1] normalised by"
        " ImageNet's mean and deviation, or caffe, BGR from 0 to 255 less the mean.",
    )
    pooling: Pooling = Field(
        default="max", description="VGG's. The embedded network always pools by averages."
    )
    content_layers: LayerWeights = Field(
        min_length=1, default={"relu4_2": 1.0}, description="Weight of the content loss, by layer."
    )
    style_layers: LayerWeights = Field(
        min_length=1,
        default=dict.fromkeys(_GATYS_LAYERS, 1 / 4 * 1 / 5),
        description="Weight of the style loss, by layer.",
    )
    content_normalized: bool = Field(
        default=True,
        strict=True,
        description="Divide the content loss by the number of features, channels times places,"
        " rather than take the plain sum.",
    )
    gram_normalized: bool = Field(
        default=True,
        strict=True,
        description="Divide Gram matrices by channels times places, rather than take plain sums.",
    )
    content_distance: DistanceName = Field(
        default="squared_error", description="What the content loss takes of two activations."
    )
    style_distance: DistanceName = Field(
        default="squared_error", description="What the style loss takes of two Gram matrices."
    )
    charbonnier_epsilon: float = Field(
        default=1e-3,
        gt=0,
        strict=True,
        description="The Charbonnier distance counts errors below it as their square, above it as"
        " they are.",
    )
    content_weight: float = Field(
        default=1.0, ge=0, strict=True, description="How much of the photo: the papers' alpha."
    )
    style_weight: float = Field(
        default=1000.0, ge=0, strict=True, description="How much of the style: the papers' beta."
    )
    total_variation_weight: float = Field(
        default=0.0,
        ge=0,
        strict=True,
        description="How smooth: weight of the differences between neighbouring pixels.",
    )
    style_scale: float = Field(
        default=1.0,
        gt=0,
        le=4,
        strict=True,
        description="Size of strokes: how large the painting is beside the photo. At 1 both have as"
        " many pixels.",
    )
    colors: Colors = Field(
        default="painting",
        description="Whose colours: the painting's; or the photo's, by giving it new luminance"
        " alone (luminance), or by giving its colours to the painting beforehand (histogram).",
    )
    init: Initial = Field(
        default="content",
        description="Where to begin: the photo, white noise, or what the batch's fast network makes"
        " of the photo.",
    )
    optimizer: OptimizerName = Field(default="lbfgs", description="What minimises.")
    iterations: int = Field(
        default=100,
        ge=1,
        strict=True,
        description="Evaluations of the loss at full size; half as many at each coarser level.",
    )
    levels: int = Field(
        default=3,
        ge=1,
        le=8,
        strict=True,
        description="Coarse to fine: how often to optimise, each time at twice the resolution of"
        " the time before and the last time at full size; sides below 128 pixels are left out. Flat"
        " parts of a photo get their strokes at a coarse level.",
    )
    finish: Literal["none", "vgg19"] = Field(
        default="none",
        description="Spend finish_iterations more on the full VGG-19, after the embedded network.",
    )
    finish_iterations: int = Field(
        default=30, ge=1, strict=True, description="Evaluations of the loss by VGG-19 at the end."
    )
    tolerance: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        strict=True,
        description="Stop a level early once ten evaluations lower the loss by less than this part"
        " of it; 0 for never.",
    )
    learning_rate: float = Field(
        default=0.02, gt=0, strict=True, description="Of Adam, in units of the range of a colour."
    )
    memory: int = Field(
        default=40, ge=1, strict=True, description="Pairs of steps that L-BFGS remembers."
    )
    preconditioning: float = Field(
        default=0.7,
        ge=0,
        le=2,
        strict=True,
        description="L-BFGS begins with steps that weigh a spatial frequency f by f to the power of"
        " minus this, and are longer where the loss curves less; 0 for steps along the gradient, as"
        " in the literature.",
    )
    bounded: bool = Field(
        default=True,
        strict=True,
        description="Keep colours within their range all the while, rather than clip them at the"
        " end.",
    )
    size: int | None = Field(
        default=None,
        ge=32,
        strict=True,
        description="Short side in pixels at which a larger photo is optimised; the result is"
        " enlarged to the photo's size with the photo's fine detail. null for the photo's own.",
    )

    @model_validator(mode="after")
    def _possible(self) -> "GatysRecipe":
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
        """The loss networks that judge, one after the other."""
        return (self.loss_network,) if self.finish == "none" else (self.loss_network, self.finish)

    def before_finish(self) -> "GatysRecipe":
        """Return the recipe of the loss that is minimised until `finish`."""
        if self.finish == "none":
            return self
        parts = {"relu5_1": _STYLE_BEFORE_FINISH * _DEEPEST_BEFORE_FINISH}
        layers = {
            layer: weight * parts.get(layer, _STYLE_BEFORE_FINISH)
            for layer, weight in self.style_layers.items()
        }
        return self.model_copy(update={"style_layers": layers})


_AS_PUBLISHED: Mapping[str, Any] = {
    "loss_network": "vgg19",
    "init": "noise",
    "iterations": 500,
    "levels": 1,
    "memory": 20,
    "preconditioning": 0.0,
    "bounded": False,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # For a friend: soon finished, and without a download.
    "default": {"size": 1024, "tolerance": 0.003},
    # Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks".
    # The 1/2 of equation (1), the 1/4 of E_l and its weights w_l = 1/5 are in the layers. Layers
    # are named after the convolution there and taken after its rectifier, as equation (6) says.
    # Their alpha / beta of 1e-3 is for the mean of (F - P)^2; the sum, at 512x384 pixels, is 8e5
    # times as much.
    "gatys2016": {
        **_AS_PUBLISHED,
        "content_layers": {"relu4_2": 1 / 2},
        "style_layers": dict.fromkeys(_GATYS_LAYERS, 1 / 4 * 1 / 5),
        "content_normalized": False,
        "style_weight": 1e9,
    },
    # 1/2 sum (F - P)^2 and 1/2 sum (G - A)^2, nothing normalised, of the convolutions 2, 4 and 7,
    # and 2, 4, 10 and 13, before their rectifiers.
    "sum_of_squares": {
        **_AS_PUBLISHED,
        "content_layers": dict.fromkeys(("conv1_2", "conv2_2", "conv3_3"), 1 / 2),
        "style_layers": dict.fromkeys(("conv1_2", "conv2_2", "conv4_2", "conv5_1"), 1 / 2),
        "content_normalized": False,
        "gram_normalized": False,
        "style_weight": 1e-4,
    },
    # Pandey et al. 2018: norms rather than their squares; squared errors, Charbonnier or MSCE for
    # either loss by content_distance and style_distance. Norms pull as hard at the end as at the
    # beginning: from noise a flat sky stays flat at full size alone, and with steps along the
    # gradient.
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
"""Named recipes: what each says other than the defaults of `GatysRecipe`."""
