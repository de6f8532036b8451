"""The record of a run, in the folder `_stylebeam` beside the outputs.

`run.json` holds the batches of the config. `outcomes.jsonl` holds one outcome per input.
`report.html` shows both to people.
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
    """Record the batches that write to an output folder.

    A run does this first, which also shows that the folder can be written to.

    Args:
        output: the folder.
        batches: the config of each batch that writes there, and the digest of its weights.

    Raises:
        StorageError: the record cannot be written.
    """
    storage.refuse_links(output, storage.join(output, _RUN))
    text = json.dumps({"batches": batches}, indent=2) + "\n"
    storage.write(storage.join(output, _RUN), text.encode(), "application/json")


def read_run(output: str) -> list[dict[str, Any]]:
    """Return the batches that `write_run` recorded in an output folder.

    Raises:
        StorageError: the record cannot be read.
    """
    return json.loads(storage.read(storage.join(output, _RUN)))["batches"]


def outcomes_path(output: str) -> str:
    """Return the location of the outcomes of the batches that write to the folder `output`."""
    return storage.join(output, _OUTCOMES)


def report_path(output: str) -> str:
    """Return the location of the report on the batches that write to the folder `output`."""
    return storage.join(output, _REPORT)


def read_outcomes(output: str) -> Iterator[Outcome]:
    """Yield the outcomes recorded in an output folder.

    Raises:
        StorageError: the record cannot be read.
    """
    # One at a time: as objects they take many times the memory of the file.
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
