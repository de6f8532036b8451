"""The record of a run, in the folder `_stylebeam` beside the outputs.

`run.json` holds the batches of the config. `outcomes.jsonl` holds one outcome per input.
`report.html` shows both to people.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

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


class WriteOutcomes(beam.PTransform):
    """Writes the outcomes of a run, one file for each output folder.

    For a folder whose batches had no input it writes an empty record, so that the record of an
    earlier run does not remain.
    """

    def __init__(self, outputs: Mapping[str, str]) -> None:
        """Make the transform.

        Args:
            outputs: the output folder of each batch, by the batch's name. The same folder must be
                spelled in the same way.
        """
        super().__init__()
        self._outputs = dict(outputs)

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[None]:
        """Write the outcomes."""
        outputs = self._outputs
        # An empty line stands for no outcome; it makes sure that each folder has a record.
        empty = outcomes.pipeline | "Every folder" >> beam.Create(
            [(folder, "") for folder in sorted(set(outputs.values()))]
        )
        # As text, which takes a fraction of the memory that objects take.
        lines = outcomes | "By folder" >> beam.Map(
            lambda outcome: (outputs[outcome.batch], outcome.to_json())
        ).with_output_types(tuple[str, str])
        return (
            (empty, lines)
            | "All lines" >> beam.Flatten()
            | "Gather" >> beam.GroupByKey()
            | "Write records"
            >> beam.MapTuple(lambda folder, found: write_outcomes(folder, filter(None, found)))
        )
