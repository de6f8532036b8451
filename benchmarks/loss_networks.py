"""Compares the distilled VGG with VGG-19 as the loss network of optimizations.

python -m benchmarks.loss_networks photos paintings out

Each photo is optimized with a painting's style: with VGG-19 for several numbers of iterations, and
with the distilled VGG for the same number of iterations and for the same time. The losses of VGG-19
and VGG-16 evaluate the results.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize, to_pil_image
from torchvision.utils import make_grid

from stylebeam.transforms.hardware.devices import choose_device, fast_precision
from stylebeam.transforms.losses.borders import ReflectedMargin
from stylebeam.transforms.losses.distilled_vgg import about_distilled_vgg
from stylebeam.transforms.losses.loss_network import (
    LossNetworkName,
    load_loss_network,
)
from stylebeam.transforms.losses.perceptual import LossSettings, LossTerms, PerceptualLoss
from stylebeam.transforms.training.data import list_images, read_style_image

DEVICE = choose_device("auto")
PRECISION = fast_precision(DEVICE)
SAME_ITERATIONS = "distilled VGG, same iterations"
SAME_TIME = "distilled VGG, same time"


class Objective(NamedTuple):
    """Loss weights of the content and style losses, by layer."""

    content: Mapping[str, float]
    style: Mapping[str, float]


DISTILLED_VGG = Objective(
    {"relu4_2": 1.0},
    dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 10.0),
)
VGG16 = Objective(
    {"relu3_3": 1.0}, {"relu1_2": 10.0, "relu2_2": 12.0, "relu3_3": 15.0, "relu4_3": 100.0}
)


def in_units_of_vgg19(objective: Objective) -> Objective:
    """Return the same objective for VGG-19, whose activations have not a mean square of 1."""
    scales = about_distilled_vgg()["scales"]
    return Objective(
        {layer: weight / scales[layer] ** 2 for layer, weight in objective.content.items()},
        {layer: weight / scales[layer] ** 4 for layer, weight in objective.style.items()},
    )


class Evaluator:
    """The loss of images for one photo and one painting."""

    def __init__(
        self, name: LossNetworkName, objective: Objective, photo: Tensor, painting: Tensor
    ) -> None:
        settings = LossSettings(objective.content, objective.style)
        network = load_loss_network(name, settings.layers, DEVICE, PRECISION)
        self._loss = PerceptualLoss(ReflectedMargin(network), settings)
        self._content = self._loss.content_targets(photo)
        self._style = self._loss.style_targets([painting])

    def __call__(self, image: Tensor) -> LossTerms:
        """Return the terms of the loss of an image."""
        return self._loss(image, self._content, self._style)


class Optimization:
    """An optimization with Adam that starts from the photo."""

    def __init__(self, evaluator: Evaluator, photo: Tensor) -> None:
        self._evaluator = evaluator
        self._image = photo.clone().requires_grad_()
        self._optimizer = torch.optim.Adam([self._image], lr=0.02)
        self.seconds: list[float] = []

    @property
    def image(self) -> Tensor:
        """The current image."""
        return self._image.detach().clone()

    def step(self) -> None:
        """Do one iteration and record its time."""
        started = time.perf_counter()
        self._optimizer.zero_grad()
        self._evaluator(self._image).total.backward()
        self._optimizer.step()
        with torch.no_grad():
            self._image.clamp_(0, 1)
        self.seconds.append(time.perf_counter() - started)


class Comparison(NamedTuple):
    """The results for a photo and a painting after some iterations with VGG-19.

    Attributes:
        images: images by the name of the result.
        iterations: numbers of iterations by the name of the result.
        losses: losses by the name of the result and of the loss network.
    """

    images: dict[str, Tensor]
    iterations: dict[str, int]
    losses: dict[str, dict[str, LossTerms]]


def compare(photo: Tensor, painting: Tensor, budgets: Sequence[int]) -> dict[int, Comparison]:
    """Optimize a photo with a painting's style and evaluate it after some numbers of iterations."""
    evaluators = {
        "VGG-19": Evaluator("vgg19", in_units_of_vgg19(DISTILLED_VGG), photo, painting),
        "VGG-16": Evaluator("vgg16", VGG16, photo, painting),
    }
    vgg = Optimization(evaluators["VGG-19"], photo)
    distilled = Optimization(Evaluator("embedded", DISTILLED_VGG, photo, painting), photo)
    after: dict[int, Tensor] = {}
    comparisons = {}
    for iteration in range(1, max(budgets) + 1):
        vgg.step()
        # In alternation, so that a slow minute of the machine slows both.
        while sum(distilled.seconds) < sum(vgg.seconds):
            distilled.step()
            if len(distilled.seconds) in budgets:
                after[len(distilled.seconds)] = distilled.image
        if iteration in budgets:
            images = {
                "photo": photo,
                "VGG-19": vgg.image,
                SAME_ITERATIONS: after[iteration],
                SAME_TIME: distilled.image,
            }
            iterations = (0, iteration, iteration, len(distilled.seconds))
            comparisons[iteration] = Comparison(
                images,
                dict(zip(images, iterations, strict=True)),
                {name: _evaluated(image, evaluators) for name, image in images.items()},
            )
    return comparisons


@torch.no_grad()
def _evaluated(image: Tensor, evaluators: Mapping[str, Evaluator]) -> dict[str, LossTerms]:
    return {name: evaluator(image) for name, evaluator in evaluators.items()}


def report(pair: str, comparison: Comparison) -> None:
    """Print the rows of a photo and a painting."""
    for name, by_network in comparison.losses.items():
        losses = " | ".join(
            " ".join(f"{part.item():.3f}" for part in (terms.content, terms.style, terms.total))
            for terms in by_network.values()
        )
        print(f"{pair} | {name} | {comparison.iterations[name]} | {losses}", flush=True)


def summarize(budget: int, comparisons: Sequence[Comparison]) -> None:
    """Print the losses relative to the result with VGG-19, over all pairs."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for comparison in comparisons:
        for name in (SAME_ITERATIONS, SAME_TIME):
            for network, terms in comparison.losses[name].items():
                reference = comparison.losses["VGG-19"][network]
                for part in ("content", "style", "total"):
                    ratio = getattr(terms, part) / getattr(reference, part)
                    ratios[f"{name}: {part} loss of {network}"].append(ratio.item())
    print(f"Relative to the result with VGG-19 after {budget} iterations, median over the pairs:")
    for title, values in ratios.items():
        print(f"{title}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    iterations = statistics.median(comparison.iterations[SAME_TIME] for comparison in comparisons)
    print(f"iterations with the distilled VGG in the same time: {iterations:.0f}", flush=True)


def contact_sheet(painting: Tensor, images: Sequence[Tensor], height: int) -> Tensor:
    """Return a painting and images side by side."""
    row = [resize(image[0], [height, height * 4 // 3]) for image in (painting, *images)]
    return make_grid(row, nrow=len(row))


def main() -> None:
    """Compare pairs of photos and paintings, print a table and write a contact sheet of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("out", type=Path, help="a folder for the contact sheets")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--size", type=int, default=256, help="short side in pixels")
    parser.add_argument("--iterations", type=int, nargs="+", default=[15, 30, 60])
    args = parser.parse_args()
    photos, paintings = list_images(args.photos), list_images(args.paintings)
    args.out.mkdir(parents=True, exist_ok=True)
    print("pair | result | iterations | VGG-19: content style total | VGG-16: content style total")
    comparisons: dict[int, list[Comparison]] = defaultdict(list)
    for number in range(args.pairs):
        photo_path, painting_path = photos[number % len(photos)], paintings[number % len(paintings)]
        photo, painting = (
            read_style_image(path, args.size).to(DEVICE) for path in (photo_path, painting_path)
        )
        for budget, comparison in compare(photo, painting, args.iterations).items():
            report(f"{photo_path.stem} + {painting_path.stem}", comparison)
            sheet = contact_sheet(painting, list(comparison.images.values()), args.size)
            to_pil_image(sheet.cpu()).save(args.out / f"{number:02}_{budget}.png")
            comparisons[budget].append(comparison)
    for budget, of_pairs in comparisons.items():
        summarize(budget, of_pairs)


if __name__ == "__main__":
    main()
