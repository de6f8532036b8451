"""Opens engines by name, for Python programs: no config, no pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stylebeam.pipeline.methods.contract import MethodOptions, Resources
from stylebeam.pipeline.methods.once import Once
from stylebeam.pipeline.methods.validation import validate_options
from stylebeam.transforms.backends.computation import ONE_IMAGE
from stylebeam.transforms.checkpoints import parse_checkpoint, shipped_checkpoints
from stylebeam.transforms.engine import Engine
from stylebeam.transforms.hardware.devices import DeviceName, choose_device, device_memory


class NetworkInfo(NamedTuple):
    """A style, or a super-resolution network, that is shipped.

    Attributes:
        name: what `open_style` or `open_super_resolution` takes.
        network: the name of its network.
        megabytes: the size of its checkpoint, which several styles may share.
        training: how it was trained, a few words.
    """

    name: str
    network: str
    megabytes: float
    training: str

    @property
    def description(self) -> str:
        """All but the name, on one line."""
        return f"{self.network}, {self.megabytes:.1f} MB; {self.training}"


def list_styles() -> list[NetworkInfo]:
    """Return the shipped styles."""
    return [
        NetworkInfo(name, checkpoint.network, _megabytes(path), _style_training(style.training))
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
    style: str | Mapping[str, float],
    *,
    checkpoint: str | None = None,
    strength: float = 1.0,
    processing_size: int | None = None,
    statistics: str = "exact",
    device: DeviceName = "auto",
    memory: float | None = None,
) -> Engine:
    """Load a style network, which stylizes photos in a fraction of a second each.

        stylizer = stylebeam.open_style({"starry_night": 0.3, "udnie": 0.7}, strength=0.8)
        picture = stylizer(photo)

    Args:
        style: the name of a shipped style or of a style in `checkpoint`, or the path or URI of a
            .safetensors checkpoint with one style; or several names with their parts, for a blend.
        checkpoint: the path or URI of a checkpoint that holds several styles.
        strength: from 0, the photo, to 1, the stylized image.
        processing_size: short side in pixels at which larger photos are stylized; the result has
            the photo's size and its fine detail. None for the photo's own.
        statistics: which features the normalizations use: "exact", those of the whole photo, or
            "thumbnail", which needs the least memory.
        device: "auto", "cpu" or "cuda".
        memory: gigabytes that a photo may take; larger photos are stylized in tiles. By default
            half of the machine's.

    Raises:
        MethodError: there is no such style, its checkpoint cannot be used, or a value is wrong.
        DeviceUnavailableError: the device is not on this machine.
    """
    options = {
        "style": style if isinstance(style, str) else dict(style),
        "checkpoint": checkpoint,
        "strength": strength,
        "processing_size": processing_size,
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
    """Prepare an optimization of photos towards a painting; each photo takes seconds to minutes.

        stylizer = stylebeam.open_optimization("painting.jpg", iterations=50)
        picture = stylizer(photo, progress=print)

    Args:
        painting: the path or URI of an image, or several with their parts in the style.
        recipe: "default", "gatys2016", "sum_of_squares" or "frobenius".
        device: "auto", "cpu" or "cuda".
        memory: gigabytes that a photo may take; by default half of the machine's.
        fast: the arguments of `open_style`, with `init="fast"`, which starts from its result.
        **settings: values that differ from the recipe's, as in the section `gatys` of a config.

    Raises:
        MethodError: the painting cannot be used, or there is no such setting or value.
        WeightsUnavailableError: the loss network's weights cannot be found.
        DeviceUnavailableError: the device is not on this machine.
    """
    style_image = painting if isinstance(painting, str) else dict(painting)
    options = validate_options("gatys", {"style_image": style_image, "recipe": recipe, **settings})
    sections = {} if fast is None else {"fast": validate_options("fast", fast)}
    return open_options(options, sections, device=device, memory=memory)


def open_super_resolution(
    checkpoint: str = "x4_pixel", *, device: DeviceName = "auto", memory: float | None = None
) -> Engine:
    """Load a super-resolution network, which enlarges photos; `scale` says by how much.

    Args:
        checkpoint: the name of a shipped network, or the path or URI of a .safetensors checkpoint.
        device: "auto", "cpu" or "cuda".
        memory: gigabytes that a photo may take; by default half of the machine's.

    Raises:
        MethodError: there is no such network, or its checkpoint cannot be used.
        DeviceUnavailableError: the device is not on this machine.
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
    """Return the engine of a method's options.

    Args:
        options: of the method.
        sections: the options of other methods that it uses too, by method.
        device: "auto", "cpu" or "cuda".
        memory: gigabytes that a photo may take; by default half of the machine's.

    Raises:
        MethodError, WeightsUnavailableError, DeviceUnavailableError: as `open_optimization`.
    """
    chosen = choose_device(device)
    available = device_memory(chosen) // 2 if memory is None else int(memory * 1e9)
    resolved = options.resolve(sections or {}, Once())
    return resolved.engine(resolved.load(Resources(chosen, ONE_IMAGE, available)))


def _shipped() -> list[tuple[Path, Any]]:
    return [(path, parse_checkpoint(path.read_bytes())) for path in shipped_checkpoints()]


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _style_training(recipe: Mapping[str, Any]) -> str:
    return (
        f"{_iterations(recipe)} on {recipe['style_image']} at {recipe['style_size']} px,"
        f" {recipe['loss_network']}"
    )


def _iterations(recipe: Mapping[str, Any]) -> str:
    crops = "1 crop" if recipe["batch_size"] == 1 else f"{recipe['batch_size']} crops"
    start = f" after those of {Path(recipe['start']).stem}" if recipe.get("start") else ""
    return f"{recipe['iterations']} iterations of {crops} of {recipe['crop_size']} px{start}"
