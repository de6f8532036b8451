"""The tables of an evaluation, in Markdown."""

import math
import statistics
from collections.abc import Iterable, Sequence

from stylebeam.transforms.evaluation.candidates import Candidate
from stylebeam.transforms.evaluation.measures import badness

_LEGEND = """\
Over the styles of each checkpoint or program: the median, the 90th percentile (90 % of the styles
are at least as good) and the worst. The worst tone is the one farthest from 1, the worst sharpness
is the smallest, and the worst of all others is the largest.
"""


def tables(measured: Sequence[Candidate]) -> str:
    """Return a table with a row for each candidate, and one of each group's styles together.

    Candidates with other measures have a table of their own.
    """
    parts = []
    for columns in dict.fromkeys(tuple(candidate.measures) for candidate in measured):
        rows = [candidate for candidate in measured if tuple(candidate.measures) == columns]
        titles = ["checkpoint", "network", *columns, "seconds", "parameters", "multiply-adds"]
        parts.append(_table(titles, [_row(candidate, columns) for candidate in rows]))
        groups: dict[str, list[Candidate]] = {}
        for candidate in rows:
            if candidate.painting is not None:
                groups.setdefault(candidate.group, []).append(candidate)
        lines = [
            line
            for group, styles in groups.items()
            if len(styles) > 1
            for line in _summary(group, styles, columns)
        ]
        if lines:
            parts.append(f"{_LEGEND}\n{_table(['checkpoint', 'styles', '', *columns], lines)}")
    return "\n".join(parts)


def over_styles(measure: str, values: Iterable[float]) -> tuple[float, float, float]:
    """Return the median of a measure, its 90th percentile from best to worst, and the worst.

    The 90th percentile is the best value such that at least 90 % of the values are no worse.
    """
    ordered = sorted(values, key=lambda value: badness(measure, value))
    percentile = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return statistics.median(ordered), percentile, ordered[-1]


def _row(candidate: Candidate, columns: Sequence[str]) -> list[str]:
    cost = ["", "", ""]
    if candidate.count is not None:
        cost = [
            f"{statistics.median(candidate.seconds):.3f}",
            f"{candidate.parameters / 1e6:.2f} M",
            f"{candidate.multiply_adds / 1e9:.1f} G",
        ]
    means = [_number(_mean(candidate, name)) for name in columns]
    return [candidate.name, candidate.network, *means, *cost]


def _summary(group: str, styles: Sequence[Candidate], columns: Sequence[str]) -> list[list[str]]:
    by_column = [over_styles(name, [_mean(style, name) for style in styles]) for name in columns]
    titles = ["median", "90th percentile", "worst"]
    return [
        [group, str(len(styles)), title, *map(_number, values)]
        for title, values in zip(titles, zip(*by_column, strict=True), strict=True)
    ]


def _mean(candidate: Candidate, measure: str) -> float:
    return statistics.fmean(candidate.measures[measure])


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.4g}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
