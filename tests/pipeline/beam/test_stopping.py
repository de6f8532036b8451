"""Tests of the sign that stops a run."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stylebeam.pipeline.beam.stopping import StopSign


def test_many_threads_can_stop_a_run_at_once(tmp_path: Path) -> None:
    sign = StopSign(str(tmp_path / "sign"))
    with ThreadPoolExecutor(16) as threads:
        for call in [threads.submit(sign.set, f"reason {number}") for number in range(400)]:
            call.result(60)
    assert sign.reason is not None
    assert os.listdir(sign.folder) == ["reason"]


def test_a_sign_is_shared_through_its_folder(tmp_path: Path) -> None:
    sign = StopSign(str(tmp_path / "new"), max_failures=2)
    for _ in range(2):
        sign.count_failure()
        assert sign.reason is None
    StopSign(sign.folder, 2).count_failure()
    assert sign.reason == "more than 2 images failed (max_failures)"
    sign.set("enough")
    assert sign.reason == "enough"
