"""Tests of the command with names, files, streams and options from outside."""

import contextlib
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.archive.records import Task
from stylebeam.pipeline.beam.steps import Limits, Watch, read_image
from stylebeam.pipeline.cli.arguments import main, parse
from tests.helpers.command import stylebeam
from tests.helpers.fake_method import fake_recipe

FORGED = "\x1b]0;title\x07\n  failed: other.jpg\u202e"
SHOWN = r"\x1b]0;title\x07\n  failed: other.jpg\u202e"

GUARD = """
import socket
def refuse(*arguments, **options):
    if "127.0.0.1" not in str(arguments) and "localhost" not in str(arguments):
        import os
        os.write(2, f"LOOKED UP {arguments}".encode())
        os._exit(99)
    return real(*arguments, **options)
real, socket.getaddrinfo = socket.getaddrinfo, refuse
"""


@pytest.fixture
def forged(inputs: Path) -> Path:
    """Return a config whose batch and broken photo have names that control a terminal."""
    (inputs / "photos" / f"{FORGED}.jpg").write_bytes(b"no image")
    os.rename(inputs / "photos" / "a.jpg", inputs / "photos" / "a\nb.jpg")
    config = inputs / "config.yaml"
    config.write_text(
        'batches: [{name: "x\\e[2J\\ny", input: photos, output: "out\\e[1m",\n'
        "           fast: {style: udnie}}]\n"
        "run: {device: cpu}\n"
    )
    return config


def _controls(text: str) -> list[str]:
    return [line for line in text.split("\n") if not line.isprintable()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "config.yaml"],
        ["run", "config.yaml"],
        ["preview", "config.yaml", "a\x1b.png"],
        ["stylize", f"photos/{FORGED}.jpg", "b.png", "--style", "udnie"],
        ["stylize", f"{FORGED}.jpg", "b.png", "--style", "udnie"],
        ["stylize", "painting.jpg", "c.png", "--style-image", f"photos/{FORGED}.jpg"],
        ["styles", "--from", f"photos/{FORGED}.jpg", "--output", "x.safetensors"],
        ["validate", f"{FORGED}.yaml"],
        ["evaluate", "--set", f"checkpoints=['{FORGED}']"],
    ],
)
def test_no_command_prints_what_controls_a_terminal(
    forged: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.suppress(SystemExit):
        main(arguments)
    out, err = capsys.readouterr()
    assert out + err
    assert _controls(out + err) == []
    assert "\n  failed: other.jpg" not in out + err


def test_a_mistyped_option_of_our_own_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    for mistyped, meant in (
        ("--retry-faild", "--retry-failed"),
        ("--retry", "--retry-failed"),
        ("--jsn", "--json"),
    ):
        with pytest.raises(SystemExit) as stopped:
            parse(["run", "config.yaml", mistyped])
        assert stopped.value.code == 2
        assert f"has no argument {mistyped}; did you mean {meant}?" in capsys.readouterr().err
    assert parse(["run", "c.yaml", "--direct_num_workers=2"]).beam_flags == [
        "--direct_num_workers=2"
    ]


def test_a_name_too_long_for_the_extension_fails_before_the_work(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (inputs / "photos" / "a.jpg").rename(inputs / "photos" / f"{'n' * 250}.jpg")
    Path("config.yaml").write_text(
        "batches: [{name: x, input: photos, output: out, format: webp, fast: {style: udnie}}]"
    )
    assert main(["validate", "config.yaml", "--quick"]) == 0
    assert "is a name of 255 bytes" not in capsys.readouterr().out
    (inputs / "photos" / f"{'n' * 250}.jpg").rename(inputs / "photos" / f"{'n' * 251}.jpg")
    assert main(["validate", "config.yaml", "--quick"]) == 0
    assert "is a name of 256 bytes, and a disk takes 255" in capsys.readouterr().out
    assert main(["run", "config.yaml"]) == 3
    [outcome] = read_outcomes("out")
    assert (outcome.status, outcome.seconds) == ("failed", 0.0)


def test_a_photo_too_large_to_decode_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((8000, 10_000), np.uint8)).save(path)
    recipe = fake_recipe()
    task = Task("b", str(path), str(tmp_path / "out.png"), recipe.digest, str(tmp_path), "")
    outcome = read_image(task, {recipe.digest: recipe}, Limits(memory=10**9), Watch())
    assert "10000x8000 pixels: decoding it takes 1.12 GB, more than run.memory (1 GB)" in str(
        outcome
    )


def test_closed_standard_streams_are_sentences(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", None)
        assert main(["stylize", "-", "a.png", "--style", "udnie"]) == 2
    assert "standard input is closed" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert main(["stylize", "painting.jpg", "-", "--style", "udnie"]) == 2
        assert main(["styles"]) == 0
    assert "standard output is closed" in capsys.readouterr().err


def test_endless_standard_input_is_not_read_to_its_end(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stylebeam.pipeline.storage.MAX_BYTES", 2**30 // 64)
    with open("/dev/zero", "rb") as zeros:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(zeros))
        assert main(["stylize", "-", "a.png", "--style", "udnie"]) == 1
    assert "Standard input has more than" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["https://x.invalid/a.safetensors", "hdfs://x/a.safetensors"])
def test_a_url_is_a_sentence_of_ours(
    inputs: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stylize", "painting.jpg", "a.png", "--style", url]) == 2
    assert "pip install" not in capsys.readouterr().err
    assert main(["stylize", url.replace("safetensors", "jpg"), "a.png", "--style", "udnie"]) != 0
    assert "pip install" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "config.yaml"],
        ["validate", "config.yaml"],
        ["preview", "config.yaml", "sheet.png"],
        ["stylize", "painting.jpg", "c.png", "--style-image", "painting.jpg"],
        ["styles"],
        ["schema", "run"],
    ],
)
def test_no_command_looks_up_another_machine(config: Path, arguments: list[str]) -> None:
    Image.new("RGB", (40, 30), "gold").save("painting.jpg")
    Path("guard").mkdir()
    Path("guard/sitecustomize.py").write_text(GUARD)
    path = os.pathsep.join([str(Path("guard").resolve()), *sys.path])
    done = stylebeam(*arguments, env={**os.environ, "PYTHONPATH": path})
    assert "LOOKED UP" not in done.stderr
    assert done.returncode == 0, done.stderr
