"""Devices, memory, and the precision of computations."""
