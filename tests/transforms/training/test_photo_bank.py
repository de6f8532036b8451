"""Tests of crops of photos in memory."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from stylebeam.transforms.images.formats import ImageError
from stylebeam.transforms.training.data import TrainingImages, list_images
from stylebeam.transforms.training.photo_bank import PhotoBank

CPU = torch.device("cpu")


def bank(photos: Path, seed: int = 1) -> PhotoBank:
    return PhotoBank(TrainingImages(list_images(photos)), 32, seed, CPU)


def test_crops_depend_only_on_the_seed_and_their_number(photos: Path) -> None:
    crops, again, other = bank(photos), bank(photos), bank(photos, seed=2)
    assert torch.equal(crops[57], again[57])
    assert not torch.equal(crops[57], crops[58])
    assert not torch.equal(crops[57], other[57])
    assert crops[3].shape == (2, 3, 32, 32)
    assert crops[3].dtype == torch.float32
    assert 0 <= crops[3].min() < crops[3].max() <= 1


def test_photos_are_read_once(photos: Path) -> None:
    crops = bank(photos)
    before = crops[5]
    for path in list_images(photos):
        path.unlink()
    assert torch.equal(crops[5], before)


def test_one_crop_in_five_is_degraded(photos: Path) -> None:
    """Noise is in what the network sees, not in what its picture is compared with."""
    crops = bank(photos)
    pairs = [crops[number] for number in range(400)]
    noisy = [pair for pair in pairs if not torch.equal(*pair)]
    assert len(noisy) / len(pairs) == pytest.approx(0.2, abs=0.05)
    for seen, compared in noisy:
        assert (seen - compared).std() < 0.07
    contrast = [
        torch.stack([pair[1].std() for pair in some]).mean()
        for some in (noisy, [pair for pair in pairs if torch.equal(*pair)])
    ]
    assert contrast[0] < 0.8 * contrast[1]


def test_a_large_photo_is_kept_smaller(
    photos: Path, gradient: Callable[[int, int], Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stylebeam.transforms.training.photo_bank._LARGEST_PHOTO", 100)
    gradient(400, 300).save(photos / "large.png")
    crops = PhotoBank(TrainingImages([photos / "large.png"]), 32, 1, CPU)
    assert [photo.shape for photo in crops._photos] == [(3, 100, 133)]
    larger = PhotoBank(TrainingImages([photos / "large.png"]), 90, 1, CPU)
    assert [photo.shape for photo in larger._photos] == [(3, 180, 240)]
    assert larger[0].shape == (2, 3, 90, 90)


def test_a_damaged_photo_is_left_out(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = bank(photos)
    (photos / "d.png").write_text("no image")
    assert torch.equal(bank(photos)[5], whole[5])
    assert re.search(r"left out: .*d\.png: The file is not an image", capsys.readouterr().out)


def test_a_bank_needs_a_photo_that_can_be_read(photos: Path) -> None:
    for path in list_images(photos):
        path.write_text("no image")
    with pytest.raises(ImageError, match=r"None of the 3 images can be read\. .*a\.jpg: The file"):
        bank(photos)
