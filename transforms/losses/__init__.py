"""Losses, and the networks in whose features images are compared."""
