"""`StylizeImages`: a PTransform for your own pipeline, from image files as bytes to pictures."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import TaggedOutput

from stylebeam.pipeline.archive.records import Recipe
from stylebeam.pipeline.beam.loaded_photo import FailedPhoto, LoadedPhoto
from stylebeam.pipeline.beam.model_handler import StylizeModelHandler
from stylebeam.pipeline.beam.recipes import recipes_for, size_check
from stylebeam.transforms.hardware.devices import DeviceName
from stylebeam.transforms.images.decoding import decode
from stylebeam.transforms.images.encoding import encode
from stylebeam.transforms.images.formats import (
    DEFAULT_MAX_PIXELS,
    DEFAULT_QUALITY,
    ImageError,
    format_of_file,
)

Key = TypeVar("Key")

_FAILED = "failed"


class StylizedImages(NamedTuple):
    """The result of `StylizeImages`.

    Attributes:
        stylized: a PCollection of (key, bytes): the file of each picture.
        failed: a PCollection of (key, reason): the images that failed, each with a sentence.
    """

    stylized: beam.PCollection[tuple[Any, bytes]]
    failed: beam.PCollection[tuple[Any, str]]


class StylizeImages(beam.PTransform):
    """Stylizes image files that are elements of a pipeline.

    It takes a PCollection of `(key, bytes)`, where the bytes are an image file and the key is
    anything; every element comes out once, as `stylized` or as `failed`:

        result = (
            pipeline
            | beam.Create([("a", photo_bytes), ("b", b"no image")])
            | StylizeImages(style="starry_night", format="jpeg")
        )
        result.stylized | "Write" >> beam.Map(write)  # ("a", the bytes of a JPEG file)
        result.failed | "Log" >> beam.Map(print)      # ("b", "The file is not an image of ...")

    Each worker process loads a network once. Images are large: put a `beam.Reshuffle()` of their
    small names before the step that reads them, not between that step and this one.
    """

    def __init__(
        self,
        method: str = "",
        *,
        format: str = "same",  # noqa: A002  # as in a config
        quality: int = DEFAULT_QUALITY,
        device: DeviceName = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        memory: float | None = None,
        **options: Any,
    ) -> None:
        """Choose the method and its options; files that the options name are read here.

        Args:
            method: a method's name, as in a config; by default the fast network.
            format: the file format of the pictures; "same" for each image's own.
            quality: of lossy formats, from 1 to 100.
            device: where to compute: "auto", "cpu" or "cuda".
            max_pixels: images with more pixels, or enlarged to more, fail.
            memory: gigabytes that photos may take in each worker process; by default half of the
                machine's.
            **options: the method's options, as in its section of a config: `style=` and `strength=`
                for the fast network, `style_image=` for an optimization.

        Raises:
            MethodError: there is no such method or option, a value is wrong, or a style, a
                painting or a checkpoint cannot be found or used.
        """
        super().__init__()
        self._recipes = recipes_for(method, format, quality, options)
        self._device: DeviceName = device
        self._max_pixels = max_pixels
        self._memory = None if memory is None else int(memory * 1e9)

    def expand(self, images: beam.PCollection[tuple[Key, bytes]]) -> StylizedImages:
        """Return the pictures, and the images that failed."""
        by_digest = {recipe.digest: recipe for recipe in self._recipes.values()}
        handler = StylizeModelHandler(
            by_digest, self._device, self._max_pixels, memory=self._memory
        )
        read = images | "ReadImages" >> beam.FlatMap(
            _decode, self._recipes, self._max_pixels, self._memory
        ).with_outputs(_FAILED, main="photos")
        made = (
            read.photos
            | "Stylize" >> RunInference(handler)
            | "EncodeImages"
            >> beam.FlatMap(_encode, by_digest).with_outputs(_FAILED, main="stylized")
        )
        failed = (read[_FAILED], made[_FAILED]) | "Failures" >> beam.Flatten()
        return StylizedImages(made.stylized, failed)


def _decode(
    element: tuple[Key, bytes], recipes: dict[str, Recipe], max_pixels: int, memory: int | None
) -> Iterator[Any]:
    key, data = element
    try:
        recipe = _recipe_for(data, recipes)
        yield LoadedPhoto(key, recipe.digest, decode(data, max_pixels, size_check(recipe, memory)))
    except ImageError as error:
        yield TaggedOutput(_FAILED, (key, str(error)))


def _recipe_for(data: bytes, recipes: dict[str, Recipe]) -> Recipe:
    """Return the recipe with the file format of an image.

    Raises:
        ImageError: it is not an image of a known kind.
    """
    if len(recipes) == 1:
        [recipe] = recipes.values()
        return recipe
    return recipes[format_of_file(data).name]


def _encode(made: LoadedPhoto | FailedPhoto, recipes: dict[str, Recipe]) -> Iterator[Any]:
    if isinstance(made, FailedPhoto):
        yield TaggedOutput(_FAILED, (made.key, made.reason))
        return
    recipe = recipes[made.recipe]
    try:
        data = encode(made.photo, recipe.format, recipe.quality, keep_gps=recipe.gps == "keep")
        yield made.key, data
    except ImageError as error:
        yield TaggedOutput(_FAILED, (made.key, str(error)))
