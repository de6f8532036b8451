"""Write-ahead notes on images in progress, so that a process that ended can be traced to an image.

A process writes a note just before it starts to work on an image, and deletes it once the image has
its outcome. Whoever finds a note later knows that its process ended in between. The supervisor of a
command counts that as an *observed* end. A note that it has not counted was left when the whole
command ended, perhaps for a reason that has nothing to do with the image, such as a power failure.
"""

import contextlib
import dataclasses
import glob
import hashlib
import json
import os
import socket
import uuid
from dataclasses import dataclass

from stylebeam.files import write_whole

_OBSERVED_ENDS = 2
_ENDS = 3
_TIMES = {2: "twice", 3: "three times"}


@dataclass(frozen=True)
class Note:
    """What a process is about to do, and what became of the processes that tried it before.

    Attributes:
        input: the path or URI of the image.
        started: when, in seconds since 1970.
        host: the machine of the process.
        process: its ID; 0 if the process has ended and its end is counted.
        token: differs from process to process, even if their IDs are equal.
        ends: how many processes have ended while they worked on the image.
        observed: how many of these ends a supervisor saw.
        how: how the last process ended, such as "signal 11, SIGSEGV".
        verdict: why nobody should try it again; None if somebody may.
    """

    input: str
    started: float = 0.0
    host: str = ""
    process: int = 0
    token: str = ""
    ends: int = 0
    observed: int = 0
    how: str = ""
    verdict: str | None = None

    def left(self) -> "Note | None":
        """Return the note with the end of its process counted; None if it is still at work."""
        if self.process == 0:
            return self
        if self.token == process_token():
            return None
        if self.host == socket.gethostname() and _is_running(self.process):
            return None
        return dataclasses.replace(self, process=0, ends=self.ends + 1)

    def observed_end(self, how: str) -> "Note":
        """Return the note with an end of its process that was seen.

        Args:
            how: how the process ended.
        """
        return dataclasses.replace(
            self, process=0, ends=self.ends + 1, observed=self.observed + 1, how=how
        )

    @property
    def refusal(self) -> str | None:
        """A sentence that says why the image should not be tried again; None if it should."""
        if self.verdict is not None:
            return self.verdict
        if self.observed < _OBSERVED_ENDS and self.ends < _ENDS:
            return None
        how = f" ({self.how})" if self.how else ""
        return f"It ended the process that worked on it{how}, {_TIMES[min(self.ends, _ENDS)]}."


class Notes:
    """The notes of the images in one output folder.

    Attributes:
        folder: where they are, a path on this machine.
    """

    def __init__(self, folder: str) -> None:
        """Make the notes; nothing is written yet.

        Args:
            folder: where they are, a path on this machine.
        """
        self.folder = folder

    @classmethod
    def beside(cls, output: str, is_remote: bool) -> "Notes":
        """Return the notes of an output folder.

        They are kept in the folder, or in the user's cache on this machine if the folder is remote:
        a request for each image would take longer than many images do.

        Args:
            output: the output folder.
            is_remote: whether it is not on the local disk.
        """
        if not is_remote:
            return cls(os.path.join(output, "_stylebeam", "in_progress"))
        name = hashlib.sha256(output.encode(errors="surrogateescape")).hexdigest()[:32]
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        return cls(os.path.join(cache, "stylebeam", "in_progress", name))

    def path_of(self, output: str) -> str:
        """Return the path of the note of an image, by the path or URI of its output."""
        name = hashlib.sha256(output.encode(errors="surrogateescape")).hexdigest()[:32]
        return os.path.join(self.folder, f"{name}.json")

    def read(self) -> dict[str, Note]:
        """Return all notes by path."""
        found = {}
        for path in glob.glob(os.path.join(glob.escape(self.folder), "*.json")):
            if note := read(path):
                found[path] = note
        return found

    def clear(self) -> None:
        """Delete all notes: the run that they belong to has come to its end."""
        for path in glob.glob(os.path.join(glob.escape(self.folder), "*")):
            delete(path)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)


def read(path: str) -> Note | None:
    """Return the note at a path; None if there is none.

    A note that was cut short has no input, and belongs to a process that has ended.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return Note(**json.load(file))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, OSError):
        return Note("")


def write(path: str, note: Note) -> None:
    """Write a note; create its folder.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(note))
    if note.ends or note.verdict:
        write_whole(path, text.encode())
        return
    # Nothing is lost if this one is cut short.
    try:
        _write(path, text)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, text)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def delete(path: str) -> None:
    """Delete a note, if it is there."""
    with contextlib.suppress(OSError):
        os.unlink(path)


_tokens: dict[int, str] = {}


def process_token() -> str:
    """Return a text that differs from process to process, also after a fork."""
    return _tokens.setdefault(os.getpid(), uuid.uuid4().hex)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False  # with another token, it is an earlier process of the same ID
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
