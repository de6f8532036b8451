"""A config without mistakes, and the messages for variants of it."""

from pathlib import Path

import pytest

from stylebeam.pipeline.cli.arguments import main

GOOD = """\
defaults:
  fast: {style: starry_night}
batches:
  - name: holiday
    input: photos
    output: styled/holiday
run:
  device: cpu
"""
"""The folder `photos` must exist in the working directory."""


def message(capsys: pytest.CaptureFixture[str], config: str | bytes, *settings: str) -> str:
    """Return the message for a config, without the name of the command."""
    data = config.encode() if isinstance(config, str) else config
    Path("photos.yaml").write_bytes(data)
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert main(["validate", "photos.yaml", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("stylebeam: ")
    return err.removeprefix("stylebeam: ").removesuffix("\n")
