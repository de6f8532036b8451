"""Runs with `method: fast` and paintings: configs, outputs, digests and mistakes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from stylebeam.opening import open_options
from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.config.file import ConfigError, load_and_resolve
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.methods.contract import MethodError
from stylebeam.pipeline.methods.fast import ResolvedFast
from stylebeam.pipeline.methods.validation import validate_options
from stylebeam.pipeline.runs.planning import resolve
from stylebeam.transforms.checkpoints import Checkpoint, Style, parse_checkpoint, save_checkpoint
from stylebeam.transforms.networks import build_network

CONFIG = """\
batches:
  - {name: one, input: photos, output: out, format: png, fast: {style_image: painting.png}}
run: {device: cpu}
"""


@pytest.fixture(autouse=True)
def folder(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photos, two paintings and a config; the cache is empty."""
    with Image.open(photos / "b.png") as image:
        image.rotate(90, expand=True).save(tmp_path / "painting.png")
        image.convert("L").save(tmp_path / "other.png")
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resolved(**options: object) -> ResolvedFast:
    settings = [f"batches.one.fast={json.dumps(options)}"]
    _, [plan] = load_and_resolve("config.yaml", RunConfig, settings, resolve)
    assert isinstance(plan.options, ResolvedFast)
    return plan.options


def vector(options: ResolvedFast) -> torch.Tensor:
    assert options.predicted is not None
    return options.predicted.as_tensor()


def pixels(path: str) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def mistakes(**options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(**options)
    return "\n".join(caught.value.mistakes)


def test_a_painting_is_a_style_for_a_run_and_for_one_photo() -> None:
    assert main(["run", "config.yaml"]) == 0
    assert main(["stylize", "photos/b.png", "b.png", "--style-image", "painting.png"]) == 0
    assert main(["styles", "--from", "painting.png", "--output", "mine.safetensors"]) == 0
    assert main(["stylize", "photos/b.png", "kept.png", "--style", "mine.safetensors"]) == 0
    assert {outcome.style for outcome in read_outcomes("out")} == {"painting.png"}
    assert pixels("b.png") == pixels("kept.png")
    # All cores compute the one image, and sum in a different order.
    pairs = zip(pixels("b.png"), pixels("out/b.png"), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 4


def test_a_kept_style_names_its_painting() -> None:
    assert main(["styles", "--from", "painting.png", "--output", "mine.safetensors"]) == 0
    checkpoint = parse_checkpoint(Path("mine.safetensors").read_bytes())
    assert list(checkpoint.styles) == ["mine"]
    assert checkpoint.styles["mine"].training["style_image"] == "painting.png"


def test_vectors_are_blended_by_parts() -> None:
    one, other = (vector(resolved(style_image=name)) for name in ("painting.png", "other.png"))
    both = resolved(style_image={"painting.png": 1, "other.png": 3})
    assert torch.allclose(vector(both), 0.25 * one + 0.75 * other, atol=1e-6)
    with_shipped = resolved(style={"starry_night": 1}, style_image={"painting.png": 3})
    shipped = vector(resolved(style={"starry_night": 1}, style_image={"painting.png": 0.0001}))
    assert torch.allclose(vector(with_shipped), 0.75 * one + 0.25 * shipped, atol=2e-3)
    assert with_shipped.styles == (("starry_night", 0.25),)
    assert with_shipped.network_key == both.network_key


def identity(**options: object) -> Mapping[str, Any]:
    return resolved(**options).identity


def test_digests_depend_on_the_painting_not_on_its_path() -> None:
    first = identity(style_image="painting.png")
    Path("copy.png").write_bytes(Path("painting.png").read_bytes())
    assert identity(style_image="copy.png") == first
    assert identity(style_image="other.png") != first
    assert identity(style_image="painting.png", colors="luminance") != first
    assert identity(style_image={"painting.png": 1, "other.png": 1}) != identity(
        style_image={"painting.png": 1, "other.png": 2}
    )
    assert identity(style_image="painting.png", style="starry_night") != first


def test_the_digest_of_a_shipped_style_has_nothing_of_predictions() -> None:
    assert set(identity(style="starry_night")) == {"weights", "styles", "strength"}


def test_every_mistake_is_explained(folder: Path, two_styles_path: Path) -> None:
    Path("text.png").write_text("not an image")
    assert "nowhere.png cannot be read" in mistakes(style_image="nowhere.png")
    assert "text.png" in mistakes(style_image="text.png")
    assert "fast.style: this key is missing" in mistakes(strength=0.5)
    assert "a part above 0" in mistakes(style_image={"painting.png": 0})
    assert "did you mean starry_night?" in mistakes(
        style={"starry_nigth": 1}, style_image={"painting.png": 1}
    )
    assert "another network than the one for which styles can be predicted" in mistakes(
        checkpoint=str(two_styles_path), style_image="painting.png"
    )
    assert "refine is for a predicted style" in mistakes(style="udnie", refine=5)


def test_styles_added_to_the_shipped_network_can_be_blended_with_a_painting() -> None:
    assert main(["styles", "--from", "other.png", "--output", "mine.safetensors"]) == 0
    options = resolved(checkpoint="mine.safetensors", style={"mine": 1}, style_image="painting.png")
    one, other = (vector(resolved(style_image=name)) for name in ("painting.png", "other.png"))
    assert torch.allclose(vector(options), (one + other) / 2, atol=1e-6)


def test_another_network_of_the_same_kind_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = build_network("any_style", {})
    styles = {"one": Style(torch.zeros(network.style_size))}
    path = tmp_path / "random.safetensors"
    save_checkpoint(Checkpoint("any_style", network.state_dict(), styles), path)
    assert "another network" in mistakes(checkpoint=str(path), style_image="painting.png")


@pytest.mark.slow
def test_a_refined_style_is_computed_once_and_depends_on_the_photos(folder: Path) -> None:
    first = resolved(style_image="painting.png", refine=1)
    [file] = (folder / "cache" / "stylebeam" / "refined_styles").iterdir()
    assert not torch.equal(vector(first), vector(resolved(style_image="painting.png")))
    # From the cache: other contents there would be used.
    numbers = json.loads(file.read_text())
    file.write_text(json.dumps([0.5, *numbers[1:]]))
    again = resolved(style_image="painting.png", refine=1)
    assert vector(again)[0] == 0.5
    assert again.identity == first.identity
    with Image.open("photos/a.jpg") as image:
        image.rotate(180).save("photos/a.jpg")
    assert resolved(style_image="painting.png", refine=1).identity != first.identity


def test_refining_needs_a_photo_that_can_be_decoded(photos: Path) -> None:
    for photo in [*photos.glob("*.*"), *photos.glob("*/*.*")]:
        photo.write_bytes(b"damaged")
    assert "refine needs a photo that can be decoded" in mistakes(
        style_image="painting.png", refine=1
    )


def test_without_a_batch_there_is_nothing_to_refine_on() -> None:
    options = validate_options("fast", {"style_image": "painting.png", "refine": 1})
    with pytest.raises(MethodError, match="a config of stylebeam run"):
        open_options(options)


def test_colors_of_the_photo_are_kept(gradient: Any) -> None:
    gradient(60, 50).convert("L").save("gray.png")
    for kept in ("luminance", "histogram"):
        files = ["gray.png", f"{kept}.png"]
        assert main(["stylize", *files, "--style", "starry_night", "--colors", kept]) == 0
        with Image.open(f"{kept}.png") as image:
            red, green, blue = image.convert("RGB").split()
            assert max(abs(a - b) for a, b in zip(red.tobytes(), blue.tobytes(), strict=True)) <= 1
            assert max(abs(a - b) for a, b in zip(red.tobytes(), green.tobytes(), strict=True)) <= 1


def test_strength_0_gives_the_photo() -> None:
    files = ["photos/b.png", "same.png"]
    assert main(["stylize", *files, "--style-image", "painting.png", "--strength", "0"]) == 0
    assert pixels("photos/b.png") == pixels("same.png")
