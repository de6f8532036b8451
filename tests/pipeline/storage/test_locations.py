"""Mistakes in locations that are known without a request."""

from pathlib import Path

import pytest

from stylebeam.pipeline import storage
from stylebeam.pipeline.cli.arguments import main


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("gs:/b/x", "gs:/b/x is no URI; did you mean gs://b/x?"),
        ("gs:b/x", "gs:b/x is no URI; did you mean gs://b/x?"),
        ("S3:/b/x", "S3:/b/x is no URI; did you mean s3://b/x?"),
        ("gs:///b/x", "gs:///b/x names no bucket; did you mean gs://b/x?"),
        ("gs://", "gs:// names no bucket"),
        ("file:///photos", "file:///photos is on the local disk; write the path without file://"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x starts with ~nobody-of-this-name, but"),
        ("$HOME/out", "$HOME/out holds the variable $HOME, which is not replaced; write out the"),
        ("/data/${USER}/x", "/data/${USER}/x holds the variable ${USER}, which is not replaced"),
        ("gs://$BUCKET/x", "gs://$BUCKET/x holds the variable $BUCKET, which is not replaced"),
    ],
)
def test_a_location_that_is_a_slip(location: str, words: str) -> None:
    assert (storage.mistake_in(location) or "").startswith(words)
    assert (storage.mistake_in_output(location) or "").startswith(words)


@pytest.mark.parametrize("location", ["gs:/b/x", "$HOME/out", "a$b/c", "Rome: 2019/x", "cost $5"])
def test_a_folder_that_has_such_a_name_is_no_mistake(location: str) -> None:
    Path(location).mkdir(parents=True)
    assert storage.mistake_in(location) is None
    assert storage.mistake_in_output(location) is None


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("out/**", "out/** holds wildcards; an output is one folder"),
        ("gs://bucket/out/*", "gs://bucket/out/* holds wildcards; an output is one folder"),
        ("/", "/ is the root of all folders; write to a folder in it"),
        ("/dev/null", "/dev/null is a device, not a folder"),
        ("/dev/null/out", "/dev/null is a device, not a folder"),
        ("file.txt", "file.txt is a file, not a folder"),
        ("file.txt/below/out", "file.txt is a file, not a folder"),
        ("dangling", "dangling is a link to "),
        ("gs://bucket", None),
        ("new/folder", None),
        ("Rome [2019]", None),
    ],
)
def test_an_output_that_is_no_folder(output: str, words: str | None) -> None:
    Path("file.txt").touch()
    Path("dangling").symlink_to("nowhere")
    mistake = storage.mistake_in_output(output)
    assert mistake is None if words is None else (mistake or "").startswith(words)


def test_such_an_output_is_a_mistake_of_the_config(
    one_batch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for output in ("/", "/dev/null", "out/**", "gs:/b/x", "$HOME/out"):
        assert main(["run", "config.yaml", "--set", f"batches.all.output={output}"]) == 2
        assert f" batches.all.output: {output} " in capsys.readouterr().err


def test_a_file_behind_a_link_in_an_output_folder_is_not_reached(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "out").symlink_to("real")
    (tmp_path / "real" / "below" / "link").symlink_to(tmp_path / "elsewhere")
    # The output folder itself may be a link.
    storage.refuse_links("out", "out/below/a.jpg")
    storage.refuse_links("gs://bucket/out", "gs://bucket/out/below/a.jpg")
    with pytest.raises(
        storage.StorageError, match=r"out/below/link is a link to .*/elsewhere, and"
    ):
        storage.refuse_links("out", "out/below/link/deeper/a.jpg")


@pytest.mark.slow
def test_a_foreign_file_behind_a_link_is_left_alone_by_a_run(
    one_batch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (one_batch / "elsewhere").mkdir()
    (one_batch / "elsewhere" / "c.jpeg").write_bytes(b"foreign")
    (one_batch / "out").mkdir()
    (one_batch / "out" / "below").symlink_to(one_batch / "elsewhere")
    assert main(["run", "config.yaml"]) == 3
    assert (one_batch / "elsewhere" / "c.jpeg").read_bytes() == b"foreign"
    assert "out/below is a link to a folder, which is not followed" in capsys.readouterr().out
    # Neither are the run's own records written to another folder.
    (one_batch / "records").mkdir()
    (one_batch / "new").mkdir()
    (one_batch / "new" / "_stylebeam").symlink_to(one_batch / "records")
    assert main(["run", "config.yaml", "--set", "batches.all.output=new"]) == 1
    assert list((one_batch / "records").iterdir()) == []
