"""The arguments of the command: help, the version, and mistakes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stylebeam.pipeline.cli.arguments import main
from tests.helpers.command import stylebeam

COMMANDS = (
    "run",
    "validate",
    "preview",
    "sweep",
    "stylize",
    "styles",
    "train",
    "train-any-style",
    "train-super-resolution",
    "evaluate",
    "distill",
    "schema",
)


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line}
    assert set(COMMANDS) <= listed


@pytest.mark.parametrize("command", COMMANDS)
def test_help_for_a_command_shows_an_example_and_fits_a_terminal(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"  stylebeam {command}") for line in lines)
    assert [line for line in lines if len(line) > 80] == []


def test_help_imports_no_large_libraries() -> None:
    code = (
        "import sys, stylebeam.__main__ as command\n"
        "sys.argv = ['stylebeam', 'run', '--help']\n"
        "try: command.command()\n"
        "finally: print({'torch', 'apache_beam', 'numpy', 'rich', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nset()\n")


def test_modules_in_the_working_directory_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("raise ImportError('the wrong module')")
    (tmp_path / "transforms").mkdir()
    (tmp_path / "transforms" / "__init__.py").write_text("raise ImportError('the wrong package')")
    root = str(Path(__file__).parents[3])
    done = stylebeam("--version", cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("stylebeam ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "batches.all.input=nowhere"], "nowhere does not exist"),
        (["--set", "run.device=cuda"], "no CUDA GPU on this machine"),
        (["--direct_nm_workers=2"], "no option --direct_nm_workers; did you mean --direct_num"),
        (["other.yaml"], "other.yaml is an unexpected argument"),
        (["--runner=Nope"], "--runner=Nope: Unexpected pipeline runner"),
        (["--direct_num_workers=-1"], "--direct_num_workers must be at least 0"),
    ],
)
def test_mistakes_in_the_arguments_are_reported_before_a_run_starts(
    config: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["run", str(config), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_two_images_with_the_same_output_are_reported_before_a_run_starts(
    config: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a.png").write_bytes((photos / "b.png").read_bytes())
    settings = ["--set", "batches.all.format=jpeg", "--set", "batches.jpegs.output=out/all"]
    assert main(["run", str(config), *settings]) == 2
    message = "photos/a.png and photos/a.jpg would both be written to out/all/a.jpg"
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_only_some_commands_accept_options_of_beam(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["validate", str(config), "--runner=DirectRunner"])
    assert stopped.value.code == 2
    message = "stylebeam validate has no argument --runner=DirectRunner"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--style", "one=some"], "one=some must be a name, or a name and its part"),
        (["--style", "one=-1"], "one=-1: a part must not be negative"),
        (["--strength", "1.5"], "must be from 0 to 1, not 1.5"),
        (["--quality", "high"], "invalid int value: 'high'"),
    ],
)
def test_wrong_values_are_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["stylize", "in.png", "out.png", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_validate_shows_what_a_run_would_do_and_writes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path().rglob("*"))
    assert main(["validate", str(config)]) == 0
    expected = "all: 3 images in photos, fast style.safetensors, to out/all\n"
    assert expected in capsys.readouterr().out
    assert sorted(Path().rglob("*")) == before
