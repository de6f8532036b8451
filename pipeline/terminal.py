"""Prints lines to the terminal; text from files and names cannot control it."""

import contextlib
import os
import sys
import unicodedata
from typing import Any, TextIO

_JOINERS = "\u200c\u200d"  # of letters in some scripts, and of emoji


def visible(text: Any) -> str:
    r"""Return a text on one line, in which what is invisible is escaped, as in `\x1b`.

    File names can hold any character, and messages quote them: an escape sequence would set the
    terminal's title, a newline would forge a line of the program, and a change of the writing
    direction would show another name. Bytes that are not text are escaped too.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        char if _is_shown(char) else char.encode("unicode_escape").decode() for char in text
    )


def say(*lines: Any, file: TextIO | None = None) -> None:
    """Print lines at once, each with `visible`.

    Nothing happens if the stream is closed, or if nobody reads it anymore, as after `| head -1`:
    the work of the command goes on.

    Args:
        *lines: the lines.
        file: where to print them; by default standard output.

    Raises:
        OSError: standard output cannot be written to, for example because a disk is full.
    """
    stream = file or sys.stdout
    if not lines or stream is None:
        return
    try:
        print(*map(visible, lines), sep="\n", file=stream, flush=True)
    except OSError as error:
        discard(stream)
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            reason = error.strerror or str(error)
            raise OSError(f"standard output cannot be written to: {reason.lower()}.") from error


def complain(*lines: Any) -> None:
    """Print lines to standard error, the first after the program's name."""
    first, *rest = lines
    if sys.stderr is not None:
        say(f"stylebeam: {first}", *rest, file=sys.stderr)


def show_cursor() -> None:
    """Show the cursor of a terminal, which a progress bar has hidden."""
    if sys.stderr is not None and sys.stderr.isatty():
        print("\033[?25h", end="", file=sys.stderr, flush=True)


def discard(stream: TextIO) -> None:
    """Discard all that is written to a stream; Python flushes it at exit, which must not fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_shown(char: str) -> bool:
    """Whether a character is visible, a space of any width, or a joiner."""
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"
