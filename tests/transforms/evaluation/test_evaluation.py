"""Evaluation: numbers against direct computations, the table and the grid of pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

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
    (tmp_path / "paintings").mkdir()
    for name in ("one", "two"):
        gradient(90, 70 + len(name)).rotate(90).save(tmp_path / "paintings" / f"{name}.png")
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
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line]
    return {line[0]: line[1:] for line in lines}


def test_every_style_and_network_is_in_the_table_and_the_grid(config: EvaluationConfig) -> None:
    table = evaluate(config, lambda line: None)
    assert (config.output / "table.md").read_text() == table
    rows = rows_of(table)
    assert {"single", "many: one", "many: two", "bicubic x2", "x2"} < rows.keys()
    assert rows["single"][-2] == "1.68 M"
    with Image.open(config.output / "grid.png") as grid:
        # Three photos, each beside five pictures.
        assert grid.width == 6 * (384 + 2) + 2


@pytest.mark.slow
def test_an_optimization_of_each_photo_is_better_than_an_untrained_network(
    config: EvaluationConfig,
) -> None:
    rows = rows_of(
        evaluate(config.model_copy(update={"optimization_iterations": 10}), lambda line: None)
    )
    for style, painting in (("single", "one"), ("many: one", "one"), ("many: two", "two")):
        assert float(rows[f"{painting}, 10 iterations"][3]) < float(rows[style][3])
    assert list(rows)[2:6] == ["one, 10 iterations", "single", "many: one", "two, 10 iterations"]


@pytest.mark.slow
def test_losses_are_means_over_the_photos(config: EvaluationConfig) -> None:
    row = rows_of(evaluate(config, lambda line: None))["many: two"]
    checkpoint = parse_checkpoint(config.checkpoints[1].read_bytes())
    stylizer = FeedForwardStylizer(checkpoint, CPU)
    loss = config.perceptual_loss([config.style_images / "two.png"], CPU, stylizer.precision)
    content = style = 0.0
    for path in config.content_images.rglob("*.*"):
        photo = read_style_image(path, 64)
        made = stylizer.stylize((photo[0] * 255).round().byte(), 1.0, {"two": 1.0})
        terms = loss(made[None] / 255, photo)
        content, style = content + terms.content.item() / 3, style + terms.style.item() / 3
    assert [float(value) for value in row[1:4]] == pytest.approx(
        [content, style, content + style], rel=1e-2
    )


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
        ({"style_images": Path("nowhere")}, "nowhere/one.png cannot be read"),
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
