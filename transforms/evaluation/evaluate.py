"""Evaluation: what checkpoints make of held-out photographs, measured and pictured."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import center_crop, resize, to_pil_image
from torchvision.utils import make_grid

from stylebeam.transforms.checkpoints import Checkpoint, CheckpointError, parse_checkpoint
from stylebeam.transforms.hardware.devices import DeviceName, choose_device, fast_precision
from stylebeam.transforms.images.quality import psnr, sharpness, ssim
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.inference.super_resolution import SuperResolver, reduced
from stylebeam.transforms.losses.perceptual import PerceptualLoss
from stylebeam.transforms.networks import STYLE_NETWORK_NAMES
from stylebeam.transforms.networks.style_network import StyleNetwork
from stylebeam.transforms.training.data import list_images, read_style_image
from stylebeam.transforms.training.loop_config import ConfigValueError
from stylebeam.transforms.training.perceptual_recipe import PerceptualLossRecipe

_PHOTOS_IN_GRID = 3
_GRID_CELL = 288, 384  # height and width
_OPTIMISATION_RATE = 0.02


class EvaluationRecipe(PerceptualLossRecipe):
    """Everything that decides an evaluation."""

    checkpoints: tuple[Path, ...] = Field(
        min_length=1, description="Checkpoints, of styles or of super-resolution."
    )
    content_images: Path = Field(description="A folder of photographs, none of them learned from.")
    style_images: Path | None = Field(
        default=None,
        description="A folder with the paintings of the styles, named as when they were trained.",
    )
    output: Path = Field(description="A folder for the table and the pictures.")
    size: int | None = Field(
        default=512,
        ge=64,
        strict=True,
        description="Short side of the photographs in pixels; null leaves each at its own size.",
    )
    optimisation_iterations: int = Field(
        default=0,
        ge=0,
        strict=True,
        description="How far to optimise each photograph itself towards each painting, for"
        " comparison (Gatys et al. 2016); 0 for not at all.",
    )
    device: DeviceName = Field(default="auto", description="Where to compute.")


@dataclass
class _Entry:
    """A style, or a super-resolution network, and what was measured of it so far.

    Attributes:
        name: of the checkpoint and, where it holds several, of the style.
        network: the network's name.
        parameters: count.
        make: takes a photograph, RGB, uint8 of shape (3, H, W); returns what the network makes of
            it.
        count: makes it by PyTorch, so that its multiplications are counted.
        measure: takes what was made and the photograph, both RGB in [0, 1], shape (1, 3, H, W);
            returns numbers by name.
        measures: by name, a number for each photograph.
        seconds: likewise.
        multiply_adds: of the first photograph.
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


def evaluate(recipe: EvaluationRecipe, report: Callable[[str], None] = print) -> str:
    """Measure checkpoints on photographs, and write a table and a grid of pictures.

    Styles are measured by content and style loss; super-resolution networks, and bicubic
    enlargement beside them, by PSNR, SSIM and sharpness of photographs that were reduced and
    enlarged again. `table.md` and `grid.png` are written into the output folder.

    Args:
        recipe: what to measure.
        report: receives a line of progress now and then.

    Returns:
        The table, in Markdown.

    Raises:
        ConfigValueError: something that the recipe names is not there, or unfit.
        WeightsUnavailableError: the loss network's weights are not to be had.
        DeviceUnavailableError: the device is not there.
        OSError: a photograph cannot be read, or the output cannot be written.
        ImageError: a photograph cannot be decoded.
    """
    device = choose_device(recipe.device)
    try:
        photos = list_images(recipe.content_images)
    except ValueError as error:
        raise ConfigValueError(f"content_images: {error}.") from error
    entries = list(_entries(recipe, device))
    recipe.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, path in enumerate(photos):
        photo = read_style_image(path, recipe.size)
        # In turn for each photograph, so that a slower minute of the machine slows all alike.
        made = [_measured(entry, photo, first=number == 0) for entry in entries]
        if number < _PHOTOS_IN_GRID:
            rows.append([photo, *made])
        report(f"{number + 1} of {len(photos)} photographs")
    table = _table(entries)
    (recipe.output / "table.md").write_text(table)
    _grid(rows).save(recipe.output / "grid.png")
    return table


def _entries(recipe: EvaluationRecipe, device: torch.device) -> Iterator[_Entry]:
    """Yield what is measured, and once for each painting or factor what it compares with."""
    factors = set()
    losses: dict[Path, PerceptualLoss] = {}
    for path in recipe.checkpoints:
        try:
            checkpoint = parse_checkpoint(path.read_bytes())
            parameters = sum(tensor.numel() for tensor in checkpoint.build().parameters())
        except (OSError, CheckpointError) as error:
            raise ConfigValueError(f"checkpoints: {path} cannot be read: {error}") from error
        if checkpoint.network in STYLE_NETWORK_NAMES:
            for style in checkpoint.styles:
                painting = _painting(recipe, path.stem, checkpoint, style)
                if painting not in losses:
                    precision = fast_precision(device)
                    losses[painting] = recipe.perceptual_loss([painting], device, precision)
                    if recipe.optimisation_iterations:
                        iterations = recipe.optimisation_iterations
                        yield _optimised(painting.stem, iterations, losses[painting], device)
                yield _stylized(path.stem, checkpoint, style, parameters, losses[painting], device)
            continue
        resolver = SuperResolver(checkpoint, device)
        if resolver.factor not in factors:
            factors.add(resolver.factor)
            yield _bicubic(resolver.factor)
        yield _super_resolution(path.stem, checkpoint.build(), resolver, parameters)


def _painting(recipe: EvaluationRecipe, name: str, checkpoint: Checkpoint, style: str) -> Path:
    if recipe.style_images is None:
        raise ConfigValueError("style_images: must be given, to measure styles.")
    about = checkpoint.styles[style].training
    if "style_image" not in about:
        raise ConfigValueError(f"checkpoints: {name} does not say of which painting {style} is.")
    return recipe.style_images / about["style_image"]


def _stylized(
    name: str,
    checkpoint: Checkpoint,
    style: str,
    parameters: int,
    loss: PerceptualLoss,
    device: torch.device,
) -> _Entry:
    of_style = replace(checkpoint, styles={style: checkpoint.styles[style]})
    return _Entry(
        name=name if len(checkpoint.styles) == 1 else f"{name}: {style}",
        network=checkpoint.network,
        parameters=parameters,
        make=FeedForwardStylizer(of_style, device).stylize,
        count=partial(_on_no_memory, checkpoint.build()),
        measure=partial(_losses, loss, device),
    )


def _optimised(
    painting: str, iterations: int, loss: PerceptualLoss, device: torch.device
) -> _Entry:
    def optimise(photo: Tensor) -> Tensor:
        content = photo[None].to(device).float() / 255
        image = content.clone().requires_grad_()
        optimizer = torch.optim.Adam([image], lr=_OPTIMISATION_RATE)
        targets = loss.targets_of(content)
        for _ in range(iterations):
            optimizer.zero_grad()
            loss.against(image, targets).total.backward()
            optimizer.step()
            with torch.no_grad():
                image.clamp_(0, 1)
        return (image.detach()[0] * 255).round().byte().cpu()

    return _Entry(
        name=f"{painting}, {iterations} iterations",
        network="none",
        parameters=0,
        make=optimise,
        count=optimise,
        measure=partial(_losses, loss, device),
    )


@torch.inference_mode()
def _losses(
    loss: PerceptualLoss, device: torch.device, made: Tensor, photo: Tensor
) -> dict[str, float]:
    terms = loss(made.to(device), photo.to(device))
    content, style = terms.content.item(), terms.style.item()
    return {"content": content, "style": style, "content + style": content + style}


def _super_resolution(
    name: str, network: nn.Module, resolver: SuperResolver, parameters: int
) -> _Entry:
    return _Entry(
        name=name,
        network="super_resolution",
        parameters=parameters,
        make=lambda photo: resolver.enlarge(_small(photo, resolver.factor)),
        count=lambda photo: _on_no_memory(network, _small(photo, resolver.factor)),
        measure=partial(_quality, resolver.factor),
    )


def _on_no_memory(network: nn.Module, pixels: Tensor) -> None:
    """Have a network do nothing but what it would do with an image."""
    images = torch.empty((1, *pixels.shape), device="meta")
    settings = []
    if isinstance(network, StyleNetwork):
        settings = [torch.empty((1, network.style_size), device="meta")]
    network.to("meta")(images, *settings)


def _bicubic(factor: int) -> _Entry:
    def enlarge(photo: Tensor) -> Tensor:
        small = _small(photo, factor)
        size = [factor * side for side in small.shape[1:]]
        return resize(small, size, InterpolationMode.BICUBIC)

    return _Entry(f"bicubic x{factor}", "none", 0, enlarge, enlarge, partial(_quality, factor))


def _small(photo: Tensor, factor: int) -> Tensor:
    height, width = (side // factor * factor for side in photo.shape[1:])
    return (reduced(photo[None, :, :height, :width] / 255, factor)[0] * 255).round().byte()


def _quality(factor: int, made: Tensor, photo: Tensor) -> dict[str, float]:
    photo = photo[..., : made.shape[2], : made.shape[3]]
    return {
        "PSNR": psnr(made, photo, border=factor).item(),
        "SSIM": ssim(made, photo, border=factor).item(),
        "sharpness": sharpness(made, photo, border=factor).item(),
    }


def _measured(entry: _Entry, photo: Tensor, first: bool) -> Tensor:
    """Have an entry make its image of a photograph, measure it, and return it."""
    pixels = (photo[0] * 255).round().byte()
    if first:
        with FlopCounterMode(display=False) as counter:
            entry.count(pixels)
        entry.multiply_adds = counter.get_total_flops() // 2
    started = time.perf_counter()
    made = entry.make(pixels)
    entry.seconds.append(time.perf_counter() - started)
    image = made.unsqueeze(0) / 255
    for name, value in entry.measure(image, photo).items():
        entry.measures[name].append(value)
    return image


def _table(entries: Sequence[_Entry]) -> str:
    """Return what was measured as Markdown, styles and super-resolution each in a table."""
    tables = []
    for columns in dict.fromkeys(tuple(entry.measures) for entry in entries):
        titles = ["checkpoint", "network", *columns, "seconds", "parameters", "multiply-adds"]
        lines = [titles, ["---"] * len(titles)]
        for entry in entries:
            if tuple(entry.measures) == columns:
                means = [f"{statistics.fmean(entry.measures[name]):.4g}" for name in columns]
                cost = [f"{entry.parameters / 1e6:.2f} M", f"{entry.multiply_adds / 1e9:.1f} G"]
                seconds = f"{statistics.median(entry.seconds):.3f}"
                lines.append([entry.name, entry.network, *means, seconds, *cost])
        tables.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(tables)


def _grid(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    """Return a picture of the middle of images, each of shape (1, 3, H, W), in rows and columns."""
    height, width = _GRID_CELL
    covered = [resize(image[0], [max(height, width)]) for row in rows for image in row]
    cells = [center_crop(image, [height, width]) for image in covered]
    grid: Image.Image = to_pil_image(make_grid(cells, nrow=len(rows[0])).clamp(0, 1))
    return grid
