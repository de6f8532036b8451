"""Tests of trainings: they learn, they resume exactly, and their errors name what is wrong."""

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
from concurrent.futures import ThreadPoolExecutor
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
from stylebeam.transforms.training.data import ContentCrops, Draw, TrainingImages, list_images
from stylebeam.transforms.training.loop import run_iterations
from stylebeam.transforms.training.loop_config import ConfigValueError, TrainingError
from stylebeam.transforms.training.style import train
from stylebeam.transforms.training.style_config import StyleTrainingConfig


@pytest.fixture
def config(
    tmp_path: Path,
    gradient: Callable[[int, int], Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> StyleTrainingConfig:
    """A small training; the loss network has random weights, in torch.hub's cache."""
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
    return StyleTrainingConfig(
        style_image=tmp_path / "painting.png",
        content_images=tmp_path / "photos",
        output=tmp_path / "style.safetensors",
        network="johnson",
        loss_network="vgg16",
        content_weights={"relu2_2": 1.0},
        style_weights={"relu1_2": 1.0},
        total_variation_weight=25.0,
        color_weight=20.0,
        style_size=48,
        crop_size=32,
        iterations=6,
        device="cpu",
    )


@pytest.mark.slow
def test_the_loss_falls_and_a_checkpoint_is_written(
    config: StyleTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_REPORT", 1)
    lines: list[str] = []
    train(config.model_copy(update={"iterations": 25}), lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert len(losses) == 25
    assert sum(losses[-5:]) < sum(losses[:5])
    checkpoint = parse_checkpoint(config.output.read_bytes())
    assert list(checkpoint.styles) == ["style"]
    about = checkpoint.styles["style"].training
    assert about["style_image"] == "painting.png"
    assert about["content_images"] == "4 photographs"
    checkpoint.build()


def test_a_checkpoint_builds_the_network_that_was_trained(config: StyleTrainingConfig) -> None:
    change = {"network": "depsep_nn", "network_arguments": {"channel_multiplier": 1}}
    trained = train(config.model_copy(update={**change, "iterations": 1}), lambda line: None)
    checkpoint = parse_checkpoint(config.output.read_bytes())
    photo, none = torch.rand(1, 3, 32, 40), torch.zeros(1, 0)
    with torch.inference_mode():
        torch.testing.assert_close(
            checkpoint.build()(photo, none), trained.build()(photo, none), atol=2e-3, rtol=0
        )
    assert checkpoint.arguments == {"channel_multiplier": 1}


def test_a_training_without_a_network_trains_multi_style(config: StyleTrainingConfig) -> None:
    given = config.model_dump(exclude={"network"})
    given["network_arguments"] = {"channels": 16, "blocks": 1}
    trained = train(StyleTrainingConfig(**given), lambda line: None)
    assert trained.network == "multi_style"
    assert list(trained.styles) == ["painting"]


def test_the_documentation_names_the_default_network() -> None:
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    [documented] = re.findall(r"`(\w+)`, the\s+default", text)
    assert documented == StyleTrainingConfig.model_fields["network"].default


@pytest.fixture
def many_styles(config: StyleTrainingConfig) -> StyleTrainingConfig:
    """A small training of one network on two paintings."""
    folder = config.content_images.with_name("paintings")
    folder.mkdir()
    painting = Image.open(config.style_image)
    painting.save(folder / "one.png")
    ImageOps.invert(painting.rotate(90, expand=True)).save(folder / "two.png")
    return config.model_copy(
        update={
            "style_image": None,
            "style_images": folder,
            "network": "multi_style",
            "network_arguments": {"channels": 16, "blocks": 1},
        }
    )


def test_one_network_learns_many_styles(many_styles: StyleTrainingConfig) -> None:
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
def test_a_vector_alone_has_a_higher_default_learning_rate(given: dict, rate: float) -> None:
    needed = {"style_image": "a.png", "content_images": "photos", "output": "b.safetensors"}
    assert StyleTrainingConfig.model_validate({**needed, **given}).learning_rate == rate


def test_adding_a_style_leaves_the_rest_of_the_checkpoint_unchanged(
    many_styles: StyleTrainingConfig, config: StyleTrainingConfig
) -> None:
    train(many_styles, lambda line: None)
    before = parse_checkpoint(many_styles.output.read_bytes())
    more = config.model_copy(
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
    with pytest.raises(ConfigValueError, match="has a style painting already"):
        train(more.model_copy(update={"add_to": more.output}), print)


def test_a_training_can_start_from_a_checkpoint(many_styles: StyleTrainingConfig) -> None:
    train(many_styles, lambda line: None)
    before = parse_checkpoint(many_styles.output.read_bytes())
    with Image.open(many_styles.style_images / "one.png") as painting:
        painting.rotate(180).save(many_styles.style_images / "three.png")
    (many_styles.style_images / "one.png").unlink()
    output = many_styles.output.with_stem("further")
    # At this learning rate, updates are smaller than the rounding to float16.
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


def test_the_checkpoint_to_start_from_must_have_the_same_network(
    config: StyleTrainingConfig, checkpoint_path: Path
) -> None:
    with pytest.raises(ConfigValueError, match=r"johnson with \{\}, but the config has depsep"):
        train(config.model_copy(update={"start": checkpoint_path, "network": "depsep"}), print)
    with pytest.raises(ConfigValueError, match=r"start: .*painting\.png cannot be read"):
        train(config.model_copy(update={"start": config.style_image}), print)


def test_a_style_cannot_be_added_to_a_network_of_a_single_style(
    config: StyleTrainingConfig, checkpoint_path: Path
) -> None:
    with pytest.raises(ConfigValueError, match="johnson, has a single style"):
        train(config.model_copy(update={"add_to": checkpoint_path}), print)
    with pytest.raises(ConfigValueError, match=r"add_to: .*painting\.png cannot be read"):
        train(config.model_copy(update={"add_to": config.style_image}), print)


def test_paintings_of_the_same_name_are_refused(many_styles: StyleTrainingConfig) -> None:
    Image.open(many_styles.style_images / "one.png").save(many_styles.style_images / "one.jpg")
    with pytest.raises(ConfigValueError, match="have the same name, one: rename one"):
        train(many_styles, print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style_image": None}, "give either style_image or style_images"),
        ({"style_images": "paintings"}, "give either style_image or style_images"),
        (
            {"style_image": None, "style_images": "x", "network": "johnson"},
            "style_images needs network: multi_style or any_style, not johnson",
        ),
        ({"add_to": "x.safetensors", "network": "johnson"}, "the checkpoint has its own"),
        ({"add_to": "x.safetensors", "start": "x.safetensors"}, "add_to or start, not both"),
        (
            {"network": "super_resolution"},
            "no style network 'super_resolution'; the style networks are johnson",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    config: StyleTrainingConfig, change: dict[str, object], message: str
) -> None:
    given = config.model_dump(exclude={"network", "network_arguments"})
    with pytest.raises(ValidationError, match=message):
        StyleTrainingConfig(**{**given, **change})


def test_the_trained_model_has_the_moving_average_of_its_weights(
    config: StyleTrainingConfig,
) -> None:
    """The parameter goes from 0 to 5 in steps of 1."""

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
            config.model_copy(update={"iterations": 5}),
            counter,
            ContentCrops(TrainingImages(list_images(config.content_images)), 32, seed=1),
            lambda iteration, batch, counter=counter: {"loss": counter.count * 0},
            lambda line: None,
            [Step(counter.parameters())],
            ema_decay,
        )
        assert counter.count.item() == pytest.approx(value)


def test_the_loss_on_held_out_photos_is_reported_and_logged(
    config: StyleTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_STATE", 3)
    folder = tmp_path / "log"
    validated = config.model_copy(update={"held_out": ("0.png",), "tensorboard": folder})
    lines: list[str] = []
    checkpoint = train(validated, lines.append)
    assert len([line for line in lines if line.startswith("held-out loss")]) == 2
    about = checkpoint.styles["style"].training
    assert about["content_images"] == "3 photographs"
    assert "tensorboard" not in about
    log = EventAccumulator(str(folder), size_guidance={"images": 0})
    log.Reload()
    assert {"loss", "loss: style", "held-out loss"} <= set(log.Tags()["scalars"])
    assert [event.step for event in log.Scalars("held-out loss: style")] == [3, 6]
    assert log.Tags()["images"]


def test_a_tensorboard_log_without_the_package_is_an_error(
    config: StyleTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigValueError, match="pip install tensorboard"):
        train(config.model_copy(update={"tensorboard": Path("log")}), print)


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_result(
    config: StyleTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_STATE", 2)
    monkeypatch.setattr(loop, "ITERATIONS_PER_REPORT", 1)
    (config.content_images / "2.png").write_text("no image")
    lines: list[str] = []
    whole = train(config, lines.append)
    [damaged] = [line for line in lines if "is left out:" in line]
    assert damaged.endswith("photos/2.png: The file is not an image of a known kind.")
    assert lines[-1] == "1 of 4 images were left out: they cannot be read."

    class KilledError(Exception):
        pass

    def kill(line: str) -> None:
        if line.startswith("iteration 4/"):
            raise KilledError

    config.output.unlink()
    with pytest.raises(KilledError):
        train(config, kill)
    assert not config.output.exists()
    lines.clear()
    resumed = train(config, lines.append)
    assert "Resuming from iteration 2" in lines[0]
    iterations = [line for line in lines if line.startswith("iteration")]
    assert iterations[0].startswith("iteration 3/6")
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, resumed.tensors[name]), name
    assert not config.output.with_name("style.safetensors.state").exists()


def test_the_length_of_a_training_can_be_given_in_minutes(
    config: StyleTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock advances by six seconds with every call."""
    ticks = itertools.count(step=6)
    monkeypatch.setattr("stylebeam.transforms.training.clock.time.monotonic", lambda: next(ticks))
    lines: list[str] = []
    train(config.model_copy(update={"minutes": 1.0, "iterations": 1}), lines.append)
    iteration, minutes = re.match(r"iteration (\d+), ([\d.]+) of 1 minutes", lines[-1]).groups()
    assert 5 <= int(iteration) <= 15
    assert 1.0 <= float(minutes) <= 1.2
    trained = parse_checkpoint(config.output.read_bytes())
    assert trained.styles["style"].training["iterations"] == int(iteration)


def test_at_least_one_iteration_is_done(config: StyleTrainingConfig) -> None:
    checkpoint = train(config.model_copy(update={"minutes": 1e-9}), lambda line: None)
    assert checkpoint.styles["style"].training["iterations"] == 1


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rates = [one_cycle(fraction / 100) for fraction in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[10] == max(rates) == pytest.approx(1)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_the_state_of_another_config_is_not_resumed(
    config: StyleTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "ITERATIONS_PER_STATE", 2)
    monkeypatch.setattr(loop, "ITERATIONS_PER_REPORT", 3)

    def kill(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, kill)
    with pytest.raises(ConfigValueError, match="unfinished state of another config"):
        train(config.model_copy(update={"seed": 5}), print)


def test_a_damaged_state_file_is_an_error(config: StyleTrainingConfig) -> None:
    config.output.with_name("style.safetensors.state").write_bytes(b"half a sta")
    with pytest.raises(ConfigValueError, match=r"cannot be read.*Delete it to start again"):
        train(config, print)


def test_a_training_without_any_photo_that_can_be_read_is_an_error(
    config: StyleTrainingConfig,
) -> None:
    for photograph in config.content_images.iterdir():
        photograph.write_text("no image")
    message = r"None of the 4 images can be read\. .*photos/\d\.png: The file is not an image"
    with pytest.raises(TrainingError, match=message):
        train(config, print)


class UnsteadyFile:
    """A photo in a storage that does not answer after a number of reads."""

    name = "photo.png"

    def __init__(self, path: Path, reads: int) -> None:
        self._path, self._reads = path, itertools.count(reads, -1)

    def read_bytes(self) -> bytes:
        if next(self._reads) <= 0:
            raise OSError("the storage does not answer.")
        return self._path.read_bytes()


def test_a_storage_that_does_not_answer_stops_the_training_and_nothing_is_lost(
    config: StyleTrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Crops are read in order, one at a time.
    monkeypatch.setattr(loop, "_LOADERS", 1)
    photo = config.content_images / "0.png"
    whole = train(config, lambda line: None, lambda folder: [UnsteadyFile(photo, 100)])
    with pytest.raises(TrainingError, match=r"does not answer\. Give the same command again"):
        train(config, lambda line: None, lambda folder: [UnsteadyFile(photo, 3)])
    lines: list[str] = []
    resumed = train(config, lines.append, lambda folder: [UnsteadyFile(photo, 100)])
    assert lines[0] == "Resuming from iteration 3."
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, resumed.tensors[name]), name


@pytest.mark.parametrize("kind", ["damaged", "missing", "folder", "not allowed"])
def test_an_image_that_cannot_be_read_is_replaced_by_the_next(
    config: StyleTrainingConfig, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = list_images(config.content_images)
    drawn = [TrainingImages(files).drawn(Draw(1, number)) for number in range(30)]
    spoiled = files[3]
    if kind == "damaged":
        spoiled.write_bytes(spoiled.read_bytes()[:100])
    elif kind == "not allowed":
        read = Path.read_bytes

        def refuse(path: Path) -> bytes:
            if path == spoiled:
                raise PermissionError(13, "Permission denied", str(path))
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", refuse)
    else:
        spoiled.unlink()
        if kind == "folder":
            spoiled.mkdir()
    lines: list[str] = []
    images = TrainingImages(files, lines.append)
    # Their widths tell the photos apart: 80, 81, 82 and 83.
    expected = [80 if each.shape[2] == 83 else each.shape[2] for each in drawn]
    assert expected.count(80) > [each.shape[2] for each in drawn].count(80)
    with ThreadPoolExecutor(8) as threads:
        again = threads.map(lambda number: images.drawn(Draw(1, number)), range(30))
        assert [each.shape[2] for each in again] == expected
    [line] = lines
    assert line.startswith(f"An image is left out: {spoiled}: ")
    images.report_left_out()
    assert lines[1] == "1 of 4 images were left out: they cannot be read."


@pytest.mark.slow
def test_a_terminal_shows_a_bar_with_the_loss_and_the_time_left(
    config: StyleTrainingConfig,
) -> None:
    small = {"network": "multi_style", "network_arguments": {"channels": 16, "blocks": 1}}
    longer = config.model_copy(update={**small, "iterations": 40})
    settings = longer.model_dump_json(exclude={"minutes"})
    path = config.output.with_name("config.yaml")
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


def test_crops_depend_only_on_the_seed_and_their_number(config: StyleTrainingConfig) -> None:
    images = TrainingImages(list_images(config.content_images))
    crops, again, other = (ContentCrops(images, 32, seed) for seed in (1, 1, 2))
    assert torch.equal(crops[57], again[57])
    assert not torch.equal(crops[57], crops[58])
    assert not torch.equal(crops[57], other[57])
    assert crops[3].shape == (3, 32, 32)
    assert 0 <= crops[3].min() < crops[3].max() <= 1


def test_an_infinite_loss_is_an_error_that_says_what_to_change(config: StyleTrainingConfig) -> None:
    diverging = config.model_copy(update={"content_weights": {"relu2_2": 1e39}})
    with pytest.raises(TrainingError, match="no longer finite at iteration 0: lower learning_rate"):
        train(diverging, print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style_image": Path("nowhere.jpg")}, "style_image: nowhere.jpg cannot be read"),
        ({"content_images": Path("nowhere")}, "no images in nowhere"),
        ({"network": "jonson"}, "network or network_arguments: There is no network 'jonson'"),
        ({"network_arguments": {"depth": 3}}, r"network or network_arguments: .*\(depth\)"),
        ({"style_weights": {"relu9_9": 1.0}}, "no layer relu9_9"),
        ({"output": Path("style.pth")}, "must end in .safetensors"),
        ({"output": Path("/proc/style.safetensors")}, "cannot be written"),
    ],
)
def test_values_that_cannot_be_used_are_refused(
    config: StyleTrainingConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigValueError, match=message):
        train(config.model_copy(update=change), print)


def test_the_loss_weights_of_the_distilled_vgg_are_not_used_with_a_vgg(
    config: StyleTrainingConfig,
) -> None:
    given = config.model_dump(exclude={"color_weight", "style_weights"})
    with pytest.raises(
        ValidationError, match=r"color_weight, style_weights must be given with .* vgg16"
    ):
        StyleTrainingConfig(**given)
    assert StyleTrainingConfig(**{**given, "loss_network": "embedded"}).style_weights["relu5_1"] > 0
