"""Runs with `method: gatys`: configs, outputs, failures and digests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.archive.records import Recipe
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.config.file import ConfigError, load_and_resolve, load_config
from stylebeam.pipeline.config.run_config import RunConfig
from stylebeam.pipeline.methods.contract import MethodError, Resources
from stylebeam.pipeline.methods.gatys import ResolvedGatys
from stylebeam.pipeline.runs.planning import resolve
from stylebeam.transforms.backends.computation import ONE_IMAGE
from stylebeam.transforms.gatys.settings import OptimizationSettings

CONFIG = """\
defaults:
  input: photos
  format: png
  fast: {style: style.safetensors}
  gatys: {style_image: painting.png, iterations: 3}
batches:
  - {name: fast, output: out/fast}
  - {name: gatys, output: out/gatys, method: gatys}
  - {name: larger, output: out/larger, method: super_resolution}
run: {device: cpu}
"""


@pytest.fixture(autouse=True)
def folder(photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photos, a painting, a style and a config of three batches."""
    folder = photos.parent
    (folder / "style.safetensors").symlink_to(checkpoint_path)
    with Image.open(photos / "b.png") as image:
        image.rotate(90, expand=True).save(folder / "painting.png")
        image.save(folder / "other.png")
    (folder / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    return folder


def run(*settings: str) -> int:
    overrides = (word for setting in settings for word in ("--set", setting))
    return main(["run", "config.yaml", *overrides])


def resolved(options: str) -> ResolvedGatys:
    settings = [f"batches.gatys.gatys={options}"]
    _, plans = load_and_resolve("config.yaml", RunConfig, settings, resolve)
    found = plans[1].options
    assert isinstance(found, ResolvedGatys)
    return found


def statuses(output: str) -> list[str]:
    return [outcome.status for outcome in read_outcomes(output)]


def pixels(path: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


@pytest.mark.slow
def test_three_methods_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    for name in ("fast", "gatys", "larger"):
        assert statuses(f"out/{name}") == ["done"] * 3
    printed = capsys.readouterr().out
    assert "gatys default painting.png" in printed
    assert "Networks are computed on the CPU by" in printed
    assert "Photos are optimized on the CPU by torch" in printed
    for photo in ("a.jpg", "b.png", "below/c.jpeg"):
        output = Path("out/gatys", photo).with_suffix(".png")
        before, after = pixels(f"photos/{photo}"), pixels(str(output))
        assert before.size == after.size
        assert ImageChops.difference(before, after).getbbox() is not None


def test_old_keys_are_read_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    new = resolved("{history_size: 7}")
    old = resolved("{memory: 7, batch_size: 4}")
    assert old == new
    notes = capsys.readouterr().err
    assert "gatys.memory: this key is now called history_size" in notes
    assert "gatys.batch_size: this key no longer has an effect" in notes


@pytest.mark.slow
def test_an_optimization_can_start_from_the_fast_network() -> None:
    # One evaluation does not change the image.
    assert run("batches.gatys.gatys={init: fast, iterations: 1, levels: 1}") == 0
    for name in ("a", "b", "below/c"):
        assert pixels(f"out/fast/{name}.png").tobytes() == pixels(f"out/gatys/{name}.png").tobytes()


@pytest.mark.slow
def test_weights_can_be_a_file(vgg19: Path) -> None:
    assert run(f"batches.gatys.gatys={{recipe: gatys2016, iterations: 2, weights: {vgg19}}}") == 0
    assert statuses("out/gatys") == ["done"] * 3


@pytest.mark.parametrize("weights", ["gone.pth", "painting.png", "style.safetensors"])
def test_unusable_weights_are_an_error_before_the_run(
    weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"batches.gatys.gatys={{recipe: gatys2016, weights: {weights}}}") == 2
    error = capsys.readouterr().err
    assert weights in error
    assert error.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.slow
def test_a_loss_that_is_nan_fails_the_image_and_not_the_run(
    vgg19: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(vgg19, weights_only=True)
    state["features.0.bias"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    options = "{recipe: gatys2016, iterations: 2, weights: nan.pth}"
    assert run(f"batches.gatys.gatys={options}") == 3
    assert statuses("out/gatys") == ["failed"] * 3
    assert statuses("out/fast") == ["done"] * 3
    assert "The image could not be stylized: The loss of the image is not finite" in (
        capsys.readouterr().out
    )


@pytest.mark.slow
def test_without_weights_and_network_a_preset_of_a_paper_is_an_error_before_the_run(
    tmp_path: Path,
) -> None:
    nowhere = "http://127.0.0.1:9"  # The discard port, where no server answers.
    setting = "batches.gatys.gatys.recipe=gatys2016"
    environment = {**os.environ, "TORCH_HOME": str(tmp_path / "empty"), "https_proxy": nowhere}
    done = subprocess.run(
        [sys.executable, "-m", "stylebeam", "run", "config.yaml", f"--set={setting}"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    for way in ("internet connection", "place vgg19-", "`loss_network: embedded`"):
        assert way in done.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{style_image: gone.png}", "style_image: gone.png cannot be read"),
        ("{style_image: config.yaml}", "style_image: config.yaml: The file is not an image"),
        ("{style_image: {painting.png: 0}}", "style_image: style_image needs a part above 0"),
        ("{recipe: gatys}", "did you mean gatys2016?"),
        ("{content_layers: {relu4_3: 1}}", "content_layers: embedded has no layer relu4_3"),
        ("{recipe: sum_of_squares, loss_network: embedded}", "embedded has no layer conv"),
        ("{finish: vgg19, loss_network: vgg19}", "comes after loss_network: embedded"),
        ("{content_weight: 0, style_weight: 0}", "must not both be 0"),
        ("{weights: vgg.pth}", "weights: are those of VGG, and loss_network: embedded"),
        ("{iterations: 0}", "iterations: must be at least 1, not 0"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: str, message: str) -> None:
    with pytest.raises(ConfigError) as mistakes:
        resolved(options)
    assert len(mistakes.value.mistakes) == 1
    assert message in str(mistakes.value)


@pytest.mark.parametrize(("init", "with_networks"), [("content", False), ("fast", True)])
def test_a_run_says_what_computes(
    init: str, with_networks: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in CONFIG.splitlines(keepends=True) if "output: out/g" in line]
    before = CONFIG[: CONFIG.index("  - ")]
    Path("config.yaml").write_text(before + "".join(lines) + "run: {device: cpu}\n")
    assert run(f"batches.gatys.gatys={{init: {init}, iterations: 1, levels: 1}}") == 0
    printed = capsys.readouterr().out
    assert "Photos are optimized on the CPU by torch" in printed
    assert ("Networks are computed" in printed) == with_networks


def test_init_fast_needs_a_fast_network() -> None:
    text = Path("config.yaml").read_text().replace("  fast: {style: style.safetensors}\n", "")
    Path("config.yaml").write_text(text.replace("  - {name: fast, output: out/fast}\n", ""))
    with pytest.raises(ConfigError, match="init: fast needs options, as in fast: "):
        load_config("config.yaml", RunConfig, ["batches.gatys.gatys.init=fast"])


def test_a_preset_gives_the_values_that_are_not_given(vgg19: Path) -> None:
    chosen = resolved(f"{{recipe: gatys2016, style_weight: 7.0, weights: {vgg19}}}").settings
    assert (chosen.style_weight, chosen.init, chosen.iterations) == (7.0, "noise", 3)
    assert resolved("{}").settings.init == "content"


def test_what_changes_pixels_changes_the_digest(folder: Path, vgg19: Path) -> None:
    def digest(options: str) -> str:
        return Recipe("gatys", resolved(options), "png", 92).digest

    before = digest("{}")
    for other in (
        "{style_weight: 5.0}",
        "{style_image: other.png}",
        "{style_image: {painting.png: 1, other.png: 1}}",
        "{init: fast}",
        f"{{finish: vgg19, weights: {vgg19}}}",
    ):
        assert digest(other) != before
    (folder / "moved.png").write_bytes((folder / "painting.png").read_bytes())
    assert digest("{style_image: moved.png}") == before
    assert digest("{style_image: {painting.png: 5}}") == before
    (folder / "painting.png").write_bytes((folder / "other.png").read_bytes())
    assert digest("{}") != before


def test_a_painting_that_changed_since_the_start_of_the_run_is_refused(folder: Path) -> None:
    before = resolved("{}")
    (folder / "painting.png").write_bytes((folder / "other.png").read_bytes())
    with pytest.raises(MethodError, match=r"painting.png is not the file that the run was started"):
        before.load(Resources(torch.device("cpu"), ONE_IMAGE))


@pytest.mark.slow
def test_the_record_of_a_run_has_its_options() -> None:
    assert run() == 0
    [of_batch] = json.loads(Path("out/gatys/_stylebeam/run.json").read_text())["batches"]
    assert of_batch["gatys"]["style_image"] == {"painting.png": 1.0}
    assert of_batch["gatys"]["iterations"] == 3
    assert of_batch["weights"] == resolved("{iterations: 3}").network_key


@pytest.mark.slow
def test_one_image_in_the_style_of_a_painting(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["stylize", "photos/a.jpg", "styled.png", "--style-image", "painting.png"]
    assert main([*command, "--set", "iterations=3", "--device", "cpu"]) == 0
    assert run() == 0
    assert pixels("styled.png").tobytes() == pixels("out/gatys/a.png").tobytes()
    fast = ["--set", "init=fast", "--set", "iterations=1", "--set", "levels=1"]
    assert main([*command, *fast, "--style", "style.safetensors", "--device", "cpu"]) == 0
    # All cores compute the one image, and sum in a different order.
    difference = ImageChops.difference(pixels("styled.png"), pixels("out/fast/a.png"))
    assert max(high for _, high in difference.getextrema()) <= 4
    assert main([*command, "--style", "style.safetensors", "--optimize"]) == 2
    assert "only with --set init=fast" in capsys.readouterr().err
    assert main([*command, *fast]) == 2
    assert "init: fast needs --style" in capsys.readouterr().err
    assert main([*command, "--set", "iteration=3"]) == 2
    assert "did you mean iterations?" in capsys.readouterr().err
    assert main(command[:3]) == 2


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"iterations": 100, "levels": 1}, 7 + 2 * 100),
        ({"iterations": 80, "levels": 2}, 7 + 2 * 80 * 1.125),
        ({"iterations": 10, "levels": 1, "finish": "vgg19", "finish_iterations": 30}, 7 + 20 + 150),
    ],
)
def test_the_time_of_an_optimization_is_extrapolated_from_a_few_evaluations(
    options: dict[str, object], seconds: float
) -> None:
    def measured(method: ResolvedGatys, rounds: int) -> float:
        settings = method.settings
        assert settings.iterations < 10
        finish = settings.finish_iterations if settings.finish != "none" else 0
        return 7 + 2 * settings.iterations + 5 * finish

    method = ResolvedGatys(OptimizationSettings(**options), (), ())
    assert method.measure(measured) == pytest.approx(seconds)
