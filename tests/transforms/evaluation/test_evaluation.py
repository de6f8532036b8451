"""Evaluation: numbers against direct computations, the tables and the pages of pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from stylebeam.transforms.checkpoints import Checkpoint, Style, parse_checkpoint, save_checkpoint
from stylebeam.transforms.evaluation.config import EvaluationConfig
from stylebeam.transforms.evaluation.evaluate import evaluate
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.networks import build_network, style_size
from stylebeam.transforms.training.data import read_style_image
from stylebeam.transforms.training.loop_config import ConfigValueError

CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path: Path, photos: Path, gradient: Callable) -> EvaluationConfig:
    (tmp_path / "paintings" / "deep").mkdir(parents=True)
    gradient(90, 73).rotate(90).save(tmp_path / "paintings" / "one.png")
    gradient(90, 74).rotate(180).save(tmp_path / "paintings" / "deep" / "two.png")
    torch.manual_seed(0)
    small = {"channels": 16, "blocks": 1}
    network = build_network("multi_style", small)
    styles = {
        name: Style(torch.randn(style_size(network)), {"style_image": f"{name}.png"})
        for name in ("one", "two")
    }
    many = Checkpoint("multi_style", network.state_dict(), styles, small)
    save_checkpoint(many, tmp_path / "many.safetensors")
    single = build_network("johnson", {})
    style = {"single": Style(training={"style_image": "one.png"})}
    save_checkpoint(
        Checkpoint("johnson", single.state_dict(), style), tmp_path / "single.safetensors"
    )
    x2 = build_network("super_resolution", {"factor": 2})
    save_checkpoint(
        Checkpoint("super_resolution", x2.state_dict(), {}, {"factor": 2}),
        tmp_path / "x2.safetensors",
    )
    return EvaluationConfig(
        checkpoints=[tmp_path / f"{name}.safetensors" for name in ("single", "many", "x2")],
        content_images=photos,
        style_images=tmp_path / "paintings",
        output=tmp_path / "evaluation",
        size=64,
        style_size=64,
        device="cpu",
    )


def rows_of(table: str) -> dict[str, list[str]]:
    lines = [line[2:-2].split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {line[0]: line[1:] for line in lines}


def test_every_style_and_network_is_in_the_tables_and_on_the_page(config: EvaluationConfig) -> None:
    table = evaluate(config, lambda line: None)
    assert (config.output / "table.md").read_text() == table
    rows = rows_of(table)
    assert {"single", "many: one", "many: two", "bicubic x2", "x2"} < rows.keys()
    assert rows["single"][-2] == "1.68 M"
    assert "| many | 2 | worst |" in table
    assert (config.output / "grid_1.png").exists()
    assert not (config.output / "grid_2.png").exists()


@pytest.fixture
def pictures(tmp_path: Path, gradient: Callable) -> Path:
    """Pictures by another program: photo a in two styles, and photo c in one."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, size in (("a__one", (78, 64)), ("a__two", (79, 64)), ("c__two", (85, 64))):
        gradient(*size).rotate(180).save(folder / f"{name}.png")
    return folder


def test_pictures_of_another_program_are_measured_like_those_of_a_checkpoint(
    config: EvaluationConfig, tmp_path: Path, pictures: Path
) -> None:
    checkpoint = parse_checkpoint(config.checkpoints[1].read_bytes())
    stylizer = FeedForwardStylizer(checkpoint, CPU)
    for path in config.content_images.rglob("*.*"):
        photo = (read_style_image(path, 64)[0] * 255).round().byte()
        picture = to_pil_image(stylizer.stylize(photo, styles={"two": 1.0}))
        picture.save(pictures / f"{path.stem}__two.png")
    change = {"pictures": {"other": pictures}, "checkpoints": config.checkpoints[1:2]}
    table = evaluate(config.model_copy(update=change), lambda line: None)
    rows = rows_of(table)
    assert rows["other: two"][1:-3] == rows["many: two"][1:-3]
    assert rows["other: one"][-3:] == ["", "", ""]
    assert "| other | 2 | median |" in table


def test_pictures_are_measured_without_checkpoints(
    config: EvaluationConfig, pictures: Path
) -> None:
    change = {"pictures": {"other": pictures}, "checkpoints": ()}
    assert {"other: one", "other: two"} < rows_of(
        evaluate(config.model_copy(update=change), lambda line: None)
    ).keys()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.png", "pictures.other: .*/a.png must be named PHOTO__PAINTING"),
        ("none__one.png", "none__one.png: content_images: there is no image none in"),
        ("a__none.png", "a__none.png: style_images: there is no image none in"),
    ],
)
def test_a_picture_must_name_a_photo_and_a_painting(
    config: EvaluationConfig, pictures: Path, name: str, message: str
) -> None:
    (pictures / "a__one.png").rename(pictures / name)
    change = {"pictures": {"other": pictures}, "checkpoints": ()}
    with pytest.raises(ConfigValueError, match=message):
        evaluate(config.model_copy(update=change), print)


@pytest.mark.slow
def test_dozens_of_styles_of_the_network_for_any_style(
    config: EvaluationConfig, tmp_path: Path
) -> None:
    arguments = {"channels": 16}
    network = build_network("any_style", arguments)
    styles = {
        f"style {number}": Style(torch.randn(style_size(network)), {"style_image": "two.png"})
        for number in range(12)
    }
    path = tmp_path / "any.safetensors"
    save_checkpoint(Checkpoint("any_style", network.state_dict(), styles, arguments), path)
    table = evaluate(config.model_copy(update={"checkpoints": (path,)}), lambda line: None)
    assert {f"any: {style}" for style in styles} < rows_of(table).keys()
    assert "| any | 12 | median |" in table
    assert (config.output / "grid_2.png").exists()


@pytest.mark.slow
def test_an_optimization_of_each_photo_is_better_than_an_untrained_network(
    config: EvaluationConfig,
) -> None:
    rows = rows_of(
        evaluate(config.model_copy(update={"optimization_iterations": 10}), lambda line: None)
    )
    for style, painting in (("single", "one"), ("many: one", "one"), ("many: two", "two")):
        assert float(rows[f"{painting}, 10 iterations"][2]) < float(rows[style][2])
    assert list(rows)[2:6] == ["one, 10 iterations", "single", "many: one", "two, 10 iterations"]


@pytest.mark.slow
def test_measures_are_means_over_the_photos(config: EvaluationConfig) -> None:
    row = rows_of(evaluate(config, lambda line: None))["many: two"]
    checkpoint = parse_checkpoint(config.checkpoints[1].read_bytes())
    stylizer = FeedForwardStylizer(checkpoint, CPU)
    painting = config.style_images / "deep" / "two.png"
    loss = config.perceptual_loss([painting], CPU, stylizer.precision)
    content = style_left = 0.0
    for path in config.content_images.rglob("*.*"):
        photo = read_style_image(path, 64)
        made = stylizer.stylize((photo[0] * 255).round().byte(), 1.0, {"two": 1.0})
        terms, of_photo = loss(made[None] / 255, photo), loss(photo, photo)
        content += terms.content.item() / 3
        style_left += (terms.style / of_photo.style).item() / 3
    assert [float(value) for value in row[1:3]] == pytest.approx([content, style_left], rel=1e-2)


def test_multiply_adds_are_counted(
    config: EvaluationConfig, tmp_path: Path, gradient: Callable
) -> None:
    (tmp_path / "one").mkdir()
    gradient(64, 64).save(tmp_path / "one" / "photo.png")
    change = {"content_images": tmp_path / "one", "checkpoints": config.checkpoints[:1]}
    row = rows_of(evaluate(config.model_copy(update=change), lambda line: None))["single"]
    # The network computes a frame of 16 pixels, too.
    sizes = [(3, 32, 9, 96), (32, 64, 3, 48), (64, 128, 3, 24), *[(128, 128, 3, 24)] * 10]
    # Upsampling convolutions have 4x4 kernels, and see one more feature on each side. The last
    # convolution computes 4x4 pixels from 12x12.
    sizes += [(128, 64, 4, 26), (64, 32, 4, 50), (32, 3 * 4**2, 12, 24)]
    expected = sum(before * after * kernel**2 * side**2 for before, after, kernel, side in sizes)
    assert row[-1] == f"{expected / 1e9:.1f} G"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checkpoints": (Path("none.safetensors"),)}, "none.safetensors cannot be read"),
        ({"content_images": Path("nowhere")}, "no images in nowhere"),
        ({"style_images": None}, "style_images: must be given"),
        ({"style_images": Path("nowhere")}, "style_images: there are no images in nowhere"),
        ({"checkpoints": ()}, "checkpoints or pictures: must be given"),
    ],
)
def test_errors_name_the_missing_file(
    config: EvaluationConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigValueError, match=message):
        evaluate(config.model_copy(update=change), print)


def test_a_style_must_name_its_painting(config: EvaluationConfig, checkpoint_path: Path) -> None:
    with pytest.raises(ConfigValueError, match="does not name the painting of the style random"):
        evaluate(config.model_copy(update={"checkpoints": (checkpoint_path,)}), print)
