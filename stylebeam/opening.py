"""Opens engines for Python programs, without a config and without a pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stylebeam.pipeline.methods.contract import (
    NEEDS_PHOTOS,
    MethodError,
    MethodOptions,
    Resources,
)
from stylebeam.pipeline.methods.once import Once
from stylebeam.pipeline.methods.validation import validate_options
from stylebeam.transforms.backends.computation import ONE_IMAGE
from stylebeam.transforms.checkpoints import Checkpoint, parse_checkpoint, shipped_checkpoints
from stylebeam.transforms.engine import Engine
from stylebeam.transforms.hardware.devices import DeviceName, choose_device, device_memory


class NetworkInfo(NamedTuple):
    """A shipped style or super-resolution network.

    Attributes:
        name: its name, an argument of `open_style` or `open_super_resolution`.
        network: name of the network.
        megabytes: size of the checkpoint, which several styles can share.
        training: a few words about the training.
        painting: of a style, the artist, title and year, if they are known.
    """

    name: str
    network: str
    megabytes: float
    training: str
    painting: str = ""

    @property
    def description(self) -> str:
        """A line with the painting, the network, the size and the training."""
        painting = f"{self.painting}; " if self.painting else ""
        return f"{painting}{self.network}, {self.megabytes:.1f} MB; {self.training}"


def list_styles() -> list[NetworkInfo]:
    """Return the shipped styles."""
    return [
        NetworkInfo(
            name,
            checkpoint.network,
            _megabytes(path),
            _style_training(style.training),
            ", ".join(style.training.get(fact, "") for fact in ("artist", "title", "year")).strip(
                ", "
            ),
        )
        for path, checkpoint in _shipped()
        for name, style in checkpoint.styles.items()
    ]


def list_super_resolution() -> list[NetworkInfo]:
    """Return the shipped super-resolution networks."""
    found = []
    for path, checkpoint in _shipped():
        if not checkpoint.styles:
            by_features = any(checkpoint.training["feature_weights"].values())
            loss = "feature loss" if by_features else "pixel loss"
            training = f"{_iterations(checkpoint.training)}, {loss}"
            found.append(NetworkInfo(path.stem, checkpoint.network, _megabytes(path), training))
    return found


def open_style(
    style: str | Mapping[str, float] | None = None,
    *,
    style_image: str | Mapping[str, float] | None = None,
    checkpoint: str | None = None,
    strength: float = 1.0,
    processing_size: int | None = None,
    colors: str = "painting",
    statistics: str = "exact",
    device: DeviceName = "auto",
    memory: float | None = None,
) -> Engine:
    """Load a style network, which stylizes a photo in a fraction of a second.

        stylizer = stylebeam.open_style({"starry_night": 0.3, "udnie": 0.7}, strength=0.8)
        picture = stylizer(photo)

    Args:
        style: the name of a shipped style or of a style in `checkpoint`, or the path or URI of a
            .safetensors checkpoint with one style. A mapping of names to parts blends styles.
        style_image: the path or URI of a painting, whose style is predicted from it. A mapping of
            paths to parts blends paintings, also with the styles of `style`.
        checkpoint: the path or URI of a checkpoint that contains the styles; None for the shipped
            ones.
        strength: from 0, the photo, to 1, the stylized photo.
        processing_size: short side in pixels to which larger photos are reduced before they are
            stylized; the result has the photo's size and its fine detail. None to keep the size.
        colors: where colors come from: "painting"; or the photo, by changing nothing but its
            "luminance", or by giving the picture the mean and covariance of its colors,
            "histogram".
        statistics: what the network's normalization layers measure: "exact", the whole photo, or
            "thumbnail", a reduced photo, which needs the least memory.
        device: "auto" (the GPU if there is one), "cpu" or "cuda".
        memory: limit in gigabytes for one photo; larger photos are stylized in tiles. None for
            half of the machine's memory.

    Raises:
        MethodError: the style does not exist, its checkpoint or painting cannot be used, or a value
            is wrong.
        DeviceUnavailableError: the device is not available on this machine.
    """
    options = {
        "style": dict(style) if isinstance(style, Mapping) else style,
        "style_image": dict(style_image) if isinstance(style_image, Mapping) else style_image,
        "checkpoint": checkpoint,
        "strength": strength,
        "processing_size": processing_size,
        "colors": colors,
        "statistics": statistics,
    }
    return open_options(validate_options("fast", options), device=device, memory=memory)


def open_optimization(
    painting: str | Mapping[str, float],
    *,
    recipe: str = "default",
    device: DeviceName = "auto",
    memory: float | None = None,
    fast: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Engine:
    """Prepare an optimization towards a painting, which takes seconds to minutes for each photo.

        stylizer = stylebeam.open_optimization("painting.jpg", iterations=50)
        picture = stylizer(photo, progress=print)

    Args:
        painting: the path or URI of an image. A mapping of paths to parts blends paintings.
        recipe: name of a preset of settings: "default", "gatys2016", "sum_of_squares" or
            "frobenius".
        device: "auto" (the GPU if there is one), "cpu" or "cuda".
        memory: limit in gigabytes for one photo. None for half of the machine's memory.
        fast: options of `open_style` for the photo from which an optimization with `init="fast"`
            starts, such as `{"style": "udnie"}`.
        **settings: settings that differ from the preset, as in the section `gatys` of a config.

    Raises:
        MethodError: the painting cannot be used, or a setting does not exist or is wrong.
        WeightsUnavailableError: the loss network's weights cannot be found.
        DeviceUnavailableError: the device is not available on this machine.
    """
    style_image = painting if isinstance(painting, str) else dict(painting)
    options = validate_options("gatys", {"style_image": style_image, "recipe": recipe, **settings})
    sections = {} if fast is None else {"fast": validate_options("fast", fast)}
    return open_options(options, sections, device=device, memory=memory)


def open_super_resolution(
    checkpoint: str = "x4_pixel", *, device: DeviceName = "auto", memory: float | None = None
) -> Engine:
    """Load a super-resolution network, which enlarges photos by the engine's `scale`.

        enlarger = stylebeam.open_super_resolution()
        picture = enlarger(photo)  # 4 times as wide and as high

    Args:
        checkpoint: the name of a shipped network, or the path or URI of a .safetensors checkpoint.
        device: "auto" (the GPU if there is one), "cpu" or "cuda".
        memory: limit in gigabytes for one photo. None for half of the machine's memory.

    Raises:
        MethodError: the network does not exist, or its checkpoint cannot be used.
        DeviceUnavailableError: the device is not available on this machine.
    """
    options = validate_options("super_resolution", {"checkpoint": checkpoint})
    return open_options(options, device=device, memory=memory)


def open_options(
    options: MethodOptions,
    sections: Mapping[str, MethodOptions] | None = None,
    *,
    device: DeviceName = "auto",
    memory: float | None = None,
) -> Engine:
    """Return the engine for a method's options.

    Args:
        options: the method's options.
        sections: the options of the other methods that the method uses, by name.
        device: "auto" (the GPU if there is one), "cpu" or "cuda".
        memory: limit in gigabytes for one photo. None for half of the machine's memory.

    Raises:
        MethodError: a file that the options name cannot be used.
        WeightsUnavailableError: the loss network's weights cannot be found.
        DeviceUnavailableError: the device is not available on this machine.
    """
    chosen = choose_device(device)
    available = device_memory(chosen) // 2 if memory is None else int(memory * 1e9)
    if options.photos_wanted:
        raise MethodError(NEEDS_PHOTOS)
    resolved = options.resolve(sections or {}, Once())
    return resolved.engine(resolved.load(Resources(chosen, ONE_IMAGE, available)))


def _shipped() -> list[tuple[Path, Checkpoint]]:
    return [(path, parse_checkpoint(path.read_bytes())) for path in shipped_checkpoints()]


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _style_training(config: Mapping[str, Any]) -> str:
    return (
        f"{_iterations(config)} on {config['style_image']} at {config['style_size']} px,"
        f" {config['loss_network']}"
    )


def _iterations(config: Mapping[str, Any]) -> str:
    crops = "1 crop" if config["batch_size"] == 1 else f"{config['batch_size']} crops"
    start = f", starting from {Path(config['start']).stem}," if config.get("start") else ""
    return f"{config['iterations']} iterations of {crops} of {config['crop_size']} px{start}"
