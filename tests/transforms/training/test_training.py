"""Training: it learns, it resumes exactly, it says what is wrong."""

import contextlib
import fcntl
import itertools
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stylebeam.transforms.checkpoints import parse_checkpoint
from stylebeam.transforms.losses.vgg import Vgg
from stylebeam.transforms.training import loop
from stylebeam.transforms.training.clock import one_cycle
from stylebeam.transforms.training.data import ContentCrops, list_images
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_recipe import RecipeError, TrainingError
from stylebeam.transforms.training.style import train
from stylebeam.transforms.training.style_recipe import TrainingRecipe


@pytest.fixture
def recipe(
    tmp_path: Path,
    gradient: Callable[[int, int], Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> TrainingRecipe:
    """A small training, with a loss network of random weights in torch.hub's cache."""
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    network = Vgg("vgg16", ["relu2_2"])
    network.features.to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    torch.save(network.state_dict(), cache / "vgg16-397923af.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    gradient(70, 60).rotate(90).save(tmp_path / "painting.png")
    (tmp_path / "photos").mkdir()
    for number in range(4):
        gradient(80 + number, 64).save(tmp_path / "photos" / f"{number}.png")
    return TrainingRecipe(
        style_image=tmp_path / "painting.png",
        content_images=tmp_path / "photos",
        output=tmp_path / "style.safetensors",
        loss_network="vgg16",
        content_weights={"relu2_2": 1.0},
        style_weights={"relu1_2": 1.0},
        total_variation_weight=25.0,
        style_size=48,
        crop_size=32,
        iterations=6,
        device="cpu",
    )


def test_the_loss_falls_and_a_checkpoint_is_written(
    recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_ITERATIONS_PER_REPORT", 1)
    lines: list[str] = []
    train(recipe.model_copy(update={"iterations": 25}), lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert len(losses) == 25
    assert sum(losses[-5:]) < sum(losses[:5])
    checkpoint = parse_checkpoint(recipe.output.read_bytes())
    assert list(checkpoint.styles) == ["style"]
    about = checkpoint.styles["style"].training
    assert about["style_image"] == "painting.png"
    assert about["content_images"] == "4 photographs"
    checkpoint.build()


def test_a_checkpoint_builds_the_network_that_was_trained(recipe: TrainingRecipe) -> None:
    change = {"network": "depsep_nn", "network_arguments": {"channel_multiplier": 1}}
    trained = train(recipe.model_copy(update={**change, "iterations": 1}), lambda line: None)
    checkpoint = parse_checkpoint(recipe.output.read_bytes())
    photo, none = torch.rand(1, 3, 32, 40), torch.zeros(1, 0)
    with torch.inference_mode():
        torch.testing.assert_close(
            checkpoint.build()(photo, none), trained.build()(photo, none), atol=2e-3, rtol=0
        )
    assert checkpoint.arguments == {"channel_multiplier": 1}


@pytest.fixture
def many_styles(recipe: TrainingRecipe) -> TrainingRecipe:
    """A small training of one network for two paintings."""
    folder = recipe.content_images.with_name("paintings")
    folder.mkdir()
    painting = Image.open(recipe.style_image)
    painting.save(folder / "one.png")
    ImageOps.invert(painting.rotate(90, expand=True)).save(folder / "two.png")
    return recipe.model_copy(
        update={
            "style_image": None,
            "style_images": folder,
            "network": "multi_style",
            "network_arguments": {"channels": 16, "blocks": 1},
        }
    )


def test_one_network_learns_many_styles(many_styles: TrainingRecipe) -> None:
    train(many_styles, lambda line: None)
    checkpoint = parse_checkpoint(many_styles.output.read_bytes())
    assert list(checkpoint.styles) == ["one", "two"]
    one, two = checkpoint.styles.values()
    assert (one.training["style_image"], two.training["style_image"]) == ("one.png", "two.png")
    assert not torch.equal(one.vector, two.vector)
    assert one.training["grid_weight"] == 10000.0
    assert str(many_styles.content_images.parent) not in json.dumps([one.training, two.training])
    checkpoint.build()


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, 0.005),
        ({"add_to": "x.safetensors"}, 0.05),
        ({"add_to": "x.safetensors", "learning_rate": 0.5}, 0.5),
    ],
)
def test_a_vector_alone_learns_faster_unless_a_rate_is_given(given: dict, rate: float) -> None:
    needed = {"style_image": "a.png", "content_images": "photos", "output": "b.safetensors"}
    assert TrainingRecipe.model_validate({**needed, **given}).learning_rate == rate


def test_a_style_is_added_and_all_else_stays_as_it_was(
    many_styles: TrainingRecipe, recipe: TrainingRecipe
) -> None:
    train(many_styles, lambda line: None)
    before = parse_checkpoint(many_styles.output.read_bytes())
    more = recipe.model_copy(
        update={"add_to": many_styles.output, "output": many_styles.output.with_stem("more")}
    )
    train(more, lambda line: None)
    after = parse_checkpoint(more.output.read_bytes())
    assert list(after.styles) == ["one", "two", "painting"]
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        assert torch.equal(tensor, after.tensors[name]), name
    for name, style in before.styles.items():
        assert torch.equal(style.vector, after.styles[name].vector)
        assert style.training == after.styles[name].training
    mean = (before.styles["one"].vector + before.styles["two"].vector) / 2
    assert not torch.equal(after.styles["painting"].vector, mean)
    assert after.styles["painting"].training["add_to"] == "style.safetensors"
    with pytest.raises(RecipeError, match="has a style painting already"):
        train(more.model_copy(update={"add_to": more.output}), print)


def test_a_training_goes_on_from_a_checkpoint(many_styles: TrainingRecipe) -> None:
    train(many_styles, lambda line: None)
    before = parse_checkpoint(many_styles.output.read_bytes())
    with Image.open(many_styles.style_images / "one.png") as painting:
        painting.rotate(180).save(many_styles.style_images / "three.png")
    (many_styles.style_images / "one.png").unlink()
    output = many_styles.output.with_stem("further")
    # What is learned at this rate is lost in rounding.
    change = {"start": many_styles.output, "output": output, "learning_rate": 1e-12}
    train(many_styles.model_copy(update=change), lambda line: None)
    after = parse_checkpoint(output.read_bytes())
    for name, tensor in before.tensors.items():
        assert torch.equal(tensor, after.tensors[name]), name
    assert list(after.styles) == ["three", "two"]
    assert torch.equal(after.styles["two"].vector, before.styles["two"].vector)
    mean = (before.styles["one"].vector.float() + before.styles["two"].vector.float()) / 2
    assert torch.equal(after.styles["three"].vector, mean.half())
    assert after.styles["two"].training["start"] == "style.safetensors"


def test_a_training_goes_on_from_the_same_network_only(
    recipe: TrainingRecipe, checkpoint_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"johnson with \{\}, that of the recipe depsep"):
        train(recipe.model_copy(update={"start": checkpoint_path, "network": "depsep"}), print)
    with pytest.raises(RecipeError, match=r"start: .*painting\.png cannot be read"):
        train(recipe.model_copy(update={"start": recipe.style_image}), print)


def test_a_style_is_not_added_to_a_network_of_one_style(
    recipe: TrainingRecipe, checkpoint_path: Path
) -> None:
    with pytest.raises(RecipeError, match="johnson, is of one style"):
        train(recipe.model_copy(update={"add_to": checkpoint_path}), print)
    with pytest.raises(RecipeError, match=r"add_to: .*painting\.png cannot be read"):
        train(recipe.model_copy(update={"add_to": recipe.style_image}), print)


def test_paintings_of_one_name_are_refused(many_styles: TrainingRecipe) -> None:
    Image.open(many_styles.style_images / "one.png").save(many_styles.style_images / "one.jpg")
    with pytest.raises(RecipeError, match="would be one style, one: rename one"):
        train(many_styles, print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style_image": None}, "style_image or style_images, one of the two"),
        ({"style_images": "paintings"}, "style_image or style_images, one of the two"),
        ({"style_image": None, "style_images": "x"}, "style_images needs network: multi_style"),
        ({"add_to": "x.safetensors", "network": "johnson"}, "are those of the checkpoint"),
        ({"add_to": "x.safetensors", "start": "x.safetensors"}, "add_to or start, not both"),
        ({"network": "super_resolution"}, "no style network 'super_resolution'; there is johnson"),
    ],
)
def test_what_a_recipe_says_must_go_together(
    recipe: TrainingRecipe, change: dict[str, object], message: str
) -> None:
    given = recipe.model_dump(exclude={"network", "network_arguments"})
    with pytest.raises(ValidationError, match=message):
        TrainingRecipe(**{**given, **change})


def test_what_is_written_is_the_moving_average(recipe: TrainingRecipe) -> None:
    """Of a parameter that goes from 0 to 5 by steps of 1."""

    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = torch.nn.Parameter(torch.zeros(()))

    class Step(torch.optim.Optimizer):
        def __init__(self, parameters: object) -> None:
            super().__init__(parameters, {"lr": 1.0})

        def step(self) -> None:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data += 1

    expected = 1.0
    for iteration, decay in enumerate((2 / 11, 3 / 12, 0.3, 0.3), 2):
        expected = decay * expected + (1 - decay) * iteration
    for ema_decay, value in ((0.3, expected), (0.0, 5.0)):
        counter = Counter()
        run_iterations(
            recipe.model_copy(update={"iterations": 5}),
            counter,
            ContentCrops(list_images(recipe.content_images), 32, seed=1),
            lambda iteration, batch, counter=counter: {"loss": counter.count * 0},
            lambda line: None,
            [Step(counter.parameters())],
            ema_decay,
        )
        assert counter.count.item() == pytest.approx(value)


def test_held_out_photographs_judge_and_are_not_learned_from(
    recipe: TrainingRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_ITERATIONS_PER_STATE", 3)
    folder = tmp_path / "log"
    judged = recipe.model_copy(update={"held_out": ("0.png",), "tensorboard": folder})
    lines: list[str] = []
    checkpoint = train(judged, lines.append)
    assert len([line for line in lines if line.startswith("held-out loss")]) == 2
    about = checkpoint.styles["style"].training
    assert about["content_images"] == "3 photographs"
    assert "tensorboard" not in about
    log = EventAccumulator(str(folder), size_guidance={"images": 0})
    log.Reload()
    assert {"loss", "loss: style", "held-out loss"} <= set(log.Tags()["scalars"])
    assert [event.step for event in log.Scalars("held-out loss: style")] == [3, 6]
    assert log.Tags()["images"]


def test_a_log_without_its_package_is_said(
    recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RecipeError, match="pip install tensorboard"):
        train(recipe.model_copy(update={"tensorboard": Path("log")}), print)


def test_a_killed_training_goes_on_as_if_nothing_had_happened(
    recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_ITERATIONS_PER_STATE", 2)
    monkeypatch.setattr(loop, "_ITERATIONS_PER_REPORT", 1)
    whole = train(recipe, lambda line: None)

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("iteration 4/"):
            raise KilledError

    recipe.output.unlink()
    with pytest.raises(KilledError):
        train(recipe, kill)
    assert not recipe.output.exists()
    lines: list[str] = []
    resumed = train(recipe, lines.append)
    assert "Going on from iteration 2" in lines[0]
    assert lines[1].startswith("iteration 3/6")
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, resumed.tensors[name]), name
    assert not recipe.output.with_name("style.safetensors.state").exists()


def test_it_trains_for_as_many_minutes_as_asked_for(
    recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that goes on by six seconds at every look."""
    ticks = itertools.count(step=6)
    monkeypatch.setattr("stylebeam.transforms.training.clock.time.monotonic", lambda: next(ticks))
    lines: list[str] = []
    train(recipe.model_copy(update={"minutes": 1.0, "iterations": 1}), lines.append)
    iteration, minutes = re.match(r"iteration (\d+), ([\d.]+) of 1 minutes", lines[-1]).groups()
    assert 5 <= int(iteration) <= 15
    assert 1.0 <= float(minutes) <= 1.2
    trained = parse_checkpoint(recipe.output.read_bytes())
    assert trained.styles["style"].training["iterations"] == int(iteration)


def test_however_little_time_there_is_one_iteration_is_done(recipe: TrainingRecipe) -> None:
    checkpoint = train(recipe.model_copy(update={"minutes": 1e-9}), lambda line: None)
    assert checkpoint.styles["style"].training["iterations"] == 1


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [one_cycle(fraction / 100) for fraction in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[10] == max(rates) == pytest.approx(1)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_the_state_of_another_recipe_is_not_taken_up(
    recipe: TrainingRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_ITERATIONS_PER_STATE", 2)
    monkeypatch.setattr(loop, "_ITERATIONS_PER_REPORT", 3)

    def kill(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, kill)
    with pytest.raises(RecipeError, match="unfinished state of another recipe"):
        train(recipe.model_copy(update={"seed": 5}), print)


def test_a_damaged_state_is_said(recipe: TrainingRecipe) -> None:
    recipe.output.with_name("style.safetensors.state").write_bytes(b"half a sta")
    with pytest.raises(RecipeError, match=r"cannot be read.*Delete it to start anew"):
        train(recipe, print)


def test_a_damaged_photograph_is_named(recipe: TrainingRecipe) -> None:
    for photograph in recipe.content_images.iterdir():
        photograph.write_text("no image")
    with pytest.raises(TrainingError, match=r"photos/\d\.png: The file is not an image"):
        train(recipe, print)


def test_a_photograph_that_is_gone_stops_and_the_same_command_goes_on(
    recipe: TrainingRecipe,
) -> None:
    def gone(folder: str) -> list[Path]:
        return [Path(folder) / "gone.png"]

    with pytest.raises(TrainingError, match=r"gone\.png.* Give the same command again"):
        train(recipe, print, gone)


def test_a_terminal_shows_a_bar_with_the_loss_and_the_time_left(recipe: TrainingRecipe) -> None:
    settings = recipe.model_copy(update={"iterations": 40}).model_dump_json(exclude={"minutes"})
    path = recipe.output.with_name("config.yaml")
    path.write_text(settings)
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "stylebeam", "train", str(path)],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(terminal)
        shown = b""
        # Reading a terminal that the other side has closed raises OSError.
        with contextlib.suppress(OSError):
            while part := os.read(master, 4096):
                shown += part
        printed = process.stdout.read().decode()
    os.close(master)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.decode())
    progress = r"[\d:]+ elapsed, [\d:]+ left, iteration"
    assert re.search(rf"50% \S+ {progress} 20, loss \d", text)
    assert re.search(rf"100% \S+ {progress} 40, loss \d", text)
    assert "iteration" not in printed


def test_crops_depend_on_seed_and_number_alone(recipe: TrainingRecipe) -> None:
    crops = ContentCrops(list_images(recipe.content_images), 32, seed=1)
    again = ContentCrops(list_images(recipe.content_images), 32, seed=1)
    other = ContentCrops(list_images(recipe.content_images), 32, seed=2)
    assert torch.equal(crops[57], again[57])
    assert not torch.equal(crops[57], crops[58])
    assert not torch.equal(crops[57], other[57])
    assert crops[3].shape == (3, 32, 32)
    assert 0 <= crops[3].min() < crops[3].max() <= 1


def test_an_infinite_loss_stops_with_what_to_change(recipe: TrainingRecipe) -> None:
    wild = recipe.model_copy(update={"content_weights": {"relu2_2": 1e39}})
    with pytest.raises(TrainingError, match="no longer finite at iteration 0: lower learning_rate"):
        train(wild, print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style_image": Path("nowhere.jpg")}, "style_image: nowhere.jpg cannot be read"),
        ({"content_images": Path("nowhere")}, "no images in nowhere"),
        ({"network": "jonson"}, "network or network_arguments: There is no network 'jonson'"),
        ({"network_arguments": {"depth": 3}}, "network or network_arguments: .* 'depth'"),
        ({"style_weights": {"relu9_9": 1.0}}, "no layer relu9_9"),
        ({"output": Path("style.pth")}, "must end in .safetensors"),
        ({"output": Path("/proc/style.safetensors")}, "cannot be written"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(
    recipe: TrainingRecipe, change: dict[str, object], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        train(recipe.model_copy(update=change), print)


def test_a_vgg_is_not_trained_with_by_weights_meant_for_the_embedded_network(
    recipe: TrainingRecipe,
) -> None:
    given = recipe.model_dump(exclude={"style_weights", "total_variation_weight"})
    with pytest.raises(
        ValidationError, match=r"style_weights, total_variation_weight must be given with .* vgg16"
    ):
        TrainingRecipe(**given)
    assert TrainingRecipe(**{**given, "loss_network": "embedded"}).style_weights["relu5_1"] > 0
