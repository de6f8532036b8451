"""The styles of a training for any painting: which style each crop has."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.losses.loss_network import LossNetwork
from stylebeam.transforms.prediction.statistics import (
    PaintingStatistics,
    at_style_size,
    stacked_statistics,
)
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.data import Draw, TrainingImages, list_images, read_pixels
from stylebeam.transforms.training.loop_config import ConfigValueError
from stylebeam.transforms.training.painting_variants import variant
from stylebeam.transforms.training.style_targets import (
    StyleTarget,
    as_float,
    collage,
    halved,
    target_of,
)

_PART_COLLAGES = 0.4  # of the crops that have no named style
_PAINTINGS_PER_REPORT = 20
# Short side in pixels to which a larger painting is reduced when it is read, to save memory.
_LARGEST_PAINTING = 2048
# A predictor is fitted to one in four targets, if there are many.
_TARGETS_WORTH_SKIPPING, _STEP = 500, 4


class StyleBatch(NamedTuple):
    """The styles of a batch of N crops.

    Attributes:
        targets: the style of each crop.
        named: the index of each crop's named style, or -1; shape (N,), on the CPU.
    """

    targets: Sequence[StyleTarget]
    named: Tensor


class TrainingStyles:
    """The styles of a training's paintings.

    Attributes:
        named: the named styles, in the order of the config.
        held_out: the styles of the paintings that are not trained on.
    """

    def __init__(
        self,
        config: AnyStyleTrainingConfig,
        network: LossNetwork,
        device: torch.device,
        report: Callable[[str], None],
    ) -> None:
        """Measure all paintings and their variants, which takes a second each on a CPU.

        Args:
            config: names the paintings.
            network: as `measure_painting` takes it.
            device: where to compute, and where the styles are kept.
            report: receives lines of progress.

        Raises:
            ConfigValueError: there are no paintings that can be read, or a named one cannot.
        """
        self._config = config
        self._weights = torch.tensor([style.weight for style in config.styles.values()])
        trained_on, held_out = (TrainingImages(paths, report) for paths in _divided(config))

        def measured(painting: Tensor) -> StyleTarget:
            return target_of(network, at_style_size(painting.to(device)))

        self.named = [
            measured(_named(f"styles.{name}.painting", config.paintings / style.painting))
            for name, style in config.styles.items()
        ]
        self.held_out = [measured(painting) for _, painting in _readable(held_out)]
        self._targets: list[StyleTarget] = []
        for number, each in _readable(trained_on):
            painting = each.to(device)
            self._targets.append(halved(target_of(network, at_style_size(painting))))
            for index in range(1, config.variants):
                draw = Draw(config.seed, number * config.variants + index)
                picture = variant(painting, trained_on, draw)
                self._targets.append(halved(target_of(network, picture)))
            done, count = number + 1, len(trained_on.files)
            if done % _PAINTINGS_PER_REPORT == 0 or done == count:
                report(f"{done} of {count} paintings measured")
        trained_on.report_left_out()
        if not self._targets:
            raise ConfigValueError(f"paintings: {trained_on.nothing_left()}")

    def statistics(self) -> PaintingStatistics:
        """Return the statistics that a predictor is fitted to."""
        step = _STEP if len(self._targets) > _TARGETS_WORTH_SKIPPING else 1
        return stacked_statistics([as_float(each.statistics) for each in self._targets[::step]])

    def batch(self, first: int, count: int) -> StyleBatch:
        """Return the styles of crops, which depend only on the seed and their numbers.

        Args:
            first: the number of the first crop.
            count: how many crops follow one another.
        """
        targets, named = zip(*(self._of_crop(first + index) for index in range(count)), strict=True)
        return StyleBatch(targets, torch.tensor(named))

    def _of_crop(self, number: int) -> tuple[StyleTarget, int]:
        """Return the style of a crop, and the index of its named style or -1."""
        draw = Draw(self._config.seed + 1, number)
        if self.named and draw.uniform(0, 1) < self._config.share_of_styles:
            index = int(torch.multinomial(self._weights, 1, generator=draw.generator))
            return self.named[index], index
        if draw.uniform(0, 1) < _PART_COLLAGES:
            return collage(self._targets, draw), -1
        target = self._targets[draw.integer(0, len(self._targets) - 1)]
        return StyleTarget(as_float(target.statistics), target.colors), -1


def _divided(config: AnyStyleTrainingConfig) -> tuple[list[Path], list[Path]]:
    """Return the paintings to train on, and the held-out paintings.

    Raises:
        ConfigValueError: there are none to train on.
    """
    try:
        trained_on = list_images(config.paintings, config.held_out_paintings)
    except ValueError as error:
        besides = " besides held_out_paintings" if config.held_out_paintings else ""
        raise ConfigValueError(f"paintings: {error}{besides}.") from error
    return trained_on, sorted(set(list_images(config.paintings)) - set(trained_on))


def _readable(paintings: TrainingImages) -> Iterator[tuple[int, Tensor]]:
    """Yield the paintings that can be read, RGB in [0, 1], shape (1, 3, H, W), and their numbers.

    Raises:
        ConfigValueError: a storage does not answer.
    """
    for number, file in enumerate(paintings.files):
        try:
            pixels = paintings.read(number)
        except OSError as error:
            raise _unreadable("paintings", str(file), error) from error
        if pixels is not None:
            yield number, _reduced(pixels)


def _named(key: str, path: Path) -> Tensor:
    """Return the painting of a named style, RGB in [0, 1], shape (1, 3, H, W).

    Args:
        key: of the config, for the error.
        path: of the image file.

    Raises:
        ConfigValueError: it cannot be read.
    """
    try:
        return _reduced(read_pixels(path))
    except (OSError, ImageError) as error:
        raise _unreadable(key, str(path), error) from error


def _reduced(pixels: Tensor) -> Tensor:
    """Return a painting, RGB in [0, 1], shape (1, 3, H, W), of at most the largest size."""
    if min(pixels.shape[1:]) > _LARGEST_PAINTING:
        pixels = functional.resize(pixels, [_LARGEST_PAINTING], antialias=True)
    return pixels[None].float() / 255


def _unreadable(key: str, what: str, error: Exception) -> ConfigValueError:
    return ConfigValueError(f"{key}: {what} cannot be read: {error}")
