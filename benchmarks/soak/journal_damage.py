"""Damage to the records of an output folder between two runs."""

import random

from benchmarks.soak.archive import Archive

JOURNAL = "_stylebeam/journal.jsonl"
OUTCOMES = "_stylebeam/outcomes.jsonl"

_WRONG_TYPES = (
    b"[]", b"null", b"5", b'"text"', b'{"output": 5}', b'{"output": null, "stamp": 1}',
    b'{"output": ["a"], "stamp": "b", "size": 1}', b'{"output": "a.jpg", "stamp": {}, "size": "x"}',
    b'{"stamp": "a"}', b"\xff\xfe\x00", b"{" * 2000,
)  # fmt: skip


def damage_journal(archive: Archive, generator: random.Random) -> str:
    """Damage the journal, and return how."""
    data = archive.outputs.read(JOURNAL)
    kind = generator.choice(("lost", "cut", "bytes", "types"))
    place, length = generator.random(), generator.randint(1, 200)
    line = generator.choice(_WRONG_TYPES)
    if not data:
        return "none"
    start = int(place * len(data))
    if kind == "lost":
        archive.outputs.delete(JOURNAL)
    elif kind == "cut":
        archive.outputs.write(JOURNAL, data[:start])
    elif kind == "bytes":
        noise = generator.randbytes(length)
        archive.outputs.write(JOURNAL, data[:start] + noise + data[start + length :])
    else:
        archive.outputs.write(JOURNAL, data + b"\n" + line + b"\n")
    if kind != "types":
        archive.doubtful |= archive.ever - archive.protected.keys()
    return kind


def damage_outcomes(archive: Archive, generator: random.Random) -> str:
    """Damage the outcomes of the last run, and return how."""
    data = archive.outputs.read(OUTCOMES)
    place, line = generator.random(), generator.choice(_WRONG_TYPES)
    if not data:
        return "none"
    archive.outputs.write(OUTCOMES, data[: int(place * len(data))] + line)
    return "cut"
