"""Tests of finding styles by name, in shipped checkpoints and in others."""

from pathlib import Path

import pytest

from stylebeam.pipeline.methods.checkpoints import (
    CheckpointFile,
    find_styles,
    find_super_resolution,
)
from stylebeam.pipeline.methods.contract import MethodError
from stylebeam.transforms.checkpoints import (
    Checkpoint,
    save_checkpoint,
    shipped_checkpoints,
    weights_digest,
)
from stylebeam.transforms.networks import build_network


def test_a_shipped_style_is_found_by_its_name() -> None:
    file, styles = find_styles({"udnie": 1.0})
    assert "udnie" in shipped_checkpoints()[Path(file.location)]
    assert styles == (("udnie", 1.0),)


def test_a_checkpoint_of_one_style_needs_no_name(checkpoint_path: Path) -> None:
    file, styles = find_styles({str(checkpoint_path): 1.0})
    digest = weights_digest(checkpoint_path.read_bytes())
    assert file == CheckpointFile(str(checkpoint_path), digest)
    assert styles == (("random", 1.0),)


def test_parts_are_sorted_and_sum_to_1(two_styles_path: Path) -> None:
    path = str(two_styles_path)
    assert find_styles({"two": 3.0, "one": 1.0}, path)[1] == (("one", 0.25), ("two", 0.75))
    assert find_styles({"two": 2.0, "one": 0.0}, path) == find_styles({"two": 1.0}, path)


@pytest.mark.parametrize(
    ("styles", "message"),
    [
        ({"onw": 1.0}, r"two\.safetensors holds no style 'onw'; did you mean one\?"),
        ({"one": 1.0, "seven": 1.0}, r"holds no style 'seven'; it holds one, two\."),
        ({"one": 0.0}, "needs a part above 0"),
        ({}, "needs a part above 0"),
    ],
)
def test_styles_that_cannot_be_used_are_refused(
    two_styles_path: Path, styles: dict[str, float], message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        find_styles(styles, str(two_styles_path))


def test_one_of_several_styles_must_be_named(two_styles_path: Path) -> None:
    with pytest.raises(MethodError, match=r"holds 2 styles: give it as checkpoint, .* of one, two"):
        find_styles({str(two_styles_path): 1.0})


def test_unknown_styles_and_blends_of_different_networks_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(MethodError, match="no shipped style 'starry_nite'; did you mean starry_n"):
        find_styles({"starry_nite": 1.0})
    styles = {Path("a.safetensors"): ("a", "b"), Path("c.safetensors"): ("c",)}
    monkeypatch.setattr(
        "stylebeam.pipeline.methods.checkpoints.shipped_checkpoints", lambda: styles
    )
    with pytest.raises(MethodError, match="a and c are styles of different networks"):
        find_styles({"a": 0.5, "c": 0.5})


def test_a_checkpoint_of_another_kind_of_network_is_refused(
    checkpoint_path: Path, tmp_path: Path
) -> None:
    with pytest.raises(MethodError, match="of the network johnson, which does not enlarge images"):
        find_super_resolution(str(checkpoint_path))
    shipped = find_super_resolution("x4_pixel")
    assert Path(shipped.location).name == "x4_pixel.safetensors"
    with pytest.raises(MethodError, match="no shipped super-resolution network 'x4_pixl'; did you"):
        find_super_resolution("x4_pixl")
    path = tmp_path / "x4.safetensors"
    network = build_network("super_resolution", {})
    save_checkpoint(Checkpoint("super_resolution", network.state_dict(), {}), path)
    assert find_super_resolution(str(path)).location == str(path)
    for styles, checkpoint in (({str(path): 1.0}, None), ({"one": 1.0}, str(path))):
        with pytest.raises(MethodError, match="super_resolution, which has no styles"):
            find_styles(styles, checkpoint)
