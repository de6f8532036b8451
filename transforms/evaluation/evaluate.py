"""Evaluation: measures checkpoints on photos, and writes tables and pages of pictures."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from stylebeam.transforms.evaluation.candidates import Candidate, read_checkpoints
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.evaluation.images import ContentImage, ImageFolder, read_content_image
from stylebeam.transforms.evaluation.judge import Judge
from stylebeam.transforms.evaluation.pages import cell, pages
from stylebeam.transforms.evaluation.style_candidates import optimization, pictures_of, styles_of
from stylebeam.transforms.evaluation.super_resolution_candidates import bicubic, super_resolution
from stylebeam.transforms.evaluation.tables import tables
from stylebeam.transforms.hardware.devices import choose_device
from stylebeam.transforms.networks import STYLE_NETWORK_NAMES
from stylebeam.transforms.training.loop_config import ConfigValueError

_PHOTOS_ON_PAGE = 3


def evaluate(config: EvaluationConfig, report: Callable[[str], None] = print) -> str:
    """Measure checkpoints on photos; write `table.md` and pages `grid_1.png` and so on.

    Styles, and the pictures of other programs, are measured as `measures.measure_picture` says.
    Super-resolution networks, and bicubic interpolation for comparison, are measured by PSNR, SSIM
    and sharpness on photos that are reduced and enlarged again.

    Args:
        config: the checkpoints, the photos and the loss.
        report: is called with a line after each photo.

    Returns:
        The tables, in Markdown.

    Raises:
        ConfigValueError: a file or folder of the config is missing or cannot be used.
        WeightsUnavailableError: the weights of a loss network cannot be found.
        DeviceUnavailableError: this machine does not have the device.
        NonFiniteError: the loss of an optimized photo is NaN or infinite.
        OSError: a photo cannot be read, or the output cannot be written.
        ImageError: a photo cannot be decoded.
    """
    device = choose_device(config.device)
    photos = ImageFolder("content_images", config.content_images)
    measured = list(_candidates(config, photos, device))
    if not measured:
        raise ConfigValueError("checkpoints or pictures: must be given.")
    config.output.mkdir(parents=True, exist_ok=True)
    photo_cells: dict[Path, Image.Image] = {}
    cells: list[dict[Path, Image.Image]] = [{} for _ in measured]
    for number, path in enumerate(photos.files):
        photo = read_content_image(path, config.size)
        on_page = number < _PHOTOS_ON_PAGE
        if on_page:
            photo_cells[path] = cell(photo.pixels)
        # Candidates alternate, so that all of them suffer alike when the machine is slow for a
        # while.
        for candidate, of_candidate in zip(measured, cells, strict=True):
            picture = _measured(candidate, photo, first=number == 0)
            if picture is not None and on_page:
                of_candidate[path] = cell(picture)
        report(f"{number + 1} of {len(photos.files)} photos")
    text = tables(measured)
    (config.output / "table.md").write_text(text)
    rows = list(zip(measured, cells, strict=True))
    for number, page in enumerate(pages(photo_cells, rows), start=1):
        page.save(config.output / f"grid_{number}.png")
    return text


def _candidates(
    config: EvaluationConfig, photos: ImageFolder, device: torch.device
) -> Iterator[Candidate]:
    """Yield all candidates, each painting and each factor preceded by its baseline."""
    judge = None
    factors, paintings = set(), set()
    for name, checkpoint, network in read_checkpoints(config):
        if checkpoint.network not in STYLE_NETWORK_NAMES:
            factor, candidate = super_resolution(name, checkpoint, network, device)
            if factor not in factors:
                factors.add(factor)
                yield bicubic(factor)
            yield candidate
            continue
        judge = judge or Judge(config, device)
        for candidate in styles_of(name, checkpoint, network, judge, device):
            painting, iterations = candidate.painting, config.optimization_iterations
            if iterations and painting is not None and painting not in paintings:
                paintings.add(painting)
                yield optimization(painting, iterations, judge, device)
            yield candidate
    for program, folder in config.pictures.items():
        judge = judge or Judge(config, device)
        yield from pictures_of(program, folder, photos, judge)


def _measured(candidate: Candidate, photo: ContentImage, first: bool) -> Tensor | None:
    """Return a candidate's picture of a photo, if it has one, and record its measurements.

    Args:
        candidate: makes the picture.
        photo: the photo.
        first: count the multiplications, too.
    """
    if first and candidate.count is not None:
        with FlopCounterMode(display=False) as counter:
            candidate.count(photo)
        candidate.multiply_adds = counter.get_total_flops() // 2
    started = time.perf_counter()
    picture = candidate.make(photo)
    candidate.seconds.append(time.perf_counter() - started)
    if picture is not None:
        for name, value in candidate.measure(picture, photo).items():
            candidate.measures[name].append(value)
    return picture
