"""Evaluation: measures checkpoints on photos, and writes a table and a grid of pictures."""

import statistics
import time
from collections.abc import Callable, Sequence

from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.v2.functional import center_crop, resize, to_pil_image
from torchvision.utils import make_grid

from stylebeam.transforms.evaluation.candidates import Candidate, candidates
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.hardware.devices import choose_device
from stylebeam.transforms.training.data import list_images, read_style_image
from stylebeam.transforms.training.loop_config import ConfigValueError

_PHOTOS_IN_GRID = 3
_GRID_CELL = 288, 384  # height and width


def evaluate(config: EvaluationConfig, report: Callable[[str], None] = print) -> str:
    """Measure checkpoints on photos, and write `table.md` and `grid.png` into the output folder.

    Styles are measured by content and style loss. Super-resolution networks, and bicubic
    interpolation for comparison, are measured by PSNR, SSIM and sharpness on photos that are
    reduced and enlarged again.

    Args:
        config: the checkpoints, the photos and the loss.
        report: is called with a line after each photo.

    Returns:
        The table, in Markdown.

    Raises:
        ConfigValueError: a file or folder of the config is missing or cannot be used.
        WeightsUnavailableError: the weights of the loss network cannot be found.
        DeviceUnavailableError: this machine does not have the device.
        NonFiniteError: the loss of an optimized photo is NaN or infinite.
        OSError: a photo cannot be read, or the output cannot be written.
        ImageError: a photo cannot be decoded.
    """
    device = choose_device(config.device)
    try:
        photos = list_images(config.content_images)
    except ValueError as error:
        raise ConfigValueError(f"content_images: {error}.") from error
    measured = list(candidates(config, device))
    config.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, path in enumerate(photos):
        photo = read_style_image(path, config.size)
        # Candidates alternate, so that all of them suffer alike when the machine is slow for a
        # while.
        pictures = [_measured(candidate, photo, first=number == 0) for candidate in measured]
        if number < _PHOTOS_IN_GRID:
            rows.append([photo, *pictures])
        report(f"{number + 1} of {len(photos)} photos")
    table = _table(measured)
    (config.output / "table.md").write_text(table)
    _grid(rows).save(config.output / "grid.png")
    return table


def _measured(candidate: Candidate, photo: Tensor, first: bool) -> Tensor:
    """Return a candidate's picture of a photo, and record its measurements.

    Args:
        candidate: makes the picture.
        photo: RGB in [0, 1], shape (1, 3, H, W).
        first: count the multiplications, too.
    """
    pixels = (photo[0] * 255).round().byte()
    if first:
        with FlopCounterMode(display=False) as counter:
            candidate.count(pixels)
        candidate.multiply_adds = counter.get_total_flops() // 2
    started = time.perf_counter()
    made = candidate.make(pixels)
    candidate.seconds.append(time.perf_counter() - started)
    picture = made.unsqueeze(0) / 255
    for name, value in candidate.measure(picture, photo).items():
        candidate.measures[name].append(value)
    return picture


def _table(measured: Sequence[Candidate]) -> str:
    """Return the measurements in Markdown, with one table for each set of measures."""
    tables = []
    for columns in dict.fromkeys(tuple(candidate.measures) for candidate in measured):
        titles = ["checkpoint", "network", *columns, "seconds", "parameters", "multiply-adds"]
        lines = [titles, ["---"] * len(titles)]
        lines += [
            _row(candidate, columns)
            for candidate in measured
            if tuple(candidate.measures) == columns
        ]
        tables.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(tables)


def _row(candidate: Candidate, columns: Sequence[str]) -> list[str]:
    means = [f"{statistics.fmean(candidate.measures[name]):.4g}" for name in columns]
    return [
        candidate.name,
        candidate.network,
        *means,
        f"{statistics.median(candidate.seconds):.3f}",
        f"{candidate.parameters / 1e6:.2f} M",
        f"{candidate.multiply_adds / 1e9:.1f} G",
    ]


def _grid(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    """Return a picture of the centers of images, each of shape (1, 3, H, W), as a grid."""
    height, width = _GRID_CELL
    covered = [resize(image[0], [max(height, width)]) for row in rows for image in row]
    cells = [center_crop(image, [height, width]) for image in covered]
    grid: Image.Image = to_pil_image(make_grid(cells, nrow=len(rows[0])).clamp(0, 1))
    return grid
