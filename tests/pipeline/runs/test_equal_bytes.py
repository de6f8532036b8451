"""Pictures are the same bytes whatever the clock, the locale, the seed of hashes, and the workers.

Worker processes are tested in `cli/test_runners.py`.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from stylebeam.pipeline.cli.arguments import main
from stylebeam.transforms.images.formats import FORMATS
from tests.helpers.command import stylebeam

pytestmark = pytest.mark.slow

# Only formats that are read with a profile show the date of the profile that is written.
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CONFIG = """
batches:
  - {name: fast, input: photos, output: out/fast, fast: {style: starry_night}}
  - {name: gatys, input: photos/jpeg.jpg, output: out/gatys, format: tiff, method: gatys,
     gatys: {style_image: painting.png, size: 32, iterations: 2}}
  - {name: large, input: photos/jpeg.jpg, output: out/large, format: webp,
     method: super_resolution}
run: {device: cpu}
"""
ELSEWHERE = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Pacific/Auckland"}


def test_pictures_are_equal_in_every_environment(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for each in FORMATS.values():
        if each.is_available:
            extra = {"icc_profile": PROFILE} if each.metadata else {}
            photo = Path("photos", each.name + each.extensions[0])
            gradient(32, 24).save(photo, each.pillow, **extra)
    gradient(40, 40).save("painting.png")
    Path("config.yaml").write_text(CONFIG)

    assert main(["run", "config.yaml"]) == 0
    first = taken_away()
    assert len(first) == len(list(Path("photos").iterdir())) + 2
    assert main(["run", "config.yaml", "--direct_num_workers=2"]) == 0
    assert taken_away() == first

    # Another clock, where Debian's faketime is installed.
    years_later = ["faketime", "2031-02-03 04:05:06"] if shutil.which("faketime") else []
    environment = {**os.environ, **ELSEWHERE}
    result = stylebeam("run", "config.yaml", env=environment, before=years_later)
    assert result.returncode == 0, result.stderr
    assert taken_away() == first


def taken_away() -> dict[str, bytes]:
    """Return the pictures by their paths, and delete them."""
    files = (path for path in Path("out").rglob("*.*") if "_stylebeam" not in path.parts)
    pictures = {str(path): path.read_bytes() for path in files}
    shutil.rmtree("out")
    return pictures
