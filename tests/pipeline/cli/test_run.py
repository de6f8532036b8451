"""`stylebeam run`: outputs, messages and exit codes."""

import json
import os
import random
import resource
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.runs.job import Job
from stylebeam.pipeline.runs.run import RunFailedError
from tests.helpers.command import stylebeam
from tests.helpers.two_batches import SIZES, check_outputs, image_sizes


@pytest.mark.slow
def test_two_batches(config: Path) -> None:
    done = stylebeam("run", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    assert "all: 3 done, 0 failed; outputs in out/all\n" in done.stdout
    assert "Networks loaded: 1.\n" in done.stdout
    reports = [f"out/{name}/_stylebeam/report.html" for name in ("all", "jpegs")]
    assert [line.strip() for line in done.stdout.splitlines()[-2:]] == reports
    assert all(Path(report).is_file() for report in reports)
    check_outputs()


@pytest.mark.slow
def test_json_is_alone_on_standard_output(config: Path, photos: Path) -> None:
    (photos / "bad.jpg").write_text("no image")
    done = stylebeam("run", str(config), "--json")
    assert done.returncode == 3
    result = json.loads(done.stdout)
    assert result.pop("seconds") > 0
    assert result == {
        "batches": [
            {
                "name": name,
                "output": f"out/{name}",
                "done": count,
                "skipped": 0,
                "failed": 1,
                "other_files": {},
                "other_folders": {},
                "outcomes": f"out/{name}/_stylebeam/outcomes.jsonl",
                "report": f"out/{name}/_stylebeam/report.html",
            }
            for name, count in (("all", 3), ("jpegs", 1))
        ],
        "networks_loaded": 1,
        "stopped": None,
    }
    assert "all: 4 images in photos" in done.stderr


@pytest.mark.slow
def test_unreadable_images_fail_with_a_message_and_the_others_are_written(
    config: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (photos / "a.jpg").read_bytes()
    (photos / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.jpg").touch()
    (photos / "text.jpg").write_text("Dear diary,")
    os.symlink("loop.jpg", photos / "loop.jpg")
    os.mkfifo(photos / "pipe.jpg")
    assert main(["run", str(config), "--set", "batches.jpegs.output=out/j"]) == 3
    assert image_sizes("out/all") == SIZES
    errors = {Path(outcome.input).name: outcome.error for outcome in read_outcomes("out/all")}
    assert errors == {
        "a.jpg": None,
        "b.png": None,
        "c.jpeg": None,
        "truncated.jpg": errors["truncated.jpg"],
        "empty.jpg": "The file is empty (0 bytes).",
        "text.jpg": "The file is not an image of a known kind.",
        "loop.jpg": "photos/loop.jpg cannot be read: too many levels of symbolic links.",
        "pipe.jpg": "photos/pipe.jpg cannot be read: it is not a regular file.",
    }
    assert errors["truncated.jpg"].startswith("The JPEG file is damaged: it ends before")
    printed = capsys.readouterr().out
    assert "all: 3 done, 5 failed; outputs in out/all\n" in printed
    assert "  failed: photos/empty.jpg: The file is empty (0 bytes).\n" in printed


@pytest.mark.slow
def test_only_outputs_that_do_not_fit_on_the_disk_fail(config: Path, photos: Path) -> None:
    """The limit of a process stands for a full disk; the system enforces both."""
    noise = random.Random(0).randbytes(200 * 200 * 3)
    Image.frombytes("RGB", (200, 200), noise).save(photos / "large.png")
    command = ["run", str(config), "--set", "batches.all.fast.strength=0"]
    limit = (50_000, 50_000)
    done = stylebeam(*command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert done.returncode == 3, done.stderr
    assert image_sizes("out/all") == SIZES
    errors = {Path(each.input).name: each.error for each in read_outcomes("out/all") if each.error}
    assert errors == {"large.png": "out/all/large.png cannot be written: file too large."}
    assert main(command) == 0
    assert image_sizes("out/all") == {**SIZES, "large.png": (200, 200)}


def test_options_of_batches_and_of_the_run_are_used(config: Path, photos: Path) -> None:
    settings = ["batches.all.fast.strength=0", "run.max_pixels=2100", "batches.all.quality=100"]
    settings += ["batches.jpegs.format=jpeg", "batches.jpegs.quality=5"]
    assert main(["run", str(config), *(word for s in settings for word in ("--set", s))]) == 3
    with Image.open("out/all/a.jpg") as unchanged, Image.open(photos / "a.jpg") as photo:
        assert ImageChops.difference(unchanged, photo).getextrema()[1][1] <= 8
    assert Path("out/jpegs/a.jpg").stat().st_size < Path("out/all/a.jpg").stat().st_size / 2
    errors = {outcome.input: outcome.error for outcome in read_outcomes("out/all")}
    assert errors["photos/below/c.jpeg"] == (
        "The image has 64x48 pixels, more than max_pixels (2100)."
    )


def test_an_output_folder_under_two_names_has_one_record(config: Path, photos: Path) -> None:
    (photos / "empty.jpg").touch()
    Path("out").mkdir()
    Path("link").symlink_to("out")
    settings = ["--set", "batches.all.output=out", "--set", "batches.jpegs.output=link"]
    assert main(["run", str(config), *settings]) == 3
    assert len(list(read_outcomes("out"))) == 6
    plans = json.loads(Path("out/_stylebeam/run.json").read_text())["batches"]
    assert [(plan["name"], plan["fast"]["strength"]) for plan in plans] == [
        ("all", 1.0),
        ("jpegs", 0.3),
    ]


def test_a_run_does_not_start_if_an_output_folder_cannot_be_written(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(config), "--set", "batches.all.output=/proc/x"]) == 1
    assert "/proc/x/_stylebeam/lease.json cannot be written" in capsys.readouterr().err
    assert image_sizes("out/jpegs") == {}


@pytest.mark.slow
def test_closed_standard_output_causes_no_traceback(config: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = stylebeam("run", str(config), capture_output=False, stdout=write, stderr=-1)
    os.close(write)
    assert done.stderr == ""


@pytest.mark.slow
def test_file_names_that_are_not_text(config: Path, photos: Path) -> None:
    odd = os.fsdecode(b"caf\xe9 \n$'\".jpg")
    (photos / "a.jpg").rename(photos / odd)
    (photos / os.fsdecode(b"\xff.jpg")).write_text("no image")
    done = stylebeam("run", str(config))
    assert done.returncode == 3
    assert "photos/\\udcff.jpg: The file is not an image" in done.stdout
    assert Path("out/all", odd).exists()
    assert f"photos/{odd}" in {outcome.input for outcome in read_outcomes("out/all")}


def test_an_empty_input_is_reported_and_is_not_a_failure(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    settings = ["--set", "batches.all.input=empty", "--set", "batches.jpegs.input=empty/*.jpg"]
    assert main(["run", str(config), *settings]) == 0
    assert "empty contains no images (looked for .jpg, .jpeg, .jpe, " in capsys.readouterr().out
    assert list(read_outcomes("out/all")) == []


@pytest.mark.slow
def test_a_checkpoint_that_changes_during_a_run_fails_the_run(config: Path) -> None:
    # Workers can outlive the failed run, and must not write to the folder of the next test.
    folder = config.parent
    settings = [
        f"defaults.fast.style={folder}/style.safetensors",
        f"batches.all.input={folder}/photos",
        f"batches.all.output={folder}/out/all",
        f"batches.jpegs.input={folder}/photos/*.jpg",
        f"batches.jpegs.output={folder}/out/jpegs",
    ]
    job = Job.load(str(config), settings)
    data = Path("style.safetensors").read_bytes()
    Path("style.safetensors").unlink()
    last_weight = bytes([data[-2] ^ 1, data[-1]])
    Path("style.safetensors").write_bytes(data[:-2] + last_weight)
    with pytest.raises(RunFailedError, match="not the checkpoint that the run was started with"):
        job.run()


def test_blended_styles(
    photos: Path, two_styles_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("blend.yaml").write_text(f"""
defaults: {{input: photos, format: png}}
batches:
  - name: blend
    output: out/blend
    fast: {{checkpoint: {two_styles_path}, style: {{one: 0.5, two: 0.5}}}}
  - name: one
    output: out/one
    fast: {{checkpoint: {two_styles_path}, style: one}}
""")
    assert main(["run", "blend.yaml"]) == 0
    for name in ("a.png", "b.png", "below/c.png"):
        with Image.open(f"out/blend/{name}") as blend, Image.open(f"out/one/{name}") as one:
            assert blend.size == one.size
            assert blend.tobytes() != one.tobytes()


@pytest.mark.slow
def test_the_sample_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[3]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(root / "samples")
    assert main(["run", str(root / "configs" / "samples.yaml")]) == 0
    names = {path.stem for path in (root / "samples" / "photos").iterdir()}
    for style in ("starry_night", "udnie"):
        written = image_sizes(f"out/{style}")
        assert {Path(name).stem for name in written} == names
        # Its pixels are stored rotated, with an EXIF tag that says so; outputs are upright.
        assert written["osprey.jpg"] == (683, 1024)
        lines = Path(f"out/{style}/_stylebeam/outcomes.jsonl").read_text().splitlines()
        assert {json.loads(line)["status"] for line in lines} == {"done"}
