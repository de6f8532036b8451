"""Tests of the training of a network for any painting, its predictor and its named styles."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from pydantic import ValidationError
from torch import Tensor

from stylebeam.transforms.checkpoints import Checkpoint, Style, parse_checkpoint, save_checkpoint
from stylebeam.transforms.networks import build_network, style_size
from stylebeam.transforms.networks.any_style import decode_colors
from stylebeam.transforms.prediction.predictor import STYLE_PREDICTOR, StylePredictor
from stylebeam.transforms.prediction.statistics import at_style_size
from stylebeam.transforms.training import any_style, loop, training_styles
from stylebeam.transforms.training.any_style import train_any_style
from stylebeam.transforms.training.any_style_config import AnyStyleTrainingConfig
from stylebeam.transforms.training.loop_config import ConfigValueError, TrainingError
from stylebeam.transforms.training.style import train
from stylebeam.transforms.training.style_config import StyleTrainingConfig
from tests.helpers.paintings import measured

ABOUT = {"artist": "A. Painter", "title": "Two", "year": "1900", "source": "public domain"}


@pytest.fixture
def config(
    tmp_path: Path, gradient: Callable[[int, int], Image.Image], monkeypatch: pytest.MonkeyPatch
) -> AnyStyleTrainingConfig:
    """A small training of three paintings, one of them with a name, and four photos."""
    monkeypatch.setattr(
        training_styles, "at_style_size", lambda painting: at_style_size(painting, 128)
    )
    monkeypatch.setattr(any_style, "_PHOTOS_MEASURED", 4)
    monkeypatch.setattr(any_style, "_VALIDATION_CROPS", 2)
    (tmp_path / "paintings" / "more").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    painting = gradient(150, 140)
    painting.save(tmp_path / "paintings" / "one.png")
    ImageOps.invert(painting.rotate(90)).save(tmp_path / "paintings" / "more" / "two.png")
    painting.convert("L").save(tmp_path / "paintings" / "gray.png")
    for number in range(4):
        gradient(80 + number, 64).save(tmp_path / "photos" / f"{number}.png")
    return AnyStyleTrainingConfig.model_validate(
        {
            "paintings": tmp_path / "paintings",
            "content_images": tmp_path / "photos",
            "output": tmp_path / "any.safetensors",
            "predictor": tmp_path / "predictor.safetensors",
            "styles": {"two": {"painting": "more/two.png", **ABOUT}},
            "variants": 1,
            "crop_size": 64,
            "iterations": 4,
            "device": "cpu",
        }
    )


def changed(config: AnyStyleTrainingConfig, **change: object) -> AnyStyleTrainingConfig:
    """Return a config with other values, which are validated."""
    given = config.model_dump(exclude_unset=True)
    return AnyStyleTrainingConfig.model_validate({**given, **change})


def silent(line: str) -> None:
    """Report nothing."""


def pixels_of(path: Path) -> Tensor:
    """Return a painting as it is measured in these tests."""
    with Image.open(path) as image:
        pixels = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
        pixels = pixels.view(1, image.height, image.width, 3)
    return at_style_size(pixels.permute(0, 3, 1, 2) / 255, 128)


def test_a_training_writes_a_network_with_named_styles_and_a_predictor(
    config: AnyStyleTrainingConfig,
) -> None:
    lines: list[str] = []
    trained = train_any_style(config, lines.append)
    assert "3 of 3 paintings measured" in lines
    checkpoint = parse_checkpoint(config.output.read_bytes())
    assert checkpoint.network == trained.network == "any_style"
    network = checkpoint.build()
    about = checkpoint.styles["two"].training
    assert about.items() >= ABOUT.items()
    assert about["style_image"] == "two.png"
    assert len(about["style_image_sha256"]) == 64
    assert (about["iterations"], about["content_images"]) == (4, "4 photographs")
    predictor = parse_checkpoint(config.predictor.read_bytes())
    assert (predictor.network, predictor.styles) == (STYLE_PREDICTOR, {})
    assert predictor.training["iterations"] == 4
    # No local paths are published.
    published = json.dumps([about, predictor.training])
    assert str(config.output.parent) not in published

    module = StylePredictor(style_size(network)).eval()
    module.load_state_dict({name: each.float() for name, each in predictor.tensors.items()})
    path = config.paintings / "one.png"
    with torch.no_grad():
        vector = module(measured(pixels_of(path)))
        stylized = network(torch.rand(1, 3, 40, 50), vector)
    mean, _ = decode_colors(vector)
    torch.testing.assert_close(mean, pixels_of(path).mean((2, 3)), atol=0.01, rtol=0)
    assert stylized.isfinite().all()


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_result(
    config: AnyStyleTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_STATE", 2)
    monkeypatch.setattr(loop, "ITERATIONS_PER_REPORT", 1)
    config = changed(
        config, iterations=6, held_out=["0.png"], held_out_paintings=["gray.png"], batch_size=2
    )
    whole = train_any_style(config, silent)
    predictor = parse_checkpoint(config.predictor.read_bytes())

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("iteration 4/"):
            raise KilledError

    config.output.unlink()
    config.predictor.unlink()
    with pytest.raises(KilledError):
        train_any_style(config, kill)
    assert not config.output.exists()
    torch.manual_seed(99)  # Another process has random numbers of its own.
    lines: list[str] = []
    resumed = train_any_style(config, lines.append)
    assert any("Resuming from iteration 2" in line for line in lines)
    assert len([line for line in lines if line.startswith("held-out loss")]) == 2
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, resumed.tensors[name]), name
    assert torch.equal(whole.styles["two"].vector, resumed.styles["two"].vector)
    again = parse_checkpoint(config.predictor.read_bytes())
    for name, tensor in predictor.tensors.items():
        assert torch.equal(tensor, again.tensors[name]), name
    assert not config.output.with_name("any.safetensors.state").exists()


@pytest.mark.slow
def test_the_loss_falls(config: AnyStyleTrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_REPORT", 1)
    lines: list[str] = []
    train_any_style(changed(config, iterations=24, share_of_styles=1.0), lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines if "loss " in line]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_training_without_named_styles(config: AnyStyleTrainingConfig) -> None:
    trained = train_any_style(changed(config, styles={}, iterations=1), silent)
    assert trained.styles == {}
    assert parse_checkpoint(config.output.read_bytes()).network == "any_style"
    assert config.predictor.is_file()


def test_a_training_starts_from_a_multi_style_network_and_its_styles(
    config: AnyStyleTrainingConfig, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    start = build_network("multi_style", {})
    styles = {name: Style(0.1 * torch.randn(style_size(start))) for name in ("two", "three")}
    path = tmp_path / "start.safetensors"
    save_checkpoint(Checkpoint("multi_style", start.state_dict(), styles), path)
    # At this learning rate, updates are smaller than the rounding to float16.
    slow = changed(config, start=path, learning_rate=1e-12)
    train_any_style(slow, silent)
    made = parse_checkpoint(slow.output.read_bytes())
    for name, tensor in start.state_dict().items():
        assert torch.equal(tensor.half(), made.tensors[name]), name
    vector = made.styles["two"].vector.float()[None]
    torch.testing.assert_close(vector[0, :-12], styles["two"].vector, atol=1e-3, rtol=0)
    painting = pixels_of(config.paintings / "more" / "two.png")
    mean, _ = decode_colors(vector)
    torch.testing.assert_close(mean, painting.mean((2, 3)), atol=0.01, rtol=0)
    assert made.styles["two"].training["start"] == "start.safetensors"

    # The training continues from its own files.
    further = changed(
        slow,
        start=config.output,
        start_predictor=config.predictor,
        output=tmp_path / "further.safetensors",
        predictor=tmp_path / "further_predictor.safetensors",
    )
    train_any_style(further, silent)
    again = parse_checkpoint(further.output.read_bytes())
    torch.testing.assert_close(
        again.styles["two"].vector, made.styles["two"].vector, atol=2e-3, rtol=0
    )
    before, after = (
        parse_checkpoint(each.predictor.read_bytes()).tensors for each in (config, further)
    )
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_style_can_be_added_to_the_network(config: AnyStyleTrainingConfig) -> None:
    """Its vector starts from the mean of the styles, and keeps the colors of the painting."""
    before = train_any_style(changed(config, iterations=1), silent)
    more = StyleTrainingConfig(
        style_image=config.paintings / "one.png",
        add_to=config.output,
        content_images=config.content_images,
        output=config.output.with_stem("more"),
        style_size=128,
        crop_size=64,
        iterations=2,
        device="cpu",
    )
    train(more, silent)
    after = parse_checkpoint(more.output.read_bytes())
    assert list(after.styles) == ["two", "one"]
    for name, tensor in before.tensors.items():
        assert torch.equal(tensor.half(), after.tensors[name]), name
    one, two = (after.styles[name].vector.float()[None] for name in ("one", "two"))
    assert 0 < (one - two)[0, :-12].abs().max() < 0.2
    mean, root = decode_colors(one)
    pixels = pixels_of(config.paintings / "one.png")[0].flatten(1)
    torch.testing.assert_close(mean[0], pixels.mean(1), atol=0.01, rtol=0)
    torch.testing.assert_close((root @ root)[0], torch.cov(pixels), atol=0.01, rtol=0)


def test_train_can_train_the_network_on_a_folder_of_paintings(
    config: AnyStyleTrainingConfig,
) -> None:
    few = StyleTrainingConfig(
        style_images=config.paintings,
        network="any_style",
        network_arguments={"channels": 16},
        content_images=config.content_images,
        output=config.output,
        style_size=64,
        crop_size=64,
        iterations=1,
        device="cpu",
    )
    trained = train(few, silent)
    assert set(trained.styles) == {"one", "two", "gray"}
    trained.build()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paintings": "nowhere"}, r"paintings: there are no images in nowhere\."),
        (
            {"held_out_paintings": ["*"]},
            "paintings: there are no images in .*paintings besides held_out_paintings",
        ),
        ({"content_images": "nowhere"}, "content_images: there are no images in nowhere"),
        ({"held_out": ["*.png"]}, "content_images: there are no images"),
        ({"output": "any.pth"}, r"output: any\.pth must end in \.safetensors"),
        ({"predictor": "any.pth"}, r"predictor: any\.pth must end in \.safetensors"),
        ({"predictor": "/proc/a.safetensors"}, "predictor: .* cannot be written"),
        ({"start": "no.safetensors"}, r"start: no\.safetensors cannot be read"),
        (
            {"styles": {"x": {"painting": "more/missing.png", **ABOUT}}},
            r"styles\.x\.painting: .*paintings/more/missing\.png cannot be read: .*No such file",
        ),
    ],
)
def test_values_that_cannot_be_used_are_refused(
    config: AnyStyleTrainingConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigValueError, match=message):
        train_any_style(changed(config, **change), silent)


def test_checkpoints_of_other_networks_are_refused(
    config: AnyStyleTrainingConfig, checkpoint_path: Path, two_styles_path: Path
) -> None:
    for change, message in (
        ({"start": checkpoint_path}, "is johnson, not any_style or multi_style"),
        ({"start": two_styles_path}, "another size. The network to train has 64 channels"),
    ):
        with pytest.raises(ConfigValueError, match=f"start: .*{message}"):
            train_any_style(changed(config, **change), silent)


def test_damaged_paintings_and_photos_are_left_out(config: AnyStyleTrainingConfig) -> None:
    (config.paintings / "more" / "broken.png").write_text("no image")
    (config.content_images / "2.png").write_text("no image")
    lines: list[str] = []
    train_any_style(changed(config, iterations=1, variants=4), lines.append)
    for place in ("more/broken.png", "photos/2.png"):
        [line] = [line for line in lines if place in line]
        assert line.startswith("An image is left out: ")
        assert line.endswith("The file is not an image of a known kind.")
    assert lines.count("1 of 4 images were left out: they cannot be read.") == 2


def test_a_training_needs_paintings_and_photos_that_can_be_read(
    config: AnyStyleTrainingConfig,
) -> None:
    for photo in config.content_images.iterdir():
        photo.write_text("no image")
    with pytest.raises(
        TrainingError, match=r"None of the 4 images can be read\. .*\.png: The file"
    ):
        train_any_style(config, silent)


def test_paintings_none_of_which_can_be_read_are_an_error(config: AnyStyleTrainingConfig) -> None:
    for painting in config.paintings.rglob("*.png"):
        painting.write_text("no image")
    with pytest.raises(ConfigValueError, match=r"paintings: None of the 3 images can be read"):
        train_any_style(changed(config, styles={}), silent)


def test_a_damaged_painting_of_a_named_style_is_an_error(config: AnyStyleTrainingConfig) -> None:
    (config.paintings / "more" / "two.png").write_text("no image")
    with pytest.raises(ConfigValueError, match=r"styles\.two\.painting: .* cannot be read"):
        train_any_style(config, silent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"styles": {}, "share_of_styles": 0.5}, "share_of_styles needs styles"),
        ({"start_predictor": "a.safetensors"}, "start_predictor needs start"),
        ({"predictor": "a.safetensors", "output": "a.safetensors"}, "must be two files"),
        ({"styles": {"x": {"painting": "a.png"}}}, r"styles\.x\.artist"),
        ({"share_of_styles": 1.5}, "less than or equal to 1"),
        ({"variants": 0}, "greater than or equal to 1"),
        ({"crop_size": 32}, "greater than or equal to 64"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    config: AnyStyleTrainingConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(config, **change)


def test_patterns_that_match_nothing_hold_out_nothing(config: AnyStyleTrainingConfig) -> None:
    lines: list[str] = []
    nothing = changed(config, held_out=["x*"], held_out_paintings=["y*"], iterations=1)
    train_any_style(nothing, lines.append)
    assert "3 of 3 paintings measured" in lines
    assert any("0 paintings and 0 photos are held out" in line for line in lines)
    assert not [line for line in lines if line.startswith("held-out loss")]
