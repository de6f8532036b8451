"""The journal of an output folder: its format, and its compaction."""

from pathlib import Path

import pytest

from stylebeam.pipeline.archive import journal


def test_a_journal_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "_stylebeam").mkdir()
    (tmp_path / "_stylebeam" / "journal.jsonl").write_text(
        '\n{"output": "below/a.jpg"}\n'
        '\n{"output": "below/a.jpg", "stamp": "0f3d", "size": 1234}\n'
        '\n{"output": "b.jpg", "stamp": "77aa", "size": 5}\n'
        '\n{"output": "b.jpg"}\n'
    )
    assert journal.read(str(tmp_path)) == {
        "below/a.jpg": journal.Entry("0f3d", 1234),
        "b.jpg": journal.Entry(None, 0),
    }


def test_a_folder_without_a_journal_has_no_entries(tmp_path: Path) -> None:
    assert journal.read(str(tmp_path)) == {}
    journal.compact(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_no_run_wrote_is_not_replaced_by_a_new_output(tmp_path: Path) -> None:
    folder, path = tmp_path / "out", tmp_path / "out" / "a.jpg"
    folder.mkdir()
    path.write_bytes(b"someone's")
    with pytest.raises(FileExistsError, match="it is left as it is"):
        journal.write_output(str(folder), str(path), b"data", "stamp", is_new=True)
    assert path.read_bytes() == b"someone's"
    assert [each.name for each in folder.iterdir()] == ["a.jpg"]
    journal.write_output(str(folder), str(path), b"data", "stamp", is_new=False)
    # As when a runner tries again what it has done already.
    journal.write_output(str(folder), str(path), b"again", "stamp", is_new=True)
    assert path.read_bytes() == b"again"


def test_a_written_output_has_an_entry(tmp_path: Path) -> None:
    folder, path = tmp_path / "out", tmp_path / "out" / "below" / "a.jpg"
    written = journal.write_output(str(folder), str(path), b"data", "stamp", is_new=True)
    assert path.read_bytes() == b"data"
    version = f"4-{path.stat().st_mtime_ns}"
    assert written == journal.Entry("stamp", 4, version, journal.digest_of(b"data"))
    assert journal.read(str(folder)) == {"below/a.jpg": written}


def test_a_compacted_journal_has_the_same_entries(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for round_ in range(9):
        for number in range(1100):
            journal.start(folder, f"{number}.jpg")
            entry = journal.Entry(f"{round_}", number)
            journal.record(folder, {f"{number}.jpg": entry})
    path = Path(journal.path_of(folder))
    before, size = journal.read(folder), path.stat().st_size
    journal.compact(folder)
    assert path.stat().st_size < size / 9
    assert journal.read(folder) == before
    assert before["7.jpg"] == journal.Entry("8", 7)
    journal.compact(folder)
    assert journal.read(folder) == before
