"""The machine: its devices, its memory, and the precision of computations."""
