"""Filters for messages of libraries, in processes of the command only."""

import logging
import os
import subprocess
import sys
import warnings

import pytest

from stylebeam.pipeline.beam.quiet import quiet_libraries

STATE = "(logging.getLogger().filters, warnings.filters, dict(os.environ))"
IMPORT = f"""
import copy, logging, os, warnings
before = copy.deepcopy({STATE})
import stylebeam.pipeline.beam.quiet
assert before == {STATE}
"""


def test_importing_the_package_changes_no_global_state() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_useless_messages_are_filtered(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "filters", [])
    monkeypatch.setattr(os, "environ", {})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_libraries()
        warnings.warn("Possible nested set at position 1", FutureWarning, stacklevel=1)
        warnings.warn("something else", FutureWarning, stacklevel=1)
    assert os.environ == {"GRPC_VERBOSITY": "ERROR"}
    assert [str(each.message) for each in caught] == ["something else"]
    messages = ["apitools not found", "something else"]
    passed = [text for text in messages if root.filter(logging.makeLogRecord({"msg": text}))]
    assert passed == ["something else"]
