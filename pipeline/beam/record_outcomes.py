"""The step that writes the outcomes of a run, one file for each output folder."""

from collections.abc import Iterable, Mapping

import apache_beam as beam

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.ledger import write_outcomes
from stylebeam.pipeline.archive.records import Outcome


class RecordOutcomes(beam.PTransform):
    """Writes the outcomes of a run, one file for each output folder.

    A folder whose batches had no input gets an empty record, so that no record of an earlier run
    is left there.
    """

    def __init__(
        self, folders: Mapping[str, str], storage_deadline: float = storage.DEFAULT_DEADLINE
    ) -> None:
        """Make the transform.

        Args:
            folders: the output folder of each batch, by the batch's name; the same folder is always
                written in the same way.
            storage_deadline: seconds within which a write must be done.
        """
        super().__init__()
        self._folders = dict(folders)
        self._storage_deadline = storage_deadline

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[None]:
        """Write the outcomes."""
        folders, seconds = self._folders, self._storage_deadline
        # An empty line is not an outcome; it makes sure that each folder has a record.
        empty = outcomes.pipeline | "EveryFolder" >> beam.Create(
            [(folder, "") for folder in sorted(set(folders.values()))]
        )
        # As text, which takes a fraction of the memory of objects.
        lines = outcomes | "ByFolder" >> beam.Map(
            lambda outcome: (folders[outcome.batch], outcome.to_json())
        ).with_output_types(tuple[str, str])
        return (
            (empty, lines)
            | "AllLines" >> beam.Flatten()
            | "GroupByFolder" >> beam.GroupByKey()
            | "WriteRecords" >> beam.MapTuple(lambda folder, found: _write(folder, found, seconds))
        )


def _write(folder: str, lines: Iterable[str], storage_deadline: float) -> None:
    storage.set_deadline(storage_deadline)
    write_outcomes(folder, filter(None, lines))
