"""Stylisation of photographs by optimisation of their pixels."""

import copy
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.gatys.descent import Report, descend
from stylebeam.transforms.gatys.minimizers import Adam, Lbfgs
from stylebeam.transforms.gatys.objective import Objective, Painting
from stylebeam.transforms.gatys.preconditioner import Preconditioner
from stylebeam.transforms.gatys.recipe import GatysRecipe
from stylebeam.transforms.hardware.devices import fast_gradient_precision
from stylebeam.transforms.hardware.memory import keep_freed_blocks, return_free_memory
from stylebeam.transforms.hardware.precision import NonFiniteError, convolutions_in
from stylebeam.transforms.images.color import match_colors, match_luminance, to_gray, with_colors_of
from stylebeam.transforms.images.pixels import from_unit_range, to_unit_range
from stylebeam.transforms.images.resizing import enlarge_like
from stylebeam.transforms.losses.distilled_vgg import load_embedded_network
from stylebeam.transforms.losses.loss_network import LossNetworkName
from stylebeam.transforms.losses.mirrored_borders import MirroredBorders
from stylebeam.transforms.losses.perceptual import LossTerms
from stylebeam.transforms.losses.vgg import Vgg, load_vgg
from stylebeam.transforms.losses.vgg_normalization import (
    normalize_activations,
    reference_photographs,
)

# Pixels: what VGG's four poolings up to its fifth block leave something of.
_MIN_SIDE = 32
# Standard deviation, in units of the range of a colour. No layer of VGG sees much of colours that
# change from pixel to pixel: what there is of them at the beginning stays.
_NOISE = 0.01
# Strokes are as large beside a coarser level as beside a painting of that size.
_MIN_COARSE_SIDE = 128

# Values a pixel that an evaluation keeps, or works with, at its peak.
_ACTIVATIONS: Mapping[LossNetworkName, int] = {"embedded": 600, "vgg16": 1200, "vgg19": 1200}

VggFile = Path | BinaryIO
Stylize = Callable[[Tensor], Tensor]
"""Takes and returns RGB, uint8 or uint16 of shape (3, H, W)."""


class _Subject(NamedTuple):
    """What one image is optimised towards.

    Attributes:
        photo: RGB in [0, 1], shape (1, 3, H, W).
        paintings: at their own size, in the colours that this photo is to have.
        start: where the image begins, of the photo's shape.
    """

    photo: Tensor
    paintings: Sequence[Painting]
    start: Tensor


class GatysStylizer:
    """Optimises photographs towards paintings.

    Several photos of one size are optimised at once, and each comes out as it would alone. Calls
    from several threads are safe: nothing is kept between them but loss networks. With the first,
    the process begins to keep freed memory while one is at work.
    """

    def __init__(
        self,
        recipe: GatysRecipe,
        paintings: Sequence[tuple[Tensor, float]],
        device: torch.device,
        precision: torch.dtype | None = None,
        weights: Mapping[str, VggFile] | None = None,
        fast: Stylize | None = None,
    ) -> None:
        """Load the loss networks.

        Args:
            recipe: what to do.
            paintings: RGB, uint8 or uint16, shape (3, H, W), and their parts in the style, above 0.
            device: where to compute.
            precision: of the convolutions; by default bfloat16 where that is fast, else float32.
            weights: files of VGG's weights, by network; by default those of torch.hub.
            fast: what `init: fast` begins with.

        Raises:
            WeightsUnavailableError: a loss network's weights are not to be had.
            ValueError: `init: fast` and no fast network.
        """
        if recipe.init == "fast" and fast is None:
            raise ValueError("init: fast needs a fast network")
        keep_freed_blocks()
        self.recipe = recipe
        self.device = device
        self.precision = precision or fast_gradient_precision(device)
        self._paintings = [
            (to_unit_range(pixels[None].to(device)), part) for pixels, part in paintings
        ]
        self._fast = fast
        self._networks = {
            name: self._load(name, (weights or {}).get(name)) for name in recipe.networks
        }

    def stylize(self, photos: Sequence[Tensor], report: Report | None = None) -> list[Tensor]:
        """Return photos in the style of the paintings.

        Args:
            photos: RGB, uint8 or uint16, all of one shape (3, H, W), of any size from 1x1 up.
            report: receives what each evaluation of the losses found.

        Returns:
            RGB, of the same types and shape, on the CPU.

        Raises:
            NonFiniteError: the loss of a photo is NaN or infinite, in float32 too.
        """
        subjects = [self._subject(to_unit_range(pixels[None].to(self.device))) for pixels in photos]
        try:
            images = self._optimized(subjects, self.precision, report)
        except NonFiniteError:
            if len(photos) > 1:
                # The others are not to be done otherwise because of one.
                return [self.stylize([pixels], report)[0] for pixels in photos]
            if self.precision == torch.float32:
                raise
            images = self._optimized(subjects, torch.float32, report)
        finally:
            return_free_memory()
        return [self._finished(image, pixels) for image, pixels in zip(images, photos, strict=True)]

    def memory_for(self, photos: Sequence[Tensor]) -> int:
        """Return about how many bytes of memory `stylize` needs for photos, rather too many."""
        recipe = self.recipe
        height, width = photos[0].shape[1:]
        reduction = 1.0 if recipe.size is None else min(1.0, recipe.size / min(height, width))
        vectors = 3 if recipe.optimizer == "adam" else 2 * (_pairs(recipe) + 1)
        activations = max(_ACTIVATIONS[name] for name in recipe.networks)
        a_pixel = self.precision.itemsize * (3 * vectors + activations)
        return round(len(photos) * height * width * reduction**2 * a_pixel)

    def judge(self, image: Tensor, photo: Tensor) -> LossTerms:
        """Return the terms of the loss of an image, as the last of the loss networks sees it.

        Args:
            image: of a photo, RGB, uint8 or uint16 of shape (3, H, W).
            photo: likewise.
        """
        subject = self._subject(to_unit_range(photo[None].to(self.device)))
        [objective] = self._objectives(
            self.recipe.networks[-1], self.recipe, self.precision, [subject.photo], [subject]
        )
        terms, _ = objective.evaluate(
            self._at_working_size(to_unit_range(image[None].to(self.device)))
        )
        return terms

    def _load(self, name: LossNetworkName, weights: VggFile | None) -> MirroredBorders:
        """Return a loss network in float32, the mean square of whose layers is about 1."""
        recipe = self.recipe
        layers = {**recipe.content_layers, **recipe.style_layers}
        network = (
            load_embedded_network(layers)
            if name == "embedded"
            else load_vgg(name, layers, weights, recipe.weights_convention, recipe.pooling)
        )
        network.to(self.device).to(memory_format=torch.channels_last)
        if isinstance(network, Vgg):
            with convolutions_in(self.precision, self.device):
                normalize_activations(network, reference_photographs().to(self.device))
        return MirroredBorders(network)

    def _subject(self, original: Tensor) -> _Subject:
        photo = start = self._at_working_size(original)
        paintings = self._paintings
        if self.recipe.init == "fast":
            assert self._fast is not None, "the constructor sees to it"
            stylized = self._fast(from_unit_range(original[0], torch.uint8))
            start = self._at_working_size(to_unit_range(stylized[None].to(self.device)))
        if self.recipe.colors == "histogram":
            paintings = [(match_colors(painting, photo), part) for painting, part in paintings]
        elif self.recipe.colors == "luminance":
            paintings = [(match_luminance(painting, photo), part) for painting, part in paintings]
            photo, start = to_gray(photo), to_gray(start)
        if self.recipe.init == "noise":
            start = _noise(photo)
        return _Subject(photo, paintings, start)

    def _optimized(
        self, subjects: Sequence[_Subject], precision: torch.dtype, report: Report | None
    ) -> list[Tensor]:
        """Return the images that a batch of photos of one size becomes, coarse to fine."""
        first, *finish = self.recipe.networks
        full_size = subjects[0].photo.shape[2:]
        images = [subject.start for subject in subjects]
        minimizers: list[Adam | Lbfgs] = []
        sizes = self._sizes(*full_size)
        for level, size in zip(reversed(range(len(sizes))), sizes, strict=True):
            # What the coarser level remembers is not to lie in memory among what this one does.
            minimizers.clear()
            photos = [_resized(subject.photo, size) for subject in subjects]
            images = [
                self._refined(image, subject.photo, photo)
                for image, subject, photo in zip(images, subjects, photos, strict=True)
            ]
            minimizers = [self._minimizer(image, precision) for image in images]
            objectives = self._objectives(
                first, self.recipe.before_finish(), precision, photos, subjects
            )
            # A coarse level decides where strokes go; how they end, the next ones do again.
            iterations = max(1, self.recipe.iterations >> level)
            descend(objectives, minimizers, iterations, self.recipe.tolerance, report)
            images = [minimizer.image for minimizer in minimizers]
            # What follows needs blocks of other sizes.
            del objectives
            return_free_memory()
        for name in finish:
            objectives = self._objectives(name, self.recipe, precision, photos, subjects)
            for minimizer in minimizers:
                minimizer.restart()
            descend(objectives, minimizers, self.recipe.finish_iterations, 0.0, report)
        return [minimizer.image for minimizer in minimizers]

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the height and width of each level, the coarsest first and the full size last."""
        finer = [
            (round(height / 2**level), round(width / 2**level))
            for level in reversed(range(1, self.recipe.levels))
        ]
        return [*(size for size in finer if min(size) >= _MIN_COARSE_SIDE), (height, width)]

    def _refined(self, image: Tensor, photo: Tensor, photo_here: Tensor) -> Tensor:
        """Return an image at the size of a level, to go on from there.

        Args:
            image: of full size at first, then as the level before has left it.
            photo: of full size.
            photo_here: of this level's size.
        """
        size = photo_here.shape[2:]
        refined = _resized(image, size)
        if image.shape[2] < size[0] and self.recipe.init != "noise":
            # The coarser level could not show this of the photo.
            refined = refined + photo_here - _resized(_resized(photo, image.shape[2:]), size)
        return refined.clamp(0, 1) if self.recipe.bounded else refined

    def _minimizer(self, image: Tensor, precision: torch.dtype) -> Adam | Lbfgs:
        """Return what minimises.

        Args:
            image: where it begins.
            precision: of the convolutions that gradients come from.
        """
        recipe = self.recipe
        if recipe.optimizer == "adam":
            return Adam(image, recipe.learning_rate, recipe.bounded)
        exponent = recipe.preconditioning
        preconditioner = Preconditioner(image, exponent) if exponent else None
        # Room for all pairs is made at once.
        return Lbfgs(image, _pairs(recipe), recipe.bounded, preconditioner, precision)

    def _objectives(
        self,
        name: LossNetworkName,
        recipe: GatysRecipe,
        precision: torch.dtype,
        photos: Sequence[Tensor],
        subjects: Sequence[_Subject],
    ) -> list[Objective]:
        """Return the losses by a network of images of one size.

        Args:
            name: of the network.
            recipe: of the losses.
            precision: in which it computes.
            photos: of the images' size.
            subjects: to which the images belong.
        """
        network = copy.deepcopy(self._networks[name]).to(precision)
        places = photos[0][0, 0].numel() * recipe.style_scale**2
        return [
            Objective(
                network,
                recipe,
                photo,
                [(_with_places(painting, places), part) for painting, part in subject.paintings],
            )
            for photo, subject in zip(photos, subjects, strict=True)
        ]

    def _at_working_size(self, image: Tensor) -> Tensor:
        """Return an image at the recipe's size, if it is larger, and at least the smallest."""
        size = self.recipe.size
        if size is not None and min(image.shape[2:]) > size:
            image = resize(image, [size], antialias=True)
        height, width = image.shape[2:]
        padding = (0, max(0, _MIN_SIDE - width), 0, max(0, _MIN_SIDE - height))
        return F.pad(image, padding, mode="replicate")

    def _finished(self, image: Tensor, pixels: Tensor) -> Tensor:
        """Return a result at its photo's own size and in the colours that it is to have.

        Args:
            image: as it was optimised.
            pixels: of the photo.
        """
        height, width = pixels.shape[1:]
        made = from_unit_range(image[0, :, :height, :width], pixels.dtype).cpu()
        if self.recipe.size is not None and min(height, width) > self.recipe.size:
            reduced = self._at_working_size(to_unit_range(pixels[None].to(self.device)))
            made = enlarge_like(made, from_unit_range(reduced[0], pixels.dtype).cpu(), pixels.cpu())
        if self.recipe.colors == "luminance":
            colored = with_colors_of(to_unit_range(made[None]), to_unit_range(pixels[None].cpu()))
            made = from_unit_range(colored[0], pixels.dtype)
        return made


def _pairs(recipe: GatysRecipe) -> int:
    """Return how many pairs of steps L-BFGS can come to remember."""
    finish = 0 if recipe.finish == "none" else recipe.finish_iterations
    return min(recipe.memory, recipe.iterations + finish)


def _noise(photo: Tensor) -> Tensor:
    """Return faint white noise of a photo's shape, the same for the same photo."""
    pixels = (photo * 255).round().to("cpu", torch.uint8).numpy()
    seed = hashlib.sha256(pixels.tobytes()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "little") >> 1)
    noise = torch.randn(photo.shape, generator=generator).to(photo.device)
    return 0.5 + _NOISE * noise


def _resized(image: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return resize(image, list(size), InterpolationMode.BICUBIC, antialias=True)


def _with_places(painting: Tensor, places: float) -> Tensor:
    """Return a painting of about so many pixels, in its own proportions."""
    height, width = painting.shape[2:]
    factor = math.sqrt(places / (height * width))
    size = [max(_MIN_SIDE, round(factor * side)) for side in (height, width)]
    return resize(painting, size, antialias=True)
