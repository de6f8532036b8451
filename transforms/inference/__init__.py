"""Trained networks on photos of any size: style networks, tiles, super-resolution."""
