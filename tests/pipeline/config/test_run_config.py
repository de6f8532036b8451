"""Tests of the options of a run."""

import pytest

from stylebeam.pipeline.config.run_config import RunOptions


@pytest.mark.parametrize(
    ("max_failures", "images", "limit"),
    [(None, 100, None), (0, 100, 0), (7, 100, 7), (0.05, 100, 5), (0.05, 10, 0), (1, 100, 1)],
)
def test_max_failures_is_a_count_or_a_fraction(
    max_failures: float | None, images: int, limit: int | None
) -> None:
    assert RunOptions(max_failures=max_failures).most_failures(images) == limit
