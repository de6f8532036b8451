"""Measures what checkpoints make of photos that nothing learned from."""
