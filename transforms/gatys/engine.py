"""The engine of `method: gatys`: stylizes a photo by optimization of its pixels."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.engine import NO_CONTROL, Control, Engine
from stylebeam.transforms.gatys.descent import OnEvaluation
from stylebeam.transforms.gatys.optimization import (
    MIN_SIDE,
    Optimization,
    Subject,
    history_length,
)
from stylebeam.transforms.gatys.settings import OptimizationSettings
from stylebeam.transforms.hardware.devices import fast_gradient_precision
from stylebeam.transforms.hardware.memory import keep_freed_blocks, return_free_memory
from stylebeam.transforms.hardware.precision import NonFiniteError, convolutions_in
from stylebeam.transforms.images.color import match_colors, match_luminance, to_gray, with_colors_of
from stylebeam.transforms.images.pixels import from_unit_range, to_unit_range
from stylebeam.transforms.images.resizing import enlarge_like
from stylebeam.transforms.losses.borders import MirroredBorders
from stylebeam.transforms.losses.distilled_vgg import load_distilled_vgg
from stylebeam.transforms.losses.loss_network import LossNetworkName
from stylebeam.transforms.losses.perceptual import LossTerms
from stylebeam.transforms.losses.vgg import Vgg, load_vgg
from stylebeam.transforms.losses.vgg_normalization import (
    normalize_activations,
    reference_photos,
)
from stylebeam.transforms.losses.vgg_weights import WeightsFile

# Standard deviation, relative to the range of a color. It must be small: no layer of VGG sees much
# of colors that change from pixel to pixel, so the noise at the start stays.
_NOISE = 0.01

# Values per pixel that an evaluation of the loss allocates, at its peak.
_ACTIVATIONS: Mapping[LossNetworkName, int] = {"embedded": 600, "vgg16": 1200, "vgg19": 1200}

Stylize = Callable[[Tensor], Tensor]
"""Takes and returns RGB, uint8 or uint16 of shape (3, H, W)."""


class OptimizationEngine(Engine):
    """Stylizes photos by optimization (Gatys et al. 2016).

    Keeps nothing between photos but the paintings and the loss networks. Loading the first engine
    changes how the process frees memory, see `keep_freed_blocks`.
    """

    # Cores that share an image wait for each other: it is faster to optimize one image on each.
    cores_wanted = 1

    def __init__(
        self,
        settings: OptimizationSettings,
        paintings: Sequence[tuple[Tensor, float]],
        device: torch.device,
        precision: torch.dtype | None = None,
        weights: Mapping[str, WeightsFile] | None = None,
        fast: Stylize | None = None,
    ) -> None:
        """Load the loss networks.

        Args:
            settings: the loss, the levels and the minimizer.
            paintings: RGB, uint8 or uint16, shape (3, H, W), and their parts in the style, above 0.
            device: where to compute.
            precision: of the convolutions; by default bfloat16 where that is fast, else float32.
            weights: files of VGG's weights, by network; by default those of torch.hub.
            fast: makes the initial image for `init: fast`.

        Raises:
            WeightsUnavailableError: the weights of a loss network cannot be found.
            ValueError: the settings have `init: fast`, and `fast` is missing.
        """
        if settings.init == "fast" and fast is None:
            raise ValueError("init: fast needs a fast network")
        keep_freed_blocks()
        self.settings = settings
        self.device = device
        self.precision = precision or fast_gradient_precision(device)
        self._paintings = [
            (to_unit_range(pixels[None].to(device)), part) for pixels, part in paintings
        ]
        self._fast = fast
        self._networks = {
            name: self._load(name, (weights or {}).get(name)) for name in settings.networks
        }

    def transform(
        self,
        pixels: Tensor,
        control: Control = NO_CONTROL,
        on_evaluation: OnEvaluation | None = None,
    ) -> Tensor:
        """Return a photo in the style of the paintings.

        Args:
            pixels: RGB, uint8 or uint16 of shape (3, H, W), of any size from 1x1 up.
            control: is told the part of all evaluations of the loss that is done, and may cancel
                the work between two of them.
            on_evaluation: is called with each evaluation of the loss.

        Returns:
            RGB of the same type and shape, on the CPU.

        Raises:
            Canceled: the caller has canceled the work.
            NonFiniteError: the loss is NaN or infinite, in float32 too.
        """
        reached = 0.0

        def progress(done: float) -> None:
            # A second attempt, in float32, must not go back.
            nonlocal reached
            reached = max(reached, done)
            control.step(reached)

        progress(0.0)
        subject = self._subject(self._unit_range(pixels))
        try:
            image = self._optimization(self.precision).run(subject, progress, on_evaluation)
        except NonFiniteError:
            if self.precision == torch.float32:
                raise
            image = self._optimization(torch.float32).run(subject, progress, on_evaluation)
        finally:
            return_free_memory()
        picture = self._finished(image, pixels)
        progress(1.0)
        return picture

    def memory_needed(self, width: int, height: int) -> int:
        """Return about how many bytes of memory a photo takes at the peak, rather too many.

        Args:
            width: of the photo, in pixels.
            height: of the photo, in pixels.
        """
        settings = self.settings
        reduction = 1.0 if settings.size is None else min(1.0, settings.size / min(height, width))
        images = 3 if settings.optimizer == "adam" else 2 * (history_length(settings) + 1)
        activations = max(_ACTIVATIONS[name] for name in settings.networks)
        bytes_per_pixel = self.precision.itemsize * (3 * images + activations)
        return round(height * width * reduction**2 * bytes_per_pixel)

    def loss_terms(self, picture: Tensor, photo: Tensor) -> LossTerms:
        """Return the terms of the loss of a finished picture, with the last of the loss networks.

        Args:
            picture: RGB, uint8 or uint16 of shape (3, H, W).
            photo: of the same type and shape.
        """
        subject = self._subject(self._unit_range(photo))
        objective = self._optimization(self.precision).objective(
            self.settings.networks[-1], self.settings.loss, subject.photo, subject.paintings
        )
        terms, _ = objective.evaluate(self._at_working_size(self._unit_range(picture)))
        return terms

    def _optimization(self, precision: torch.dtype) -> Optimization:
        return Optimization(self.settings, self._networks, precision)

    def _load(self, name: LossNetworkName, weights: WeightsFile | None) -> MirroredBorders:
        """Return a loss network in float32; the mean square of each of its layers is about 1."""
        settings = self.settings
        layers = settings.loss.layers
        network = (
            load_distilled_vgg(layers)
            if name == "embedded"
            else load_vgg(name, layers, weights, settings.weights_convention, settings.pooling)
        )
        network.to(self.device).to(memory_format=torch.channels_last)
        if isinstance(network, Vgg):
            with convolutions_in(self.precision, self.device):
                normalize_activations(network, reference_photos().to(self.device))
        return MirroredBorders(network)

    def _subject(self, photo: Tensor) -> Subject:
        """Return the photo at working size, its paintings and its initial image.

        Args:
            photo: RGB in [0, 1], shape (1, 3, H, W), of its own size.
        """
        working = start = self._at_working_size(photo)
        paintings = self._paintings
        if self.settings.init == "fast":
            assert self._fast is not None, "checked in __init__"
            stylized = self._fast(from_unit_range(photo[0], torch.uint8))
            start = self._at_working_size(self._unit_range(stylized))
        if self.settings.colors == "histogram":
            paintings = [(match_colors(painting, working), part) for painting, part in paintings]
        elif self.settings.colors == "luminance":
            paintings = [(match_luminance(painting, working), part) for painting, part in paintings]
            working, start = to_gray(working), to_gray(start)
        if self.settings.init == "noise":
            start = _noise(working)
        return Subject(working, paintings, start)

    def _unit_range(self, pixels: Tensor) -> Tensor:
        """Return pixels, shape (3, H, W), as RGB in [0, 1], shape (1, 3, H, W), on the device."""
        return to_unit_range(pixels[None].to(self.device))

    def _at_working_size(self, image: Tensor) -> Tensor:
        """Reduce a larger image to the size of the settings, and pad a smaller one to MIN_SIDE."""
        size = self.settings.size
        if size is not None and min(image.shape[2:]) > size:
            image = resize(image, [size], antialias=True)
        height, width = image.shape[2:]
        padding = (0, max(0, MIN_SIDE - width), 0, max(0, MIN_SIDE - height))
        return F.pad(image, padding, mode="replicate")

    def _finished(self, image: Tensor, pixels: Tensor) -> Tensor:
        """Return the picture: at the photo's own size, and with the colors of the settings.

        Args:
            image: the result of the optimization, at working size.
            pixels: the photo.
        """
        height, width = pixels.shape[1:]
        picture = from_unit_range(image[0, :, :height, :width], pixels.dtype).cpu()
        if self.settings.size is not None and min(height, width) > self.settings.size:
            reduced = from_unit_range(
                self._at_working_size(self._unit_range(pixels))[0], pixels.dtype
            )
            picture = enlarge_like(picture, reduced.cpu(), pixels.cpu())
        if self.settings.colors == "luminance":
            colored = with_colors_of(
                to_unit_range(picture[None]), to_unit_range(pixels[None].cpu())
            )
            picture = from_unit_range(colored[0], pixels.dtype)
        return picture


def _noise(photo: Tensor) -> Tensor:
    """Return faint white noise of a photo's shape, the same for the same photo."""
    pixels = (photo * 255).round().to("cpu", torch.uint8).numpy()
    seed = hashlib.sha256(pixels.tobytes()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "little") >> 1)
    noise = torch.randn(photo.shape, generator=generator).to(photo.device)
    return 0.5 + _NOISE * noise
