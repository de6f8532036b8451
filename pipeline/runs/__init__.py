"""A run, from the plan to its end; and what shows a run beforehand."""
