"""Paths in records are spelled in one way, whatever the locale."""

import os
import sys

import pytest

from stylebeam.pipeline.archive.names import from_record, to_record

NAMES = (b"a.jpg", "é/ü.jpg".encode(), b"\xff\xfe.jpg", "\N{PILE OF POO}".encode())


@pytest.fixture(params=["utf-8", "iso-8859-1", "ascii"])
def encoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The encoding that Python uses for the names of files under some locale."""
    encoding = request.param
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: encoding)
    monkeypatch.setattr(os, "fsencode", lambda path: path.encode(encoding, "surrogateescape"))
    monkeypatch.setattr(os, "fsdecode", lambda data: data.decode(encoding, "surrogateescape"))
    return encoding


@pytest.mark.parametrize("name", NAMES)
def test_a_record_has_the_name_in_utf_8(encoding: str, name: bytes) -> None:
    path = name.decode(encoding, "surrogateescape")
    assert to_record(path) == name.decode("utf-8", "surrogateescape")
    assert from_record(to_record(path)) == path


@pytest.mark.parametrize("path", ["gs://archive/é.jpg", "gs://archive/a b.jpg"])
def test_a_uri_stays_as_it_is(encoding: str, path: str) -> None:
    assert to_record(path) == path
    assert from_record(path) == path


@pytest.mark.parametrize("path", ["\N{PILE OF POO}.jpg", "\ud800.jpg"])
def test_a_name_that_no_file_has_is_no_error(encoding: str, path: str) -> None:
    assert isinstance(to_record(path), str)
    assert isinstance(from_record(path), str)
