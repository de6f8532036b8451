"""Statistics over styles, and the tables."""

from pathlib import Path

import pytest

from stylebeam.transforms.evaluation.candidates import Candidate
from stylebeam.transforms.evaluation.tables import over_styles, tables


def style(group: str, name: str, tone: list[float]) -> Candidate:
    candidate = Candidate(group, name, lambda photo: None, lambda *_: {}, Path(f"{name}.jpg"))
    candidate.measures["tone"] += tone
    return candidate


@pytest.mark.parametrize(
    ("measure", "values", "expected"),
    [
        ("palette", range(1, 21), (10.5, 18, 20)),
        ("palette", [3, 1, 2], (2, 3, 3)),
        ("palette", [5], (5, 5, 5)),
        ("sharpness", range(1, 21), (10.5, 3, 1)),
        ("tone", [1.0, 0.9, 1.3, *[1.01] * 7], (1.01, 0.9, 1.3)),
    ],
)
def test_statistics_go_from_best_to_worst(
    measure: str, values: list[float], expected: tuple[float, float, float]
) -> None:
    assert over_styles(measure, values) == expected


def test_groups_of_several_styles_are_summarized() -> None:
    text = tables(
        [
            style("many", "many: one", [0.5, 0.7]),
            style("many", "many: two", [0.9, 1.1]),
            style("single", "single", [12.345]),
        ]
    )
    assert "| many: one |  | 0.6 |  |  |  |\n" in text
    assert "| single |  | 12.35 |" in text
    assert "| many | 2 | median | 0.8 |\n| many | 2 | 90th percentile | 0.6 |\n" in text
    assert "| many | 2 | worst | 0.6 |\n" in text
    assert "| single | 1" not in text


def test_single_styles_alone_need_no_summary() -> None:
    assert tables([style("single", "single", [1.0])]).count("|\n") == 3
