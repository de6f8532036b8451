"""Tests of the examples."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_users_own_pipeline_with_one_corrupt_image_among_twenty(tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(19):
        Image.new("RGB", (40 + number, 32), (number, 100, 200)).save(photos / f"{number}.jpg")
    whole = (photos / "0.jpg").read_bytes()
    (photos / "corrupt.jpg").write_bytes(whole[: len(whole) // 2])
    subprocess.run(
        [sys.executable, str(ROOT / "examples" / "own_pipeline.py"), str(photos), str(output)],
        check=True,
        cwd=tmp_path,
    )
    [failure] = (output / "failures.txt").read_text().splitlines()
    assert failure.startswith("corrupt.jpg: The JPEG file is damaged: it ends before its image")
    for number in range(19):
        with Image.open(output / f"{number}.jpg.jpg") as picture:
            assert (picture.format, picture.size) == ("JPEG", (40 + number, 32))
    assert len(list(output.glob("*.jpg"))) == 19
