"""Suggests valid names in place of a misspelled one."""

import difflib
from collections.abc import Iterable

_MOST_LISTED = 12
_SYNONYMS = {"gpu": "cuda"}


def nearest(word: str, words: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the valid word most similar to a word; "" if none is."""
    words = list(words)
    synonyms = [each for each in words if each == _SYNONYMS.get(word)]
    found = synonyms or difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def nearest_or_all(word: str, words: Iterable[str]) -> str:
    """Return what `nearest` returns; if no valid word is similar, a list of them unless long."""
    words = list(words)
    listed = f"; there is {', '.join(words)}" if 0 < len(words) <= _MOST_LISTED else ""
    return nearest(word, words) or listed
