"""Losses, and the loss networks whose features they compare."""
