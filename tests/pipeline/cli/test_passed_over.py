"""`stylebeam`: nothing of an input is passed over without a word."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.ledger import read_outcomes, report_path
from stylebeam.pipeline.archive.passed_over import PassedOver
from stylebeam.pipeline.archive.records import Outcome, Status
from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.cli.summary import print_summary, to_json
from stylebeam.pipeline.runs.job import Job
from stylebeam.pipeline.runs.run_summary import BatchSummary, RunSummary
from tests.helpers.permissions import permissions_apply

CLOSED = "photos/lost+found cannot be listed: permission denied."
OTHERS = "4 other files: .cr2 2, .jpg_original 1, no extension 1; folders passed over: @eaDir 1"


@pytest.fixture
def others(one_batch: Path, photos: Path) -> Path:
    """Return a folder that holds more than photos, and a folder that cannot be listed."""
    for name in ("1.CR2", "below/2.cr2", "README", "a.jpg_original", "@eaDir/a.jpg/THUMB.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    (photos / "lost+found").mkdir()
    (photos / "lost+found").chmod(0)
    return photos


@pytest.mark.slow
def test_a_run_names_what_it_passes_over(others: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with permissions_apply():
        summary = Job.load("config.yaml").run()
    print_summary(summary, Console())
    assert capsys.readouterr().out.startswith(
        "all: 3 done, 1 failed; outputs in out\n"
        f"  {OTHERS}\n"
        f"  failed: photos/lost+found: {CLOSED}\n"
    )
    [batch] = json.loads(to_json(summary))["batches"]
    assert batch["other_files"] == {".cr2": 2, ".jpg_original": 1, "no extension": 1}
    assert batch["other_folders"] == {"@eaDir": 1}
    [failed] = [each for each in read_outcomes("out") if each.status == "failed"]
    assert (failed.input, failed.output, failed.error) == ("photos/lost+found", "", CLOSED)
    report = Path(report_path("out")).read_text()
    assert f"Beside images, <bdi>photos</bdi> holds {OTHERS}." in report
    assert CLOSED in report


def test_a_terminal_shows_what_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[Status] = Counter(done=1)
    batch = BatchSummary("all", "out", counts, [], passed_over=PassedOver(Counter({".cr2": 1})))
    print_summary(RunSummary((batch,), 1.0, 1), Console(force_terminal=True))
    assert "all:\n  1 other file: .cr2 1\n" in capsys.readouterr().out


def test_validate_names_what_is_passed_over_and_what_is_refused(
    others: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (others / "out.jpg").symlink_to("/etc/passwd")
    with permissions_apply():
        assert main(["validate", "config.yaml", "--quick"]) == 0
    assert capsys.readouterr().out == (
        "all: 4 images in photos, fast style.safetensors, to out; 1 refused, 3 to do\n"
        f"  {OTHERS}\n"
        "  1 folder cannot be listed\n"
        "  refused: photos/out.jpg: photos/out.jpg is a link to /etc/passwd, outside of the input;"
        " such links are not followed.\n"
        f"  refused: photos/lost+found: {CLOSED}\n"
        "The config is valid.\n"
    )


def test_excluded_files_and_folders_are_not_named(
    others: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exclude = 'batches.all.exclude=["**.cr2", "*.CR2", lost+found, "**/@eaDir", below, b.*, READ*]'
    with permissions_apply():
        assert main(["validate", "config.yaml", "--quick", "--set", exclude]) == 0
    assert capsys.readouterr().out == (
        "all: 1 image in photos, fast style.safetensors, to out\n"
        "  1 other file: .jpg_original 1\n"
        "The config is valid.\n"
    )


@pytest.mark.parametrize("command", ["validate", "preview"])
def test_broken_photos_are_named(
    one_batch: Path, photos: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a.jpg").write_bytes(b"")
    (photos / "b.png").write_text("Dear diary,")
    (photos / "below" / "c.jpeg").unlink()
    arguments = ["preview", "config.yaml", "p.png"] if command == "preview" else [command]
    code = main(arguments if command == "preview" else ["validate", "config.yaml"])
    printed = capsys.readouterr()
    assert (
        "all: photos/a.jpg cannot be used: The file is empty (0 bytes).\n"
        "all: photos/b.png cannot be used: The file is not an image of a known kind.\n"
        "all: none of the photos that were tried can be read.\n"
    ) in printed.out
    if command == "preview":
        assert code == 1
        assert "no photo can be shown; no contact sheet is written." in printed.err
        assert not Path("p.png").exists()


def test_a_preview_without_photos_says_so(
    one_batch: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in photos.rglob("*.*"):
        path.unlink()
    assert main(["preview", "config.yaml", "p.png"]) == 1
    assert capsys.readouterr().out == "all: no photo is to be done, so none is shown.\n"


def test_there_is_nothing_to_retry(one_batch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.write_run("out", [{"name": "all", "input": "photos"}])
    done = Outcome("all", "photos/a.jpg", "out/a.jpg", "done", "digest", 1.0)
    ledger.write_outcomes("out", [done.to_json()])
    record = Path("out/_stylebeam/outcomes.jsonl").read_bytes()
    assert main(["run", "config.yaml", "--retry-failed"]) == 0
    assert capsys.readouterr().out == "all: nothing to retry: no image failed in the last run.\n"
    assert main(["run", "config.yaml", "--retry-failed", "--json"]) == 0
    [batch] = json.loads(capsys.readouterr().out)["batches"]
    assert (batch["done"], batch["skipped"], batch["failed"]) == (0, 0, 0)
    assert Path("out/_stylebeam/outcomes.jsonl").read_bytes() == record


@pytest.mark.slow
def test_outputs_keep_the_times_and_the_extensions_of_photos(
    one_batch: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a.jpg").rename(photos / "a.JFIF")
    (photos / "b.png").rename(photos / "b.apng")
    times = {"a.JFIF": 1_000_000_000_123_456_789, "b.apng": -86_400_000_000_000}
    for name, time in times.items():
        os.utime(photos / name, ns=(time, time))
    keep = ["--set", "batches.all.keep_times=true", "--set", "batches.all.exclude=[below]"]
    assert main(["run", "config.yaml", *keep]) == 0
    assert {name: (Path("out") / name).stat().st_mtime_ns for name in times} == times
    with Image.open("out/a.JFIF") as jpeg, Image.open("out/b.apng") as png:
        assert (jpeg.format, png.format) == ("JPEG", "PNG")
    capsys.readouterr()
    assert main(["validate", "config.yaml", "--quick", *keep]) == 0
    assert "2 up to date, 0 to do" in capsys.readouterr().out
    os.utime(photos / "a.JFIF")
    assert main(["validate", "config.yaml", "--quick", *keep]) == 0
    assert "1 up to date, 1 to do" in capsys.readouterr().out
