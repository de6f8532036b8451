"""The command, end to end, on real files."""

import io
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import RunnerResult
from apache_beam.runners.runner import PipelineResult
from PIL import Image, ImageChops

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.archive.records import Status
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.runs.planning import BatchPlan, survey

PHOTOS = {"a.jpg": (50, 41), "b.png": (33, 64), "below/c.jpeg": (64, 48)}


@pytest.fixture
def config(photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config of two batches that share a style, in the working directory."""
    folder = photos.parent
    (folder / "style.safetensors").symlink_to(checkpoint_path)
    (folder / "config.yaml").write_text("""
defaults:
  fast: {style: style.safetensors}
batches:
  - {name: all, input: photos, output: out/all}
  - {name: jpegs, input: photos/*.jpg, output: out/jpegs, format: webp, fast: {strength: 0.3}}
run: {device: cpu}
""")
    monkeypatch.chdir(folder)
    return folder / "config.yaml"


def sizes(folder: str) -> dict[str, tuple[int, int]]:
    """The images below a folder with their sizes; everything else must be the record."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        relative = str(path.relative_to(folder))
        if path.is_file() and not relative.startswith("_stylebeam/"):
            with Image.open(path) as image:
                found[relative] = image.size
    return found


def check_outputs() -> None:
    assert sizes("out/all") == PHOTOS
    assert sizes("out/jpegs") == {"a.webp": (50, 41)}
    outcomes = [*read_outcomes("out/all"), *read_outcomes("out/jpegs")]
    assert sorted((outcome.batch, outcome.input, outcome.status) for outcome in outcomes) == [
        ("all", "photos/a.jpg", "done"),
        ("all", "photos/b.png", "done"),
        ("all", "photos/below/c.jpeg", "done"),
        ("jpegs", "photos/a.jpg", "done"),
    ]
    for outcome in outcomes:
        with Image.open(outcome.output) as image:
            assert image.size == (outcome.width, outcome.height)


def test_two_batches_in_a_process_of_its_own(config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stylebeam", "run", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "all: 3 done, 0 failed; outputs in out/all\n" in done.stdout
    assert "Style networks loaded: 1.\n" in done.stdout
    reports = [f"out/{name}/_stylebeam/report.html" for name in ("all", "jpegs")]
    assert [line.strip() for line in done.stdout.splitlines()[-2:]] == reports
    assert all(Path(report).is_file() for report in reports)
    check_outputs()


def test_for_a_program_there_is_json_alone(config: Path, photos: Path) -> None:
    (photos / "bad.jpg").write_text("no image")
    done = subprocess.run(
        [sys.executable, "-m", "stylebeam", "run", str(config), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    said = json.loads(done.stdout)
    assert 0 < said.pop("seconds") < 600
    assert said == {
        "batches": [
            {
                "name": name,
                "output": f"out/{name}",
                "done": count,
                "skipped": 0,
                "failed": 1,
                "outcomes": f"out/{name}/_stylebeam/outcomes.jsonl",
                "report": f"out/{name}/_stylebeam/report.html",
            }
            for name, count in (("all", 3), ("jpegs", 1))
        ],
        "networks_loaded": 1,
        "stopped": None,
    }
    assert "all: 4 images in photos" in done.stderr


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading", "multi_processing"])
def test_two_workers(config: Path, capfd: pytest.CaptureFixture[str], mode: str) -> None:
    flags = ["--direct_num_workers=2", f"--direct_running_mode={mode}"]
    assert main(["run", str(config), *flags]) == 0
    check_outputs()
    said = capfd.readouterr()
    loaded = int(said.out.split("Style networks loaded: ")[1].split(".")[0])
    # Once in a process: threads share it, and of two processes each may have had an image.
    assert 1 <= loaded <= (2 if mode == "multi_processing" else 1)


def test_a_runner_without_metrics_is_no_failure(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunnerResult, "metrics", PipelineResult.metrics)
    assert main(["run", str(config)]) == 0
    assert "Style networks loaded: not known from this runner.\n" in capsys.readouterr().out
    check_outputs()


def test_outputs_are_the_same_whatever_the_workers(config: Path) -> None:
    def written(*flags: str) -> dict[str, bytes]:
        assert main(["run", str(config), *flags]) == 0
        images = {name: Path("out/all", name).read_bytes() for name in PHOTOS}
        shutil.rmtree("out")
        return images

    alone = written()
    assert written() == alone
    assert written("--direct_num_workers=2", "--direct_running_mode=multi_processing") == alone


def test_the_direct_runner(config: Path) -> None:
    assert main(["run", str(config), "--runner=DirectRunner"]) == 0
    check_outputs()


@pytest.fixture
def job_service(tmp_path: Path) -> Iterator[str]:
    """Beam's local job service, on a free port."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    module = "apache_beam.runners.portability.local_job_service_main"
    with open(tmp_path / "job_service.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, f"--port={port}"], stdout=log, stderr=log
        )
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, (tmp_path / "job_service.log").read_text()
            assert time.monotonic() < deadline, "the job service did not start"
            time.sleep(0.05)
    yield f"localhost:{port}"
    process.terminate()
    process.wait(30)


def test_the_portable_runner(config: Path, job_service: str) -> None:
    flags = ["--runner=PortableRunner", f"--job_endpoint={job_service}"]
    assert main(["run", str(config), *flags, "--environment_type=LOOPBACK"]) == 0
    check_outputs()


def test_bad_images_fail_with_a_sentence_and_the_good_ones_are_written(
    config: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (photos / "a.jpg").read_bytes()
    (photos / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.jpg").touch()
    (photos / "text.jpg").write_text("Dear diary,")
    os.symlink("loop.jpg", photos / "loop.jpg")
    os.mkfifo(photos / "pipe.jpg")
    assert main(["run", str(config), "--set", "batches.jpegs.output=out/j"]) == 3
    assert sizes("out/all") == PHOTOS
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
    said = capsys.readouterr().out
    assert "all: 3 done, 5 failed; outputs in out/all\n" in said
    assert "  failed: photos/empty.jpg: The file is empty (0 bytes).\n" in said


def test_what_the_disk_has_no_room_for_fails_alone(config: Path, photos: Path) -> None:
    """A limit of the process, which the system enforces as it does that of a disk."""
    noise = random.Random(0).randbytes(200 * 200 * 3)
    Image.frombytes("RGB", (200, 200), noise).save(photos / "large.png")
    command = ["run", str(config), "--set", "batches.all.fast.strength=0"]
    done = subprocess.run(
        [sys.executable, "-m", "stylebeam", *command],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert done.returncode == 3, done.stderr
    assert sizes("out/all") == PHOTOS
    errors = {Path(each.input).name: each.error for each in read_outcomes("out/all") if each.error}
    assert errors == {"large.png": "out/all/large.png cannot be written: file too large."}
    assert main(command) == 0
    assert sizes("out/all") == {**PHOTOS, "large.png": (200, 200)}


def test_options_of_a_batch_and_of_the_run_reach_the_images(config: Path, photos: Path) -> None:
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


def test_a_folder_in_two_spellings_has_one_record(config: Path, photos: Path) -> None:
    (photos / "empty.jpg").touch()
    Path("out").mkdir()
    Path("link").symlink_to("out")
    settings = ["--set", "batches.all.output=out", "--set", f"batches.jpegs.output={Path('link')}"]
    assert main(["run", str(config), *settings]) == 3
    assert len(list(read_outcomes("out"))) == 6
    plans = json.loads(Path("out/_stylebeam/run.json").read_text())["batches"]
    assert [(plan["name"], plan["fast"]["strength"]) for plan in plans] == [
        ("all", 1.0),
        ("jpegs", 0.3),
    ]


def test_an_output_that_cannot_be_written_to_is_said_before_any_work(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "stylebeam.pipeline.runs.run.build", lambda *args: pytest.fail("the work began")
    )
    assert main(["run", str(config), "--set", "batches.all.output=/proc/x"]) == 1
    assert "/proc/x/_stylebeam/run.json cannot be written" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_traceback(config: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "stylebeam", "run", str(config)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.stderr == b""


def test_names_that_are_no_text_are_no_obstacle(config: Path, photos: Path) -> None:
    odd = os.fsdecode(b"caf\xe9 \n$'\".jpg")
    (photos / "a.jpg").rename(photos / odd)
    (photos / os.fsdecode(b"\xff.jpg")).write_text("no image")
    command = [sys.executable, "-m", "stylebeam", "run", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "photos/\\udcff.jpg: The file is not an image" in done.stdout
    assert Path("out/all", odd).exists()
    assert f"photos/{odd}" in {outcome.input for outcome in read_outcomes("out/all")}


def test_an_empty_folder_is_said_and_is_no_failure(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    settings = ["--set", "batches.all.input=empty", "--set", "batches.jpegs.input=empty/*.jpg"]
    assert main(["run", str(config), *settings]) == 0
    said = capsys.readouterr().out
    assert "empty holds no images (looked for .jpg, .jpeg, .png" in said
    assert list(read_outcomes("out/all")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "batches.all.input=nowhere"], "nowhere does not exist"),
        (["--set", "run.device=cuda"], "no CUDA GPU on this machine"),
        (["--direct_nm_workers=2"], "no option --direct_nm_workers; did you mean --direct_num"),
        (["other.yaml"], "other.yaml is an unexpected argument"),
        (["--runner=Nope"], "--runner=Nope: Unexpected pipeline runner"),
        (["--direct_num_workers=-1"], "--direct_num_workers must be at least 0"),
        (["--set", "batches.all.format=jpeg", "--set", "batches.jpegs.output=out/all"], None),
    ],
)
def test_what_is_wrong_with_the_command_is_said_before_anything_runs(
    config: Path,
    arguments: list[str],
    said: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if said is None:
        Path("photos/a.png").write_bytes(Path("photos/b.png").read_bytes())
        said = "photos/a.png and photos/a.jpg would both be written to out/all/a.jpg"
    assert main(["run", str(config), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_checkpoint_that_changes_under_way_fails_the_run(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def survey_while_somebody_trains(plans: list[BatchPlan]) -> dict[str, Counter[Status | None]]:
        data = Path("style.safetensors").read_bytes()
        Path("style.safetensors").unlink()
        # The last weight is another.
        Path("style.safetensors").write_bytes(data[:-2] + bytes([data[-2] ^ 1, data[-1]]))
        return survey(plans)

    monkeypatch.setattr("stylebeam.pipeline.cli.commands.survey", survey_while_somebody_trains)
    # Workers that are still at it when the run has failed must not get into the next test's folder.
    folder = config.parent
    config.write_text(config.read_text().replace("photos", f"{folder}/photos"))
    config.write_text(config.read_text().replace("out/", f"{folder}/out/"))
    config.write_text(config.read_text().replace("style.saf", f"{folder}/style.saf"))
    assert main(["run", str(config)]) == 1
    assert "not the checkpoint that the run was started with" in capsys.readouterr().err


def test_validate_says_what_a_run_would_do_and_writes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(Path().rglob("*"))
    assert main(["validate", str(config)]) == 0
    said = capsys.readouterr().out
    assert "all: 3 images in photos, fast style.safetensors, to out/all\n" in said
    assert sorted(Path().rglob("*")) == before


def test_validate_takes_no_options_of_beam(config: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["validate", str(config), "--runner=DirectRunner"])
    assert caught.value.code == 2


def test_one_image_to_a_file(
    tmp_path: Path,
    checkpoint_path: Path,
    gradient: Callable[[int, int], Image.Image],
    capsys: pytest.CaptureFixture[str],
) -> None:
    gradient(40, 30).save(tmp_path / "in.png")
    arguments = ["stylize", str(tmp_path / "in.png"), str(tmp_path / "out.webp"), "--style"]
    assert main([*arguments, str(checkpoint_path)]) == 0
    with Image.open(tmp_path / "out.webp") as image:
        assert (image.format, image.size) == ("WEBP", (40, 30))
    assert main([*arguments, "starry_nigth"]) == 2
    assert "did you mean starry_night?" in capsys.readouterr().err
    nowhere = ["stylize", "nowhere.jpg", "out.jpg", "--style", str(checkpoint_path)]
    assert main(nowhere) == 1
    assert "nowhere.jpg cannot be read: there is no such file" in capsys.readouterr().err
    unnamed = ["stylize", str(tmp_path / "in.png"), "out.xcf", "--style", str(checkpoint_path)]
    assert main(unnamed) == 2


def test_one_image_is_never_written_over_itself(
    photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    Path("link.jpg").symlink_to("a.jpg")
    before = Path("a.jpg").read_bytes()
    for source, target in (("a.jpg", "./a.jpg"), ("link.jpg", "a.jpg"), ("a.jpg", "a.jpg")):
        assert main(["stylize", source, target, "--style", str(checkpoint_path)]) == 2
    assert Path("a.jpg").read_bytes() == before


def test_one_image_through_a_pipe(
    checkpoint_path: Path, gradient: Callable[[int, int], Image.Image]
) -> None:
    buffer = io.BytesIO()
    gradient(40, 30).save(buffer, "JPEG")
    command = [sys.executable, "-m", "stylebeam", "stylize", "-", "-", "--style"]
    done = subprocess.run(
        [*command, str(checkpoint_path), "--format", "jpeg"],
        input=buffer.getvalue(),
        capture_output=True,
        check=True,
    )
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("JPEG", (40, 30))


def test_styles_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles"]) == 0
    said = capsys.readouterr().out
    for name in ("starry_night", "udnie"):
        assert f"{name}: johnson, " in said
    (wave,) = (line for line in said.splitlines() if line.startswith("great_wave: "))
    assert "iterations of 1 crop of 320 px after those of multi_style_third on" in wave


def test_a_style_is_trained_without_a_download_and_used(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    style = tmp_path / "mine.safetensors"
    photo = str(photos / "a.jpg")
    material = ["--style-image", photo, "--content-images", str(photos)]
    length = ["--minutes", "0.001", "--set", "crop_size=48"]
    assert main(["train", *material, "--output", str(style), *length]) == 0
    assert main(["stylize", photo, str(tmp_path / "mine.png"), "--style", str(style)]) == 0
    with Image.open(tmp_path / "mine.png") as image:
        assert image.size == (50, 41)


def test_a_painting_is_added_to_a_network_of_others_and_blended_with_them(
    photos: Path,
    two_styles_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    material = ["--style-image", "photos/a.jpg", "--content-images", "photos"]
    length = ["--minutes", "0.001", "--set", "crop_size=48"]
    adding = ["--add-to", str(two_styles_path), "--output", "three.safetensors"]
    assert main(["train", *material, *adding, *length]) == 0
    assert "fast: {checkpoint: three.safetensors, style: a}" in capsys.readouterr().out

    def stylized(*styles: str) -> Image.Image:
        flags = [part for style in styles for part in ("--style", style)]
        checkpoint = ["--checkpoint", "three.safetensors"]
        assert main(["stylize", "photos/b.png", "out.png", *flags, *checkpoint]) == 0
        return Image.open("out.png").convert("RGB")

    alone, other = stylized("one"), stylized("a")
    assert alone.tobytes() == stylized("one=2", "a=0").tobytes()
    assert stylized("one=1", "a=1").tobytes() not in (alone.tobytes(), other.tobytes())
    for style, message in (("one=some", "must be a name, or"), ("one=-1", "must not be neg")):
        with pytest.raises(SystemExit) as stopped:
            main(["stylize", "photos/b.png", "out.png", "--style", style])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_a_run_blends_styles(
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


def test_photos_are_enlarged(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x8769] = {0xA002: 20, 0xA003: 10, 0x9003: "2020:02:02 20:20:20"}
    picture = Image.new("RGBA", (20, 10), (200, 30, 30, 255))
    picture.paste((30, 30, 200, 0), (10, 0, 20, 10))
    picture.save(photos / "clear.png", exif=exif)
    Path("train.yaml").write_text(
        "{content_images: photos, output: x2.safetensors, factor: 2, crop_size: 32, iterations: 1}"
    )
    assert main(["train-super-resolution", "train.yaml"]) == 0
    assert "super_resolution: {checkpoint: x2.safetensors}" in capsys.readouterr().out
    Path("enlarge.yaml").write_text("""
batches:
  - name: x2
    input: photos
    output: out
    method: super_resolution
    super_resolution: {checkpoint: x2.safetensors}
""")
    assert main(["run", "enlarge.yaml"]) == 0
    before, after = sizes("photos"), sizes("out")
    assert after == {path: (2 * width, 2 * height) for path, (width, height) in before.items()}
    with Image.open("out/clear.png") as image:
        assert image.getpixel((3, 10))[3] == 255
        assert image.getpixel((36, 10))[3] == 0
        tags = image.getexif().get_ifd(0x8769)
        assert (tags[0xA002], tags[0xA003], tags[0x9003]) == (40, 20, "2020:02:02 20:20:20")


def test_the_samples_in_the_shipped_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[3]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(root / "samples")
    assert main(["run", str(root / "configs" / "samples.yaml")]) == 0
    names = {path.stem for path in (root / "samples" / "photos").iterdir()}
    for style in ("starry_night", "udnie"):
        written = sizes(f"out/{style}")
        assert {Path(name).stem for name in written} == names
        # Stored lying on its side, with an EXIF tag that says so; written upright.
        assert written["osprey.jpg"] == (683, 1024)
        lines = Path(f"out/{style}/_stylebeam/outcomes.jsonl").read_text().splitlines()
        assert {json.loads(line)["status"] for line in lines} == {"done"}


def test_help_waits_for_no_library() -> None:
    code = "import sys, pipeline.cli; print({'torch', 'apache_beam', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
