"""Image transformations in pure torch: images in, images out.

Beam's PTransforms are in `pipeline`.
"""
