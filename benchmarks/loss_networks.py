"""Compares the embedded loss network with VGG-19, as the judge in optimisations of images.

Each photograph is optimised towards a painting by VGG-19, by the embedded network for as many
iterations, and by the embedded network for as long; VGG-19's and VGG-16's losses judge the results.

    python benchmarks/loss_networks.py photos paintings out
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize, to_pil_image
from torchvision.utils import make_grid

from transforms.devices import choose_device, fast_precision
from transforms.loss_network import LossNetworkName, load_loss_network
from transforms.perceptual_loss import LossTerms, PerceptualLoss
from transforms.training_data import list_images, read_style_image

DEVICE = choose_device("auto")
PRECISION = fast_precision(DEVICE)


class Objective(NamedTuple):
    """What is minimised: weights by layer."""

    content: Mapping[str, float]
    style: Mapping[str, float]


# The weights even out the layers, whose activations differ by orders of magnitude.
VGG19 = Objective(
    {"relu4_2": 3e-5},
    {"relu1_1": 3e-5, "relu2_1": 2e-7, "relu3_1": 1e-7, "relu4_1": 4e-10, "relu5_1": 2e-6},
)
VGG16 = Objective(
    {"relu3_3": 1.0}, {"relu1_2": 10.0, "relu2_2": 12.0, "relu3_3": 15.0, "relu4_3": 100.0}
)


def loss_of(name: LossNetworkName, objective: Objective, painting: Tensor) -> PerceptualLoss:
    """Return the loss against a painting, as a network sees it."""
    network = load_loss_network(name, {**objective.content, **objective.style}, DEVICE, PRECISION)
    return PerceptualLoss(network, painting, objective.content, objective.style, 0.0)


class Optimisation:
    """One image on its way, with Adam from the photograph."""

    def __init__(self, loss: PerceptualLoss, photo: Tensor) -> None:
        self._loss = loss
        self._photo = photo
        self.image = photo.clone().requires_grad_()
        self._optimizer = torch.optim.Adam([self.image], lr=0.02)
        self.seconds: list[float] = []

    def step(self) -> None:
        """Do one iteration, and time it."""
        started = time.perf_counter()
        self._optimizer.zero_grad()
        self._loss(self.image, self._photo).total.backward()
        self._optimizer.step()
        with torch.no_grad():
            self.image.clamp_(0, 1)
        self.seconds.append(time.perf_counter() - started)


def main() -> None:
    """Optimise, judge, print a table and write a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("out", type=Path, help="a folder for the contact sheet")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--size", type=int, default=256, help="short side in pixels")
    parser.add_argument("--iterations", type=int, default=150)
    args = parser.parse_args()
    photos, paintings = list_images(args.photos), list_images(args.paintings)
    args.out.mkdir(parents=True, exist_ok=True)
    print("pair | result | iterations | VGG-19: content style total | VGG-16: content style total")
    ratios: dict[str, list[float]] = {}
    for number in range(args.pairs):
        photo_path, painting_path = photos[number % len(photos)], paintings[number % len(paintings)]
        photo = read_style_image(photo_path, args.size)
        painting = read_style_image(painting_path, args.size)
        judges = (loss_of("vgg19", VGG19, painting), loss_of("vgg16", VGG16, painting))
        by_vgg = Optimisation(judges[0], photo)
        embedded = Optimisation(loss_of("embedded", VGG19, painting), photo)
        for _ in range(args.iterations):
            by_vgg.step()
            embedded.step()
        images = {"photograph": photo, "vgg19": by_vgg.image.detach().clone()}
        images["embedded, same iterations"] = embedded.image.detach().clone()
        counts = {"photograph": 0, "vgg19": args.iterations}
        counts["embedded, same iterations"] = args.iterations
        while sum(embedded.seconds) < sum(by_vgg.seconds):
            embedded.step()
        images["embedded, same time"] = embedded.image.detach().clone()
        counts["embedded, same time"] = len(embedded.seconds)
        pair = f"{photo_path.stem} + {painting_path.stem}"
        scores = {
            name: [judge_of(judge, image, photo) for judge in judges]
            for name, image in images.items()
        }
        for name, by_judge in scores.items():
            print(f"{pair} | {name} | {counts[name]} | " + " | ".join(map(written, by_judge)))
            for judge, terms, reference in zip(
                ("VGG-19", "VGG-16"), by_judge, scores["vgg19"], strict=True
            ):
                for part in ("content", "style", "total"):
                    ratio = getattr(terms, part) / getattr(reference, part)
                    ratios.setdefault(f"{name}: {part} by {judge}", []).append(ratio.item())
        speed = statistics.median(by_vgg.seconds) / statistics.median(embedded.seconds)
        print(f"{pair}: an iteration of embedded is {speed:.1f} times as fast", flush=True)
        shown = [painting, *images.values()]
        height = args.size
        row = [resize(image[0], [height, height * 4 // 3]) for image in shown]
        to_pil_image(make_grid(row, nrow=len(row))).save(args.out / f"{number:02}.png")
    print("Relative to VGG-19's own result, the median over the pairs (and the range):")
    for what, values in ratios.items():
        print(f"{what}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


@torch.no_grad()
def judge_of(loss: PerceptualLoss, image: Tensor, photo: Tensor) -> LossTerms:
    """Return how a loss network judges a result."""
    return loss(image, photo)


def written(terms: LossTerms) -> str:
    """Write a judgement as a row of a table has it."""
    return f"{terms.content.item():.2f} {terms.style.item():.2f} {terms.total.item():.2f}"


if __name__ == "__main__":
    main()
