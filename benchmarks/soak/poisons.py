"""The kinds of poisoned photos. Their size in pixels tells the kind: it survives any decoder."""

POISONS = {
    "exit": "ends its process",
    "crash": "ends its process by a segmentation fault",
    "oom": "is killed, as by the system's memory killer",
    "hang": "never ends, and lets other threads work",
    "freeze": "never ends, and keeps Python's lock",
    "swell": "allocates 512 MiB, and then has no more memory",
}
"""What becomes of the process that opens a poisoned photo (see `hook/sitecustomize.py`)."""

_WIDTH = 31  # No good photo is so narrow.
_HEIGHTS = {kind: 32 + number for number, kind in enumerate(POISONS)}


def size_of(kind: str) -> tuple[int, int]:
    """Return the width and height of poisoned photos of a kind."""
    return (_WIDTH, _HEIGHTS[kind])


def kind_of(size: tuple[int, int]) -> str | None:
    """Return the kind of a photo of this width and height; None if it is not poisoned."""
    return next((kind for kind in POISONS if size_of(kind) == size), None)
