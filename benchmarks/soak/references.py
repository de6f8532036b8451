"""The right bytes of each output: made by calm runs of stylebeam in a process of their own.

As a program, `python -m benchmarks.soak.references` runs the config of each line that it reads, and
answers each with a line.
"""

import io
import json
import os
import posixpath
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from benchmarks.soak.folders import digest
from benchmarks.soak.photos import Photo

_EXTENSIONS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tiff"}


class Setting(NamedTuple):
    """What a config says about its outputs.

    Attributes:
        style: a shipped style.
        format: the outputs' format; "same" for the photo's.
    """

    style: str
    format: str

    def output_of(self, name: str) -> str:
        """Return the name of a photo's output."""
        stem, extension = posixpath.splitext(name)
        return stem + _EXTENSIONS.get(self.format, extension)


def config_text(source: str, output: str, setting: Setting, run: dict[str, float]) -> str:
    """Return the config of a run, as JSON, which is YAML too."""
    batch = {
        "name": "all",
        "input": source,
        "output": output,
        "format": setting.format,
        "fast": {"style": setting.style},
    }
    return json.dumps({"batches": [batch], "run": {"device": "cpu", **run}})


class References:
    """The digests of right outputs, by photo and setting.

    Attributes:
        mistakes: sentences about references that are wrong themselves.
    """

    def __init__(self, folder: Path) -> None:
        """Start the process that makes them; the folder is for its files."""
        self.mistakes: list[str] = []
        self._folder = folder
        self._known: dict[tuple[str, Setting], str] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak.references"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the soak.
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def make(self, photos: Iterable[Photo], setting: Setting) -> None:
        """Make the references of good photos that are not there yet."""
        missing = {_key(photo): photo for photo in photos}
        missing = {key: each for key, each in missing.items() if (key, setting) not in self._known}
        if not missing:
            return
        folder = self._folder / f"{setting.style}-{setting.format}"
        for key, photo in missing.items():
            path = folder / "in" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo.data)
        config = folder / "config.yaml"
        source, output = (str(folder / name) for name in ("in", "out"))
        config.write_text(config_text(source, output, setting, {}))
        assert self._process.stdin
        assert self._process.stdout
        print(config, file=self._process.stdin, flush=True)
        if self._process.stdout.readline().strip() != "done":
            raise RuntimeError(f"the calm run of {config} failed")
        for key, photo in missing.items():
            data = (folder / "out" / setting.output_of(key)).read_bytes()
            self._known[key, setting] = digest(data)
            size = Image.open(io.BytesIO(data)).size
            if size != photo.size:
                self.mistakes.append(f"{photo.name!a}: the output has {size}")

    def of(self, photo: Photo, setting: Setting) -> str:
        """Return the digest of a good photo's right output."""
        return self._known[_key(photo), setting]


def _key(photo: Photo) -> str:
    """Return a name for the contents of a photo, with the extension, which decides the format."""
    return digest(photo.data) + posixpath.splitext(photo.name)[1]


def _main() -> None:
    from stylebeam.pipeline.runs.job import run  # noqa: PLC0415 (the soak itself needs no torch)

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Nothing else answers.
    for line in sys.stdin:
        summary = run(line.strip())
        print("failed" if summary.failed or summary.stopped else "done", file=answers, flush=True)


if __name__ == "__main__":
    _main()
