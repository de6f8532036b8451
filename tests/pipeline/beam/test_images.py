"""`StylizeImages` in a user's own pipeline."""

import io

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from stylebeam.pipeline import StylizeImages
from stylebeam.pipeline.methods.contract import MethodError


def image_file(image_format: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (10, 120, 200)).save(buffer, image_format)
    return buffer.getvalue()


def describe(key: object, data: bytes) -> tuple[object, str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(data)) as image:
        return key, image.format, image.size


IMAGES = [
    (1, image_file("JPEG", (40, 30))),
    (("a", "tuple"), image_file("PNG", (31, 33))),
    ("empty", b""),
    ("text", b"no image"),
    ("large", image_file("PNG", (200, 200))),
]


def test_each_image_is_returned_once_in_its_format(two_styles_path: object) -> None:
    step = StylizeImages(checkpoint=str(two_styles_path), style="one", max_pixels=10_000)
    with TestPipeline() as pipeline:
        result = pipeline | beam.Create(IMAGES) | step
        assert_that(
            result.stylized | beam.MapTuple(describe),
            equal_to([(1, "JPEG", (40, 30)), (("a", "tuple"), "PNG", (31, 33))]),
            "stylized",
        )
        assert_that(
            result.failed,
            equal_to(
                [
                    ("empty", "The file is empty (0 bytes)."),
                    ("text", "The file is not an image of a known kind."),
                    ("large", "The image has 200x200 pixels, more than max_pixels (10000)."),
                ]
            ),
            "failed",
        )


def test_a_chosen_format_is_written(checkpoint_path: object) -> None:
    step = StylizeImages(style={str(checkpoint_path): 1.0}, strength=0.5, format="webp")
    with TestPipeline() as pipeline:
        result = pipeline | beam.Create(IMAGES[:1]) | step
        assert_that(result.stylized | beam.MapTuple(describe), equal_to([(1, "WEBP", (40, 30))]))


def test_images_are_enlarged() -> None:
    with TestPipeline() as pipeline:
        result = pipeline | beam.Create(IMAGES[:1]) | StylizeImages("super_resolution")
        assert_that(result.stylized | beam.MapTuple(describe), equal_to([(1, "JPEG", (160, 120))]))


def test_the_steps_have_descriptive_names(checkpoint_path: object) -> None:
    pipeline = TestPipeline()
    _ = pipeline | beam.Create(IMAGES) | StylizeImages(style=str(checkpoint_path))
    labels: list[str] = []

    class Labels(beam.pipeline.PipelineVisitor):
        def enter_composite_transform(self, node: object) -> None:
            labels.append(node.full_label)

        def visit_transform(self, node: object) -> None:
            labels.append(node.full_label)

    pipeline.visit(Labels())
    for step in ("ReadImages", "Stylize", "EncodeImages", "Failures"):
        assert f"StylizeImages/{step}" in {"/".join(label.split("/")[:2]) for label in labels}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"style": "starry_nite"}, "no shipped style 'starry_nite'; did you mean starry_night"),
        ({"stile": "udnie"}, "there is no option stile; did you mean style"),
        ({}, "the option style is missing"),
        ({"style": "udnie", "strength": 2.0}, "strength: .* less than or equal to 1"),
        ({"style": "udnie", "format": "jpg"}, "no format 'jpg' to write; did you mean jpeg"),
        ({"style": "udnie", "quality": 0}, "quality must be from 1 to 100, not 0"),
        ({"method": "fats"}, "there is no method 'fats'; did you mean fast"),
    ],
)
def test_mistakes_are_errors_when_the_pipeline_is_built(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        StylizeImages(**arguments)
