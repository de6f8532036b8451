"""Fixtures of the report tests."""

from pathlib import Path

import pytest

from tests.helpers.report_pages import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Empty folders of photos and outputs, to record a run in."""
    return Archive(tmp_path)
