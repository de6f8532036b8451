"""Tests of the record of a run, also of records that earlier versions wrote."""

from pathlib import Path

import pytest

from stylebeam.pipeline.archive import ledger

GOOD = (
    '{"batch": "all", "input": "in/a.jpg", "output": "out/a.jpg", "status": "done",'
    ' "recipe": "5f9a", "seconds": 1.5}'
)


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


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        "null",
        '{"batch": "all", "inp',
        GOOD.replace('"done"', '"lost"'),
        GOOD.replace('"in/a.jpg"', "5"),
        GOOD.replace("1.5", '"1.5"'),
        GOOD.replace("1.5", "NaN"),
        GOOD.replace("1.5", "1" + 400 * "0"),
        GOOD.replace('"recipe": "5f9a", ', ""),
        "[" * 100_000,
    ],
)
def test_damaged_outcomes_are_left_out_and_said(tmp_path: Path, line: str) -> None:
    ledger.write_outcomes(str(tmp_path), [GOOD, line, GOOD])
    notes: list[str] = []
    assert len(list(ledger.read_outcomes(str(tmp_path), notes.append))) == 2
    path = ledger.outcomes_path(str(tmp_path))
    assert notes == [f"{path} has 1 damaged line, left out."]


def test_an_outcome_of_a_later_version_is_read(tmp_path: Path) -> None:
    ledger.write_outcomes(str(tmp_path), [GOOD.replace("{", '{"new": [1], ')])
    assert [each.input for each in ledger.read_outcomes(str(tmp_path))] == ["in/a.jpg"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"batches": 5}', '{"batches": [5, {"name": 5}]}', "\0"]
)
def test_a_damaged_record_of_a_run_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "_stylebeam" / "run.json"
    path.parent.mkdir()
    path.write_text(text)
    notes: list[str] = []
    assert ledger.read_run(str(tmp_path), notes.append) == []
    assert notes == [f"{path} is damaged: what it says about the last run is left out."]
