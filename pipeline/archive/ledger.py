"""The record of a run, in the folder `_stylebeam` beside the outputs.

`run.json` holds the batches of the config. `outcomes.jsonl` holds one outcome per input.
`report.html` shows both to people.
"""

import io
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.names import from_record, to_record
from stylebeam.pipeline.archive.records import Outcome, parse_object
from stylebeam.pipeline.wording import counted

_RUN = "_stylebeam/run.json"
_OUTCOMES = "_stylebeam/outcomes.jsonl"
_REPORT = "_stylebeam/report.html"
_FOLDERS = ("input", "output")


def new_name() -> str:
    """Return a name for a run that starts now, such as `2026-12-01T00-12-33-1f3a`."""
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S}-{secrets.token_hex(2)}"


def write_run(output: str, batches: Sequence[Mapping[str, Any]], name: str = "") -> None:
    """Record the batches that write to an output folder.

    A run does this first, which also shows that the folder can be written to.

    Args:
        output: the folder.
        batches: the config of each batch that writes there, and the digest of its weights.
        name: the run's name, from `new_name`.

    Raises:
        StorageError: the record cannot be written.
    """
    storage.refuse_links(output, run_path(output))
    respelled = [_with_paths(batch, to_record) for batch in batches]
    text = json.dumps({"run": name, "batches": respelled}, indent=2) + "\n"
    storage.write(run_path(output), text.encode(), "application/json")


def read_run(output: str, note: Callable[[str], None] = lambda text: None) -> list[dict[str, Any]]:
    """Return the batches that `write_run` recorded in an output folder.

    Args:
        output: the folder.
        note: receives a sentence if the record is damaged; what can be read is returned.

    Raises:
        StorageError: the record cannot be read.
    """
    path = run_path(output)
    try:
        batches = parse_object(storage.read(path)).get("batches")
    except ValueError:
        batches = None
    found = batches if isinstance(batches, list) else []
    valid = [_with_paths(each, from_record) for each in found if _is_batch(each)]
    if len(valid) < len(found) or not isinstance(batches, list):
        note(f"{path} is damaged: what it says about the last run is left out.")
    return valid


def run_path(output: str) -> str:
    """Return the location of the record of the batches that write to the folder `output`."""
    return storage.join(output, _RUN)


def outcomes_path(output: str) -> str:
    """Return the location of the outcomes of the batches that write to the folder `output`."""
    return storage.join(output, _OUTCOMES)


def report_path(output: str) -> str:
    """Return the location of the report on the batches that write to the folder `output`."""
    return storage.join(output, _REPORT)


def read_outcomes(
    output: str, note: Callable[[str], None] = lambda text: None
) -> Iterator[Outcome]:
    """Yield the outcomes recorded in an output folder.

    Args:
        output: the folder.
        note: receives a sentence at the end if lines are damaged; they are left out.

    Raises:
        StorageError: the record cannot be read.
    """
    path = outcomes_path(output)
    damaged = 0
    # One at a time: as objects they take many times the memory of the file.
    for line in io.BytesIO(storage.read(path)):
        if not line.strip():
            continue
        try:
            outcome = Outcome.from_json(line)
        except ValueError:
            damaged += 1
        else:
            yield outcome
    if damaged:
        note(f"{path} has {counted(damaged, 'damaged line')}, left out.")


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


def _is_batch(values: object) -> bool:
    """Return whether a value in the record of a run has the form of a batch."""
    return (
        isinstance(values, dict)
        and isinstance(values.get("name"), str)
        and all(isinstance(values.get(key, ""), str) for key in _FOLDERS)
    )


def _with_paths(batch: Mapping[str, Any], respell: Callable[[str], str]) -> dict[str, Any]:
    """Return a batch with its folders spelled as in records, or as on this machine."""
    return {key: respell(value) if key in _FOLDERS else value for key, value in batch.items()}
