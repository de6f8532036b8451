"""Candidates that stylize: the styles of checkpoints, optimization, and other programs."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from stylebeam.transforms.checkpoints import Checkpoint
from stylebeam.transforms.evaluation.candidates import Candidate, run_on_meta_device
from stylebeam.transforms.evaluation.images import ContentImage, ImageFolder, check_size
from stylebeam.transforms.evaluation.judge import Judge
from stylebeam.transforms.gatys.descent import Objective, descend
from stylebeam.transforms.gatys.minimizers import Adam
from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.training.data import read_pixels
from stylebeam.transforms.training.loop_config import ConfigValueError

_LEARNING_RATE = 0.02
_SEPARATOR = "__"


def styles_of(
    name: str, checkpoint: Checkpoint, network: nn.Module, judge: Judge, device: torch.device
) -> Iterator[Candidate]:
    """Yield the styles of a checkpoint.

    Args:
        name: of the checkpoint.
        checkpoint: its contents.
        network: its network.
        judge: measures the pictures.
        device: where to compute.

    Raises:
        ConfigValueError: a style does not name its painting, or the painting cannot be found.
    """
    parameters = sum(tensor.numel() for tensor in network.parameters())
    for style, about in checkpoint.styles.items():
        if "style_image" not in about.training:
            raise ConfigValueError(
                f"checkpoints: {name} does not name the painting of the style {style}."
            )
        painting = judge.paintings.named(about.training["style_image"])
        # A stylizer keeps the compiled networks of a few styles only.
        stylizer = FeedForwardStylizer(replace(checkpoint, styles={style: about}), device)
        yield Candidate(
            group=name,
            name=name if len(checkpoint.styles) == 1 else f"{name}: {style}",
            make=partial(_stylized, stylizer),
            measure=partial(judge.measure, judge.painting(painting)),
            painting=painting,
            network=checkpoint.network,
            parameters=parameters,
            count=lambda photo: run_on_meta_device(network, photo.pixels),
        )


def optimization(painting: Path, iterations: int, judge: Judge, device: torch.device) -> Candidate:
    """Return the optimization of each photo towards a painting, as a baseline.

    Raises:
        ConfigValueError: the painting cannot be read.
    """
    target = judge.painting(painting)
    style = next(iter(target.style.values()))

    def start(photo: ContentImage) -> tuple[Tensor, Objective]:
        image = photo.pixels[None].to(device).float() / 255
        return image, Objective(judge.loss, judge.loss.content_targets(image), style)

    def optimize(photo: ContentImage) -> Tensor:
        image, objective = start(photo)
        minimizer = Adam(image, _LEARNING_RATE, bounded=True)
        descend(objective, minimizer, iterations)
        return (minimizer.image[0] * 255).round().byte().cpu()

    def count(photo: ContentImage) -> None:
        # The counter does not support autograd.grad, which the objective uses.
        image, (of_image, *targets) = start(photo)
        for _ in range(iterations):
            of_image(image.requires_grad_(), *targets).total.backward()

    return Candidate(
        group=f"{iterations} iterations",
        name=f"{painting.stem}, {iterations} iterations",
        make=optimize,
        measure=partial(judge.measure, target),
        painting=painting,
        network="none",
        count=count,
    )


def pictures_of(
    program: str, folder: Path, photos: ImageFolder, judge: Judge
) -> Iterator[Candidate]:
    """Yield the paintings of another program's pictures, see `EvaluationConfig.pictures`.

    Args:
        program: its name.
        folder: of the pictures.
        photos: of which the pictures were made.
        judge: measures the pictures, and has their paintings.

    Raises:
        ConfigValueError: there are no pictures, a picture has another name, or its photo or its
            painting cannot be found.
    """
    pictures: dict[Path, dict[Path, Path]] = {}
    for file in ImageFolder(f"pictures.{program}", folder).files:
        photo_stem, separator, painting_stem = file.stem.partition(_SEPARATOR)
        if not separator:
            raise ConfigValueError(
                f"pictures.{program}: {file} must be named PHOTO{_SEPARATOR}PAINTING."
            )
        try:
            painting = judge.paintings.with_stem(painting_stem)
            photo = photos.with_stem(photo_stem)
        except ConfigValueError as error:
            raise ConfigValueError(f"pictures.{program}: {file}: {error}") from error
        pictures.setdefault(painting, {})[photo] = file
    for painting, of_photos in pictures.items():
        yield Candidate(
            group=program,
            name=f"{program}: {painting.stem}",
            make=partial(_read, program, of_photos),
            measure=partial(judge.measure, judge.painting(painting)),
            painting=painting,
        )


def _stylized(stylizer: FeedForwardStylizer, photo: ContentImage) -> Tensor:
    return stylizer.stylize(photo.pixels)


def _read(program: str, pictures: dict[Path, Path], photo: ContentImage) -> Tensor | None:
    if photo.path not in pictures:
        return None
    file = pictures[photo.path]
    try:
        picture = read_pixels(file)
    except (OSError, ImageError) as error:
        raise ConfigValueError(f"pictures.{program}: {file} cannot be read: {error}") from error
    check_size(f"pictures.{program}", file, picture)
    return picture
