"""Fixtures for the tests of the command."""

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def config(photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a config of two batches that share a style, in the working directory."""
    folder = photos.parent
    (folder / "style.safetensors").symlink_to(checkpoint_path)
    (folder / "config.yaml").write_text("""
defaults:
  fast: {style: style.safetensors}
batches:
  - {name: all, input: photos, output: out/all}
  - {name: jpegs, input: photos/*.jpg, output: out/jpegs, format: webp, fast: {strength: 0.3}}
run: {device: cpu}
""")
    monkeypatch.chdir(folder)
    return folder / "config.yaml"


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with a photo and a painting."""
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30), "navy").save(tmp_path / "photos" / "a.jpg")
    Image.new("RGB", (40, 30), "gold").save(tmp_path / "painting.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path
