"""Tests of the record of a run, also of records that earlier versions wrote."""

from pathlib import Path

from stylebeam.pipeline.archive import ledger


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "_stylebeam"
    folder.mkdir()
    (folder / "run.json").write_text('{"batches": [{"name": "all", "weights": "ab"}]}\n')
    (folder / "outcomes.jsonl").write_text(
        '{"batch": "all", "input": "in/a.jpg", "output": "out/a.jpg", "status": "done",'
        ' "recipe": "5f9a", "seconds": 1.5, "width": 640, "height": 480, "error": null,'
        ' "stamp": "0f3d"}\n'
        '{"batch": "all", "input": "in/b.jpg", "output": "", "status": "failed",'
        ' "recipe": "5f9a", "seconds": 0.0, "width": null, "height": null,'
        ' "error": "It is damaged.", "stamp": "77aa"}\n'
    )
    assert ledger.read_run(str(tmp_path)) == [{"name": "all", "weights": "ab"}]
    done, failed = ledger.read_outcomes(str(tmp_path))
    assert (done.input, done.status, done.width, done.stamp) == ("in/a.jpg", "done", 640, "0f3d")
    assert (failed.output, failed.status, failed.error) == ("", "failed", "It is damaged.")


def test_the_record_of_a_folder_without_outcomes_is_empty(tmp_path: Path) -> None:
    ledger.write_outcomes(str(tmp_path), [])
    assert list(ledger.read_outcomes(str(tmp_path))) == []
