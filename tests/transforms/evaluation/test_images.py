"""Finding the images of an evaluation by name, and reading them at a size."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.transforms.evaluation.images import ImageFolder, read_content_image
from stylebeam.transforms.training.loop_config import ConfigValueError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("top.png", "deep/low.png", "deep/top.png", "a/twice.png", "b/twice.png"):
        file = tmp_path / "paintings" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(file)
    return tmp_path / "paintings"


def test_images_are_found_by_name_at_any_depth(folder: Path) -> None:
    images = ImageFolder("style_images", folder)
    assert images.named("top.png") == folder / "top.png"
    assert images.named("deep/top.png") == folder / "deep" / "top.png"
    assert images.named("low.png") == images.with_stem("low") == folder / "deep" / "low.png"
    assert images.named("elsewhere/low.png") == folder / "deep" / "low.png"


def test_missing_and_ambiguous_names_are_errors(folder: Path) -> None:
    images = ImageFolder("style_images", folder)
    with pytest.raises(ConfigValueError, match=r"style_images: there is no image none.png in "):
        images.named("none.png")
    with pytest.raises(ConfigValueError, match=r"style_images: there is no image none in "):
        images.with_stem("none")
    with pytest.raises(ConfigValueError, match=r"a/twice.png and .*b/twice.png have the same name"):
        images.named("twice.png")


def test_a_photo_is_read_at_the_size_of_a_picture(tmp_path: Path, gradient: Callable) -> None:
    path = tmp_path / "photo.png"
    gradient(130, 97).save(path)
    photo = read_content_image(path, 64)
    assert photo.pixels.shape == (3, 64, 85)
    torch.testing.assert_close(photo.at(64, 85)[0] * 255, photo.pixels.float())
    # From the original, which is not resized twice.
    torch.testing.assert_close(photo.at(97, 130)[0] * 255, photo.original.float())


def test_a_photo_too_small_to_be_measured_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (100, 31)).save(path)
    with pytest.raises(ConfigValueError, match=r"photo\.png has a side shorter than 32 pixels"):
        read_content_image(path, None)
