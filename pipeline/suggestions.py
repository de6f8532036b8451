"""What a mistyped name may have meant."""

import difflib
from collections.abc import Iterable

_FEW = 12
_SYNONYMS = {"gpu": "cuda"}


def nearest(word: str, words: Iterable[str]) -> str:
    """Return half a sentence that names the most similar of the valid words, if one is similar."""
    words = list(words)
    synonyms = [each for each in words if each == _SYNONYMS.get(word)]
    found = synonyms or difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def nearest_or_all(word: str, words: Iterable[str]) -> str:
    """Return half a sentence that names the most similar of the valid words, or all of a few."""
    words = list(words)
    all_of_few = f"; there is {', '.join(words)}" if 0 < len(words) <= _FEW else ""
    return nearest(word, words) or all_of_few
