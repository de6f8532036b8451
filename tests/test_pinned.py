"""Tests that recipe digests, stamps and the bytes of pictures do not change.

If a stamp changes, an archive of a million photos is stylized again, so these values must not
change by accident. Bytes depend on the processor and on the versions of libraries: they are
compared if both are recorded; otherwise the pixels are compared.
"""

import hashlib
import importlib.metadata
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stylebeam.pipeline.archive.results import stamp
from stylebeam.pipeline.cli.arguments import main

ROOT = Path(__file__).parents[1]
PINNED = Path(__file__).parent / "pinned"
RECORD = PINNED / "pinned.json"
SIDE = 64  # of the pictures that are kept, in pixels
LARGEST_MEAN_DIFFERENCE = 4.0  # levels of 255

FAST = "method: fast"
GATYS = "method: gatys"
METHODS = {
    "fast": f"{FAST}\n    fast: {{style: starry_night}}",
    "blend": f"{FAST}\n    fast: {{style: {{udnie: 1, great_wave: 3}}, strength: 0.7}}",
    "processing_size": f"{FAST}\n    fast: {{style: the_scream, processing_size: 64}}",
    "painting": f"{FAST}\n    fast: {{style_image: swirls.jpg, colors: histogram}}",
    "johnson": f"{FAST}\n    format: png\n    fast: {{style: johnson_udnie}}",
    "gatys": f"{GATYS}\n    gatys: {{style_image: swirls.jpg, iterations: 20, size: 96}}",
    "many_keys": f"{GATYS}\n    gatys: {{style_image: {{swirls.jpg: 1, other.jpg: 3}}, size: 64,"
    " levels: 1, iterations: 2, history_size: 7, tolerance: 0.01, bounded: false,"
    " colors: luminance, init: noise, gram_normalized: false, content_normalized: false,"
    " style_distance: charbonnier}",
    "super_resolution": "method: super_resolution\n    format: webp",
}
PRESETS = ("gatys2016", "sum_of_squares", "frobenius")


def environment() -> str:
    """Return what the bytes depend on beside the code."""
    packages = ("torch", "openvino", "pillow", "opencv-python-headless")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    capabilities = sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True)
    return ", ".join([*versions, *capabilities])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, bytes]]:
    """The digest of the recipe and the file that a run wrote, by method."""
    return run(tmp_path_factory.mktemp("pinned"), METHODS)


def run(folder: Path, methods: dict[str, str]) -> dict[str, tuple[str, bytes]]:
    (folder / "photos").mkdir()
    with Image.open(ROOT / "samples" / "photos" / "astronaut.jpg") as photo:
        photo.crop((100, 20, 260, 140)).save(folder / "photos" / "photo.jpg", quality=95)
    (folder / "swirls.jpg").write_bytes((ROOT / "samples/paintings/swirls.jpg").read_bytes())
    (folder / "other.jpg").write_bytes((ROOT / "samples/photos/mountain-lake.jpg").read_bytes())
    batches = [
        f"  - name: {name}\n    input: photos\n    output: out/{name}\n    {options}\n"
        for name, options in methods.items()
    ]
    (folder / "config.yaml").write_text(f"batches:\n{''.join(batches)}run: {{device: cpu}}\n")
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert main(["run", "config.yaml"]) == 0
    finally:
        os.chdir(before)
    found = {}
    for name in methods:
        output = folder / "out" / name
        [line] = (output / "_stylebeam" / "outcomes.jsonl").read_text().splitlines()
        outcome = json.loads(line)
        found[name] = outcome["recipe"], Path(folder, outcome["output"]).read_bytes()
    return found


def record() -> dict[str, dict[str, str]]:
    return json.loads(RECORD.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_digest_of_a_recipe_is_unchanged(
    name: str, pictures: dict[str, tuple[str, bytes]]
) -> None:
    assert pictures[name][0] == record()["recipes"][name]


@pytest.mark.slow
def test_the_digests_of_presets_of_papers_are_unchanged(tmp_path: Path, shared: Path) -> None:
    found = run(tmp_path, preset_methods(shared))
    digests = {name: digest for name, (digest, _) in found.items()}
    assert digests == record()["presets"]


def preset_methods(shared: Path) -> dict[str, str]:
    weights = shared / "torch" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    options = f"style_image: swirls.jpg, size: 32, iterations: 1, weights: {weights}"
    return {name: f"{GATYS}\n    gatys: {{recipe: {name}, {options}}}" for name in PRESETS}


def test_a_stamp_is_unchanged() -> None:
    assert stamp("90f6c0a1b2c3d4e5", "/photos/a.jpg", "1234-5678") == record()["stamps"]["one"]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_picture_is_unchanged(
    name: str, pictures: dict[str, tuple[str, bytes]], tmp_path: Path
) -> None:
    data = pictures[name][1]
    bytes_here = record().get(environment())
    if bytes_here is not None:
        assert hashlib.sha256(data).hexdigest() == bytes_here[name]
    (tmp_path / "picture").write_bytes(data)
    with Image.open(tmp_path / "picture") as picture, Image.open(PINNED / f"{name}.png") as pinned:
        small = picture.convert("RGB").resize(pinned.size, Image.Resampling.BOX)
        difference = np.abs(np.asarray(small, float) - np.asarray(pinned.convert("RGB"), float))
    assert difference.mean() < LARGEST_MEAN_DIFFERENCE
