"""One run at a time writes to an output folder."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.cloud import storage as gcs

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive import ledger
from stylebeam.pipeline.archive.lease import LeaseHeldError, LeaseLostError, hold
from stylebeam.pipeline.archive.lease_holder import RUNS_OUT_AFTER, Holder
from stylebeam.pipeline.runs.job import Job
from stylebeam.pipeline.storage.contract import StampPlace
from tests.helpers.command import stylebeam
from tests.helpers.memory_storage import MemoryStorage
from tests.helpers.storages import use_storage
from tests.helpers.waiting import wait_until

IMAGES = 60
NOW = time.time()


class Recorded(MemoryStorage):
    """A storage that keeps no stamps and checks no versions, as most that Beam knows."""

    stamp_place = StampPlace.RECORD

    def write(self, *args: object, **options: object) -> None:
        super().write(*args[:3])


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture(params=["locks", "no locks", "versions", "no versions", "bucket"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An output folder on each kind of storage."""
    if request.param == "bucket":
        request.getfixturevalue("bucket")
        return "gs://archive/out"
    if request.param in ("versions", "no versions"):
        use_storage(
            monkeypatch, "memory", MemoryStorage() if request.param == "versions" else Recorded()
        )
        return "memory://archive/out"
    if request.param == "no locks":
        without_locks(monkeypatch)
    return str(tmp_path / "out")


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def write_lease(folder: str, holder: Holder) -> None:
    storage.write(storage.join(folder, "_stylebeam/lease.json"), holder.to_json(), stamp="other")


def test_a_second_run_is_refused_and_told_who_holds_the_lease(folder: str) -> None:
    with hold([folder], "first"):
        with pytest.raises(LeaseHeldError) as refused, hold([folder], "second"):
            pass
        assert f"{folder} is being written by run first on {socket.gethostname()}" in str(
            refused.value
        )
        assert f"(process {os.getpid()}), since 20" in str(refused.value)
        # What was refused has not given back the lease of the other.
        with pytest.raises(LeaseHeldError), hold([folder], "third"):
            pass
    with hold([folder], "fourth"):
        pass
    assert not storage.exists(storage.join(folder, "_stylebeam/lease.json"))
    assert storage.is_remote(folder) or not Path(folder).exists()


def test_a_renewed_lease_is_kept(folder: str) -> None:
    with hold([folder], "first") as leases:
        leases.renew()
        leases.check()
        with pytest.raises(LeaseHeldError, match="run first"), hold([folder], "second"):
            pass


def test_folders_below_a_folder_have_leases_of_their_own(folder: str) -> None:
    below = [storage.join(folder, name) for name in ("a", "b")]
    with (
        hold([folder], "above"),
        hold([below[0]], "one"),
        hold([below[1]], "other"),
        pytest.raises(LeaseHeldError, match="run one"),
        hold([below[1], below[0]], "both"),
    ):
        pass


def test_all_leases_are_given_back_if_one_is_refused(folder: str) -> None:
    below = [storage.join(folder, name) for name in ("a", "b")]
    with hold([below[1]], "first"):
        with pytest.raises(LeaseHeldError), hold(below, "second"):
            pass
        with hold([below[0]], "third"):
            pass


@pytest.mark.parametrize(
    ("host", "process", "renewed", "is_held"),
    [
        ("elsewhere", 1, NOW, True),
        ("elsewhere", 1, NOW - RUNS_OUT_AFTER - 1, False),
        (socket.gethostname(), dead_process(), NOW, False),
    ],
    ids=["renewed", "not renewed", "its process has ended"],
)
def test_a_lease_runs_out(
    folder: str, host: str, process: int, renewed: float, is_held: bool
) -> None:
    """Also on a drive whose locks do not reach other machines."""
    write_lease(folder, Holder("other", host, process, NOW - 3600, renewed))
    if is_held:
        with pytest.raises(LeaseHeldError, match="run other on elsewhere"), hold([folder], "mine"):
            pass
    else:
        with hold([folder], "mine") as leases:
            leases.check()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"run": []}', b"\xff\x00", b"[" * 100_000])
def test_a_damaged_lease_file_does_not_stop_a_run(folder: str, data: bytes) -> None:
    storage.write(storage.join(folder, "_stylebeam/lease.json"), data)
    with hold([folder], "mine") as leases:
        leases.check()


def test_a_run_whose_lease_was_taken_is_told(folder: str) -> None:
    reasons: list[str] = []
    with hold([folder], "first") as leases:
        leases.stop_on_loss(reasons.append)
        if not storage.is_remote(folder):
            Path(folder, "_stylebeam/lease.json").unlink()
        write_lease(folder, Holder("other", "elsewhere", 1, NOW, NOW))
        with pytest.raises(LeaseLostError, match="was taken over by run other on elsewhere"):
            leases.check()
        leases.renew()
        assert len(reasons) == 1
    # The other's lease stays.
    with pytest.raises(LeaseHeldError, match="run other"), hold([folder], "second"):
        pass


def test_a_deleted_lease_is_taken_again(folder: str) -> None:
    with hold([folder], "first") as leases:
        storage.delete(storage.join(folder, "_stylebeam/lease.json"))
        leases.renew()
        leases.check()
        with pytest.raises(LeaseHeldError, match="run first"), hold([folder], "second"):
            pass


def test_a_run_that_waits_says_so_once_and_goes_on(folder: str) -> None:
    said: list[str] = []
    first = hold([folder], "first")
    first.__enter__()

    def wait(text: str) -> None:
        said.append(text)
        first.__exit__(None, None, None)

    with hold([folder], "second", wait):
        pass
    [text] = said
    assert f"{folder} is being written by run first" in text
    assert text.endswith(": waiting.")


def test_a_run_stops_when_its_lease_is_lost(
    one_batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    job = Job.load("config.yaml")
    with pytest.raises(LeaseLostError, match=r"The run stopped: .*out was taken over by run other"):
        job.run(lambda counts: write_lease("out", Holder("other", "elsewhere", 1, NOW, NOW)))
    assert not Path("out/_stylebeam/report.html").exists()


def test_the_records_of_a_run_carry_its_name(one_batch: Path) -> None:
    names = set()
    for _ in range(2):
        Job.load("config.yaml").run()
        name = json.loads(Path("out/_stylebeam/run.json").read_text())["run"]
        assert {outcome.run for outcome in ledger.read_outcomes("out")} == {name}
        names.add(name)
    assert len(names) == 2


@pytest.fixture
def many_photos(one_batch: Path, photos: Path) -> None:
    """Photos for a run that takes a while."""
    for number in range(IMAGES - 3):
        os.link(photos / "a.jpg", photos / f"{number}.jpg")


@contextmanager
def stopped_run(has_output: Callable[[], bool]) -> Iterator[subprocess.Popen[str]]:
    """Start a run, and stop its process once its first output is there."""
    command = [sys.executable, "-m", "stylebeam", "run", "config.yaml"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            wait_until(lambda: has_output() or process.poll() is not None, "an output", 120)
            # As Ctrl-Z; the run is in a process of its own.
            process.send_signal(signal.SIGTSTP)
            wait_until(lambda: is_stopped(process.pid), "the run is stopped")
            assert process.poll() is None, process.communicate()
            yield process
        finally:
            process.kill()


def child_of(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text())


def is_stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def has_output() -> bool:
    return any(Path("out").glob("*.jpg"))


@pytest.mark.slow
@pytest.mark.usefixtures("many_photos")
def test_a_second_command_exits_with_4_and_the_first_goes_on() -> None:
    with stopped_run(has_output) as first:
        second = stylebeam("run", "config.yaml")
        assert second.returncode == 4, second.stderr
        assert "out is being written by run 20" in second.stderr
        assert f"(process {child_of(first.pid)})" in second.stderr
        assert stylebeam("validate", "config.yaml", "--quick").returncode == 0
        elsewhere = ["--set", "batches.all.output=out/below/other"]
        assert stylebeam("run", "config.yaml", *elsewhere).returncode == 0
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=120)
        assert first.returncode == 0, err
    assert [each.status for each in ledger.read_outcomes("out")] == ["done"] * IMAGES


@pytest.mark.slow
@pytest.mark.usefixtures("many_photos")
def test_the_lease_of_a_killed_command_ends_at_once() -> None:
    with stopped_run(has_output) as first:
        first.kill()
        first.wait()
        assert Path("out/_stylebeam/lease.json").exists()
        second = stylebeam("run", "config.yaml")
        assert second.returncode == 0, second.stderr
    assert not Path("out/_stylebeam/lease.json").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("many_photos")
def test_a_command_waits_for_another() -> None:
    with stopped_run(has_output) as first:
        command = [sys.executable, "-m", "stylebeam", "run", "config.yaml", "--wait"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second:
            line = next(line for line in second.stderr if "waiting" in line)
            assert f"(process {child_of(first.pid)})" in line
            first.send_signal(signal.SIGCONT)
            assert first.wait(timeout=120) == 0
            _, err = second.communicate(timeout=120)
            assert second.returncode == 0, err
    assert [each.status for each in ledger.read_outcomes("out")] == ["skipped"] * IMAGES


@pytest.mark.slow
@pytest.mark.usefixtures("many_photos")
def test_in_a_bucket_a_second_command_is_refused_until_the_first_is_killed(
    bucket: gcs.Bucket,
) -> None:
    config = Path("config.yaml")
    config.write_text(config.read_text().replace("output: out", "output: gs://archive/out"))

    def has_object() -> bool:
        return any(each.name.endswith(".jpg") for each in bucket.list_blobs(prefix="out/"))

    with stopped_run(has_object) as first:
        second = stylebeam("run", "config.yaml")
        assert second.returncode == 4, second.stderr
        assert f"gs://archive/out is being written by run {lease_of(bucket).run}" in second.stderr
        child = child_of(first.pid)
        first.kill()
        wait_until(lambda: not Path(f"/proc/{child}").exists(), "its process has ended too")
        second = stylebeam("run", "config.yaml")
        assert second.returncode == 0, second.stderr
    assert not bucket.blob("out/_stylebeam/lease.json").exists()


def lease_of(bucket: gcs.Bucket) -> Holder:
    holder = Holder.from_json(bucket.blob("out/_stylebeam/lease.json").download_as_bytes())
    assert holder
    return holder
