"""Measures stylization by fast networks and prints Markdown tables with ratios.

`networks.py`, `throughput.py`, `memory.py` and `tiles.py` measure, and `__main__.py` runs them.
Alternatives are measured in alternation, so that a slow minute of the machine slows all of them.
"""
