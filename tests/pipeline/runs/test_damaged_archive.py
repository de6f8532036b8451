"""A run with a thousand damaged files has one outcome for each."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from stylebeam.pipeline.archive.ledger import read_outcomes
from tests.helpers.mutations import mutations

FILES = 1000


@pytest.mark.slow
def test_every_damaged_file_has_an_outcome(tmp_path: Path, checkpoint_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (name, data) in enumerate(mutations(FILES, seed=6)):
        (folder / f"{number:04}_{name}").write_bytes(data)
    (tmp_path / "config.yaml").write_text(f"""
batches:
  - {{name: all, input: photos, output: out, fast: {{style: {checkpoint_path}}}}}
run: {{device: cpu, max_pixels: 20_000}}
""")
    command = [sys.executable, "-m", "stylebeam", "run", "config.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 3, done.stderr
    outcomes = list(read_outcomes(str(tmp_path / "out")))
    inputs = Counter(Path(outcome.input).name for outcome in outcomes)
    assert inputs == Counter(path.name for path in folder.iterdir())
    for outcome in outcomes:
        output = tmp_path / outcome.output
        if outcome.status == "failed":
            assert outcome.error.endswith(".")
            assert not output.exists()
        else:
            assert output.exists()
    counts = Counter(outcome.status for outcome in outcomes)
    assert counts["failed"] > FILES / 10
    assert counts["done"] > FILES / 10
