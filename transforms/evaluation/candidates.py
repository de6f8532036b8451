"""The candidates of an evaluation: how each makes pictures of photos, and how they are measured."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.checkpoints import Checkpoint, CheckpointError, parse_checkpoint
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.evaluation.metrics import psnr, sharpness, ssim
from stylebeam.transforms.gatys.descent import Objective, descend
from stylebeam.transforms.gatys.minimizers import Adam
from stylebeam.transforms.hardware.devices import fast_precision
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine, reduced
from stylebeam.transforms.losses.perceptual import StylizationLoss
from stylebeam.transforms.networks import STYLE_NETWORK_NAMES
from stylebeam.transforms.networks.style_network import StyleNetwork
from stylebeam.transforms.training.loop_config import ConfigValueError

_LEARNING_RATE = 0.02


@dataclass
class Candidate:
    """A style, a super-resolution network, or a baseline, with its measurements so far.

    Attributes:
        name: of the checkpoint and, if it has several, of the style.
        network: the network's name.
        parameters: their number.
        make: takes a photo, RGB, uint8 of shape (3, H, W); returns the picture.
        count: does the work of `make` with PyTorch, so that its multiplications can be counted.
        measure: takes the picture and the photo, both RGB in [0, 1], shape (1, 3, H, W); returns
            numbers by name.
        measures: by name, a number for each photo.
        seconds: for each photo.
        multiply_adds: for the first photo.
    """

    name: str
    network: str
    parameters: int
    make: Callable[[Tensor], Tensor]
    count: Callable[[Tensor], object]
    measure: Callable[[Tensor, Tensor], dict[str, float]]
    measures: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)
    multiply_adds: int = 0


def candidates(config: EvaluationConfig, device: torch.device) -> Iterator[Candidate]:
    """Yield the styles and networks, each painting or factor preceded by its baseline.

    Raises:
        ConfigValueError: a checkpoint or a painting is missing or cannot be used.
        WeightsUnavailableError: the weights of the loss network cannot be found.
    """
    factors = set()
    losses: dict[Path, StylizationLoss] = {}
    for path in config.checkpoints:
        try:
            checkpoint = parse_checkpoint(path.read_bytes())
            parameters = sum(tensor.numel() for tensor in checkpoint.build().parameters())
        except (OSError, CheckpointError) as error:
            raise ConfigValueError(f"checkpoints: {path} cannot be read: {error}") from error
        if checkpoint.network in STYLE_NETWORK_NAMES:
            for style in checkpoint.styles:
                painting = _painting(config, path.stem, checkpoint, style)
                if painting not in losses:
                    precision = fast_precision(device)
                    losses[painting] = config.perceptual_loss([painting], device, precision)
                    iterations = config.optimization_iterations
                    if iterations:
                        yield _optimization(painting.stem, iterations, losses[painting], device)
                yield _stylization(
                    path.stem, checkpoint, style, parameters, losses[painting], device
                )
            continue
        resolver = SuperResolutionEngine(checkpoint, device)
        if resolver.scale not in factors:
            factors.add(resolver.scale)
            yield _bicubic(resolver.scale)
        yield _super_resolution(path.stem, checkpoint.build(), resolver, parameters)


def _painting(config: EvaluationConfig, name: str, checkpoint: Checkpoint, style: str) -> Path:
    if config.style_images is None:
        raise ConfigValueError("style_images: must be given, to measure styles.")
    about = checkpoint.styles[style].training
    if "style_image" not in about:
        raise ConfigValueError(
            f"checkpoints: {name} does not name the painting of the style {style}."
        )
    return config.style_images / about["style_image"]


def _stylization(
    name: str,
    checkpoint: Checkpoint,
    style: str,
    parameters: int,
    loss: StylizationLoss,
    device: torch.device,
) -> Candidate:
    of_style = replace(checkpoint, styles={style: checkpoint.styles[style]})
    return Candidate(
        name=name if len(checkpoint.styles) == 1 else f"{name}: {style}",
        network=checkpoint.network,
        parameters=parameters,
        make=FeedForwardStylizer(of_style, device).stylize,
        count=partial(_on_meta_device, checkpoint.build()),
        measure=partial(_losses, loss, device),
    )


def _optimization(
    painting: str, iterations: int, loss: StylizationLoss, device: torch.device
) -> Candidate:
    def start(pixels: Tensor) -> tuple[Tensor, Objective]:
        photo = pixels[None].to(device).float() / 255
        return photo, Objective(loss.loss, loss.loss.content_targets(photo), loss.style)

    def optimize(pixels: Tensor) -> Tensor:
        photo, objective = start(pixels)
        minimizer = Adam(photo, _LEARNING_RATE, bounded=True)
        descend(objective, minimizer, iterations)
        return (minimizer.image[0] * 255).round().byte().cpu()

    def count(pixels: Tensor) -> None:
        # The counter does not support autograd.grad, which the objective uses.
        photo, (of_image, *targets) = start(pixels)
        for _ in range(iterations):
            of_image(photo.requires_grad_(), *targets).total.backward()

    return Candidate(
        name=f"{painting}, {iterations} iterations",
        network="none",
        parameters=0,
        make=optimize,
        count=count,
        measure=partial(_losses, loss, device),
    )


@torch.inference_mode()
def _losses(
    loss: StylizationLoss, device: torch.device, picture: Tensor, photo: Tensor
) -> dict[str, float]:
    terms = loss(picture.to(device), photo.to(device))
    content, style = terms.content.item(), terms.style.item()
    return {"content": content, "style": style, "content + style": content + style}


def _super_resolution(
    name: str, network: nn.Module, resolver: SuperResolutionEngine, parameters: int
) -> Candidate:
    return Candidate(
        name=name,
        network="super_resolution",
        parameters=parameters,
        make=lambda photo: resolver.transform(_reduced(photo, resolver.scale)),
        count=lambda photo: _on_meta_device(network, _reduced(photo, resolver.scale)),
        measure=partial(_quality, resolver.scale),
    )


def _bicubic(factor: int) -> Candidate:
    def enlarge(photo: Tensor) -> Tensor:
        small = _reduced(photo, factor)
        size = [factor * side for side in small.shape[1:]]
        return resize(small, size, InterpolationMode.BICUBIC)

    return Candidate(f"bicubic x{factor}", "none", 0, enlarge, enlarge, partial(_quality, factor))


def _reduced(photo: Tensor, factor: int) -> Tensor:
    """Return a photo, uint8 of shape (3, H, W), with sides of H // factor and W // factor."""
    height, width = (side // factor * factor for side in photo.shape[1:])
    return (reduced(photo[None, :, :height, :width] / 255, factor)[0] * 255).round().byte()


def _quality(factor: int, picture: Tensor, photo: Tensor) -> dict[str, float]:
    photo = photo[..., : picture.shape[2], : picture.shape[3]]
    return {
        "PSNR": psnr(picture, photo, border=factor).item(),
        "SSIM": ssim(picture, photo, border=factor).item(),
        "sharpness": sharpness(picture, photo, border=factor).item(),
    }


def _on_meta_device(network: nn.Module, pixels: Tensor) -> None:
    """Run a network on the meta device, with an image of the given size."""
    images = torch.empty((1, *pixels.shape), device="meta")
    settings = []
    if isinstance(network, StyleNetwork):
        settings = [torch.empty((1, network.style_size), device="meta")]
    network.to("meta")(images, *settings)
