"""Formats quantities and values for people to read."""

import json
from typing import Any


def duration(seconds: float) -> str:
    """Return a duration such as 42 s, 3 min 20 s, 2 h 15 min or 4 d 3 h."""
    whole = round(seconds)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, as in "1 image" or "1,000 images"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def one_line(value: Any, quoted: bool = True) -> str:
    """Return a value as YAML on one line.

    Args:
        value: plain values, as YAML has them.
        quoted: put text in quotes, so that YAML reads the same value; False for messages.
    """
    if isinstance(value, dict):
        pairs = (
            f"{one_line(key, quoted)}: {one_line(each, quoted)}" for key, each in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(one_line(each, quoted) for each in value)}]"
    if isinstance(value, float):
        # YAML 1.1 reads a number with an exponent but no point as text.
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    if isinstance(value, str) and not quoted:
        return value
    # JSON escapes a character beyond 16 bits as two, which YAML would read as two characters.
    return json.dumps(value, default=str, ensure_ascii=False)
