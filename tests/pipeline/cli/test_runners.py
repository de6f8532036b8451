"""`stylebeam run` on Beam's runners and with several workers."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import RunnerResult
from apache_beam.runners.runner import PipelineResult

from stylebeam.pipeline.cli.arguments import main
from tests.helpers.two_batches import SIZES, check_outputs
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.slow


def test_two_workers_write_what_one_writes(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def written(*flags: str) -> tuple[dict[str, bytes], int]:
        assert main(["run", str(config), *flags]) == 0
        check_outputs()
        images = {name: Path("out/all", name).read_bytes() for name in SIZES}
        shutil.rmtree("out")
        loaded = capfd.readouterr().out.split("Networks loaded: ")[1].split(".")[0]
        return images, int(loaded)

    expected, _ = written()
    for mode in ("in_memory", "multi_threading", "multi_processing"):
        images, loaded = written("--direct_num_workers=2", f"--direct_running_mode={mode}")
        assert images == expected, mode
        # Once per process that has stylized an image, since threads share the network.
        assert 1 <= loaded <= (2 if mode == "multi_processing" else 1), mode


def test_a_runner_without_metrics(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunnerResult, "metrics", PipelineResult.metrics)
    assert main(["run", str(config)]) == 0
    assert "Networks loaded: unknown, the runner does not say.\n" in capsys.readouterr().out
    check_outputs()


def test_the_direct_runner(config: Path) -> None:
    assert main(["run", str(config), "--runner=DirectRunner"]) == 0
    check_outputs()


@pytest.fixture
def job_service(tmp_path: Path) -> Iterator[str]:
    """The address of Beam's local job service, on a free port."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    module = "apache_beam.runners.portability.local_job_service_main"
    log_path = tmp_path / "job_service.log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, f"--port={port}"], stdout=log, stderr=log
        )

    def accepts_connections() -> bool:
        assert process.poll() is None, log_path.read_text()
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            return False
        return True

    try:
        wait_until(accepts_connections, "the job service accepts connections", seconds=60)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_the_portable_runner(config: Path, job_service: str) -> None:
    flags = ["--runner=PortableRunner", f"--job_endpoint={job_service}"]
    assert main(["run", str(config), *flags, "--environment_type=LOOPBACK"]) == 0
    check_outputs()
    assert not list(Path("out/all/_stylebeam").glob("plan-*"))
