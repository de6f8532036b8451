"""The record of a run, in the folder `_stylebeam` beside the outputs.

`run.json` says what was to be done: the batches and their recipes. `outcomes.jsonl` says what
became of it: one outcome an input. `report.html`, which people read, is made of the two.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.records import Outcome

_RUN = "_stylebeam/run.json"
_OUTCOMES = "_stylebeam/outcomes.jsonl"
_REPORT = "_stylebeam/report.html"


def write_run(output: str, batches: Sequence[Mapping[str, Any]]) -> None:
    """Record what is to be written to an output folder.

    Done before anything else, it shows that the folder can be written to.

    Args:
        output: the folder.
        batches: what the config says of those that write there, and the digest of their weights.

    Raises:
        StorageError: it cannot.
    """
    text = json.dumps({"batches": batches}, indent=2) + "\n"
    storage.write(storage.join(output, _RUN), text.encode(), "application/json")


def read_run(output: str) -> list[dict[str, Any]]:
    """Return the batches that `write_run` recorded of an output folder.

    Raises:
        StorageError: the record cannot be read.
    """
    return json.loads(storage.read(storage.join(output, _RUN)))["batches"]


def outcomes_path(output: str) -> str:
    """Return where the outcomes of the batches that write to the folder `output` are recorded."""
    return storage.join(output, _OUTCOMES)


def report_path(output: str) -> str:
    """Return where the report on the batches that write to the folder `output` is."""
    return storage.join(output, _REPORT)


def read_outcomes(output: str) -> Iterator[Outcome]:
    """Yield the outcomes recorded beside the outputs in a folder.

    Raises:
        StorageError: the record cannot be read.
    """
    # Line by line, for as objects they take many times the file's size.
    for line in io.BytesIO(storage.read(outcomes_path(output))):
        yield Outcome.from_json(line.decode())


def write_outcomes(output: str, lines: Iterable[str]) -> None:
    """Record the outcomes of the batches that write to the folder `output`.

    Args:
        output: the folder.
        lines: each an outcome as JSON.

    Raises:
        StorageError: the record cannot be written.
    """
    data = io.BytesIO()
    data.writelines(f"{line}\n".encode() for line in lines)
    storage.write(outcomes_path(output), data.getvalue(), "application/jsonl")
