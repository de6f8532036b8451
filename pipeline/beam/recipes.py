"""Recipes from plain arguments, for pipelines without a config."""

from collections.abc import Callable, Mapping
from typing import Any

from stylebeam.pipeline.archive.records import GpsOption, Recipe
from stylebeam.pipeline.methods import DEFAULT_METHOD
from stylebeam.pipeline.methods.contract import NEEDS_PHOTOS, MethodError
from stylebeam.pipeline.methods.once import Once
from stylebeam.pipeline.methods.validation import validate_options
from stylebeam.pipeline.suggestions import nearest_or_all
from stylebeam.transforms.images.formats import (
    EXTENSION_OF_FORMAT,
    FORMAT_OF_EXTENSION,
    FORMATS,
    ImageError,
)

# Pillow's image of four bytes, and copies in RGB and in another order: measured as 14.
_DECODING_BYTES_PER_PIXEL = 14


def size_check(recipe: Recipe, memory: int | None = None) -> Callable[[int, int], None]:
    """Return the check of a photo's size, for `decode`, from the size in the file's header.

    Args:
        recipe: says whether the picture can be written.
        memory: bytes that photos may take; None for no limit. A file of a few hundred kilobytes
            can have hundreds of megapixels, so decoding it is refused, not only the computation.
    """
    spec, scale = FORMATS[recipe.format], recipe.options.scale

    def check(width: int, height: int) -> None:
        spec.check_size(scale * width, scale * height)
        needed = width * height * _DECODING_BYTES_PER_PIXEL
        if memory is not None and needed > memory:
            raise ImageError(
                f"The image has {width}x{height} pixels: decoding it takes {needed / 1e9:.3g} GB,"
                f" more than run.memory ({memory / 1e9:.3g} GB)."
            )

    return check


def recipes_for(
    method: str,
    image_format: str,
    quality: int,
    options: Mapping[str, Any],
    gps: GpsOption = "keep",
) -> dict[str, Recipe]:
    """Return the recipe for each file format that the outputs may have.

    Args:
        method: its name; "" for the default one.
        image_format: a file format, or "same" for that of each image.
        quality: of lossy formats, from 1 to 100.
        options: of the method, as in its section of a config.
        gps: whether outputs say where the photo was taken.

    Raises:
        MethodError: there is no such method, format or option, a value is wrong, or a file that the
            options name cannot be found or used.
    """
    method = method or DEFAULT_METHOD
    formats = sorted(set(FORMAT_OF_EXTENSION.values()))
    if image_format != "same":
        if image_format not in EXTENSION_OF_FORMAT:
            known = nearest_or_all(image_format, ["same", *EXTENSION_OF_FORMAT])
            raise MethodError(f"there is no format {image_format!r} to write{known}")
        formats = [image_format]
    if not 1 <= quality <= 100:
        raise MethodError(f"quality must be from 1 to 100, not {quality}")
    chosen = validate_options(method, options)
    if chosen.also_uses:
        names = " and ".join(chosen.also_uses)
        raise MethodError(f"these options of {method} need those of {names}, in a config")
    if chosen.photos_wanted:
        raise MethodError(NEEDS_PHOTOS)
    resolved = chosen.resolve({}, Once())
    return {each: Recipe(method, resolved, each, quality, gps) for each in formats}
