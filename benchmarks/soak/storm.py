"""The storm: each round changes the archive, disturbs a run, and checks what is there."""

import itertools
import random
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from benchmarks.soak.archive import Archive
from benchmarks.soak.checker import After, Checker, Finding
from benchmarks.soak.command import Command
from benchmarks.soak.disturbances import (
    ANYWHERE,
    HELD,
    IN_BUCKET,
    ON_DISK,
    WORKERS,
    Disturbance,
)
from benchmarks.soak.journal_damage import JOURNAL, OUTCOMES, damage_journal, damage_outcomes
from benchmarks.soak.poisons import POISONS
from benchmarks.soak.references import References, config_text
from benchmarks.soak.storages import Place
from benchmarks.soak.table import Found, Table

_HOOK = Path(__file__).parent / "hook"
_CALM_EVERY = 4
_SECONDS_FOR_LEASE = 150.0
_IMAGE_DEADLINE = 5.0

_Change = Callable[[Archive, random.Random], object]
_CHANGES: dict[str, tuple[float, _Change]] = {
    "inputs": (0.3, Archive.change_inputs),
    "deletions": (0.2, Archive.delete_outputs),
    "edits": (0.2, Archive.edit_results),
    "foreign": (0.15, Archive.add_foreign),
    "moved away": (0.2, Archive.free_protected),
    "config": (0.1, Archive.change_setting),
    "records": (0.1, damage_outcomes),
}
_JOURNAL_PROBABILITY = 0.1
_POISON_PROBABILITY = 0.35

FAULTS = (*ANYWHERE, *ON_DISK, *IN_BUCKET, *_CHANGES, "journal", "workers", *POISONS)
"""What `--without` can leave out."""


class Storm:
    """Rounds over one archive.

    Attributes:
        archive: the archive.
        base: the working directory of runs.
        volume: the small volume of the outputs; None if there is none.
        limit: seconds in which a run must end.
        run_options: options of the config's section `run`.
        set_faults: lets a share of the storage's requests fail.
        table: the counts.
    """

    def __init__(
        self,
        base: Path,
        place: Place,
        references: References,
        seed: int,
        without: Collection[str],
        most: int,
        limit: float,
        table: Table,
    ) -> None:
        """Start with an empty archive.

        Args:
            base: the working directory of runs.
            place: the storage.
            references: the right bytes of outputs.
            seed: of all that is random.
            without: what of FAULTS is left out.
            most: the archive grows to this many photos.
            limit: seconds in which a run must end.
            table: for the counts.
        """
        self._on_disk = not place.environment
        self.archive = Archive(place.inputs, place.outputs, self._on_disk, most)
        self.base, self.volume, self.limit = base, place.volume, limit
        self.set_faults = place.set_faults
        self.table = table
        self.run_options = {} if "hang" in without else {"image_deadline": _IMAGE_DEADLINE}
        self._environment = place.environment
        self._references = references
        self._checker = Checker(self.archive, references)
        self._seed = seed
        self._without = without
        draws = {**ANYWHERE, **(ON_DISK if self._on_disk else IN_BUCKET)}
        self._draws = {name: draw for name, draw in draws.items() if name not in without}
        self._flags: Sequence[str] = ()
        self._was_killed = False

    def to_do(self) -> int:
        """Return how many outputs are not what they must be, and may be written."""
        found = self.archive.outputs.digests()
        outputs = {self.archive.output_of(each): each for each in self.archive.good()}
        return sum(
            found.get(name) != self._references.of(photo, self.archive.setting)
            for name, photo in outputs.items()
            if name not in self.archive.protected
        )

    def command(
        self,
        folder: Path,
        before: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> Command:
        """Start a run of the config that is there."""
        variables = {**self._environment, **(environment or {})}
        return Command(
            "config.yaml", folder, self.base, _HOOK, self._flags, before, variables
        )  # fmt: skip

    def round(self, number: int) -> str:
        """Go through a round, and return a line about it."""
        started = time.monotonic()
        generator = random.Random(f"{self._seed}/{number}")
        # Each part has a generator of its own, so that a part left out changes no other change.
        names = ("archive", "poison", *FAULTS, "run")
        parts = {name: random.Random(generator.random()) for name in names}
        changed = self._change_archive(parts)
        self._references.make(self.archive.good(), self.archive.setting)
        self.archive.start_run()
        disturbance = self._draw(number, parts["run"])
        folder = self.base / "rounds" / f"{number:04}"
        command, findings = self._run(folder, disturbance, "journal lost" in changed)
        if command.summary is not None:
            self.archive.settle_doubtful(self._checker.given_up)
        self._was_killed = command.killed or command.hung is not None
        self._count(number, disturbance, changed, findings)
        if not findings:
            shutil.rmtree(folder)
        words = [
            f"round {number}: {disturbance.name}, {' '.join(self._flags) or 'one process'};",
            f"{len(self.archive.photos)} photos;",
            f"{', '.join(changed) or 'no change'};",
            f"exit {command.code}, {dict(self._checker.statuses)},",
            f"{time.monotonic() - started:.1f} s",
            *(f"\n  {finding.kind.upper()}: {finding.words}" for finding in findings),
        ]
        return " ".join(words)

    def _change_archive(self, parts: dict[str, random.Random]) -> list[str]:
        """Change the archive between two runs, and return in which ways."""
        self.archive.grow(parts["archive"])
        changed = []
        kind = parts["poison"].choice(list(POISONS))
        if parts["poison"].random() < _POISON_PROBABILITY and kind not in self._without:
            self.archive.poison(parts["poison"], kind)
            changed.append(f"poison {kind}")
        for name, (probability, change) in _CHANGES.items():
            is_due = parts[name].random() < probability and name not in self._without
            if is_due and change(self.archive, parts[name]):
                changed.append(name)
        is_due = parts["journal"].random() < _JOURNAL_PROBABILITY and "journal" not in self._without
        if self._on_disk and is_due:
            changed.append(f"journal {damage_journal(self.archive, parts['journal'])}")
        return changed

    def _draw(self, number: int, generator: random.Random) -> Disturbance:
        """Draw what disturbs the run of a round, and its flags."""
        with_workers = generator.random() < 0.3 and "workers" not in self._without
        name = generator.choice(list(self._draws) or ["none"])
        if number % _CALM_EVERY == 0 or not self._draws:
            disturbance = Disturbance("calm")
        else:
            disturbance = self._draws[name](self, random.Random(generator.random()))
        self._flags = disturbance.needs or (WORKERS if with_workers else ())
        return disturbance

    def _run(
        self, folder: Path, disturbance: Disturbance, journal_was_lost: bool
    ) -> tuple[Command, list[Finding]]:
        """Run the command under a disturbance, and check what is there afterwards."""
        archive = self.archive
        options = {**self.run_options, **disturbance.run}
        text = config_text(
            archive.inputs.location, archive.outputs.location, archive.setting, options
        )
        (self.base / "config.yaml").write_text(text)
        before = archive.outputs.digests()
        version = archive.outputs.versions().get(OUTCOMES)
        deadline = time.monotonic() + _SECONDS_FOR_LEASE
        try:
            for attempt in itertools.count(1):
                command, mistakes = self._run_once(folder / f"run{attempt}", disturbance)
                # The lease of a killed run runs out in a while.
                if not (command.code == HELD and self._was_killed and time.monotonic() < deadline):
                    break
        finally:
            disturbance.undo()
        for versions in archive.versions.values():
            good = (photo for photo in versions if photo.fault is None)
            self._references.make(good, archive.setting)
        after = After(
            command,
            disturbance.allows,
            before,
            archive.outputs.digests(),
            archive.inputs.digests(),
            archive.outputs.read(OUTCOMES),
            archive.outputs.read(JOURNAL) if self._on_disk else None,
            archive.outputs.versions().get(OUTCOMES) != version,
            journal_was_lost,
        )
        for name, data in (("outcomes.jsonl", after.outcomes), ("journal.jsonl", after.journal)):
            (folder / name).write_bytes(data or b"")
        findings = [Finding("wrong", words) for words in mistakes]
        findings += [Finding("wrong", words) for words in self._references.mistakes]
        self._references.mistakes.clear()
        return command, findings + list(self._checker.check(after))

    def _run_once(self, folder: Path, disturbance: Disturbance) -> tuple[Command, Sequence[str]]:
        """Run the command under a disturbance; return it and the mistakes that it has seen."""
        self.table.runs += 1
        command = self.command(folder, disturbance.before, disturbance.environment)
        try:
            mistakes = disturbance.act(command)
            command.wait(self.limit)
        finally:
            if command.is_running:
                command.kill()
        return command, mistakes

    def _count(
        self,
        number: int,
        disturbance: Disturbance,
        changed: Collection[str],
        findings: Sequence[Finding],
    ) -> None:
        self.table.rounds += 1
        self.table.disturbances[disturbance.name] += 1
        self.table.changes.update(changed)
        self.table.statuses.update(self._checker.statuses)
        faults = (each.fault for each in self.archive.photos.values() if each.fault)
        self.table.bad_photos.update(faults)
        self.table.found += [Found(number, finding) for finding in findings]
