"""Tests of what is printed: names from outside cannot control the terminal."""

import ast
import io
import os
import sys
from pathlib import Path

import pytest

from stylebeam.pipeline.terminal import complain, say, visible

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Älgar 猫 👩\u200d🚀.jpg", "Älgar 猫 👩\u200d🚀.jpg"),
        ("\x1b]0;title\x07.jpg", r"\x1b]0;title\x07.jpg"),
        ("a.jpg\n  failed: other.jpg", r"a.jpg\n  failed: other.jpg"),
        ("a\r\x9b2J\x7f\x85\u2028", r"a\r\x9b2J\x7f\x85\u2028"),
        ("gpj.\u202egnp.a", r"gpj.\u202egnp.a"),
        ("\udcff.jpg", r"\udcff.jpg"),
    ],
)
def test_what_controls_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nb", "c")
    complain("d\x1b[2J", "e")
    assert capsys.readouterr() == ("a\\nb\nc\n", "stylebeam: d\\x1b[2J\ne\n")


def test_only_one_module_prints() -> None:
    """The summary's table, which Rich prints, holds visible texts only."""
    printing = set()
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "sys.stdout.write",
                "sys.stderr.write",
            ):
                printing.add(path.name)
    assert printing == {"terminal.py"}


def test_nobody_reads_standard_output_anymore(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        say("lost")
        say("lost too")


def test_standard_output_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    say("lost")


def test_a_full_disk_behind_standard_output_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.FileIO("/dev/full", "w"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(OSError, match="standard output cannot be written to: no space left"):
        say("lost")
