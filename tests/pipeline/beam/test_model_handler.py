"""Tests of the model handler, with a fake method."""

from stylebeam.pipeline.beam.loaded_photo import FailedPhoto, LoadedPhoto
from stylebeam.pipeline.beam.model_handler import StylizeModelHandler
from stylebeam.transforms.images.photo import Photo
from tests.helpers.fake_method import fake_recipe, gray

RECIPES = {recipe.digest: recipe for recipe in (fake_recipe(), fake_recipe(name="other"))}
FIRST, SECOND = RECIPES


def test_a_failing_photo_does_not_affect_the_others() -> None:
    handler = StylizeModelHandler(RECIPES, "cpu")
    batch = [
        LoadedPhoto("a", FIRST, Photo(gray(32)), 0.5),
        LoadedPhoto("b", SECOND, Photo(gray(64, value=0)), 0.5),
        LoadedPhoto("c", SECOND, Photo(gray(16)), 0.5),
    ]
    first, failed, last = handler.run_inference(batch, handler.load_model())
    assert isinstance(failed, FailedPhoto)
    assert (failed.key, failed.size) == ("b", (65, 64))
    assert failed.reason == "The image could not be stylized: too dark"
    for made, key, size in ((first, "a", (33, 32)), (last, "c", (17, 16))):
        assert isinstance(made, LoadedPhoto)
        assert (made.key, made.photo.size) == (key, size)
        assert made.photo.pixels.unique().tolist() == [165]
        assert made.seconds > 0.5


def test_the_size_of_a_batch_is_the_size_of_its_pixels() -> None:
    batch = [LoadedPhoto("a", FIRST, Photo(gray(32))), LoadedPhoto("b", FIRST, Photo(gray(16)))]
    assert StylizeModelHandler(RECIPES, "cpu").get_num_bytes(batch) == 3 * (32 * 33 + 16 * 17)
