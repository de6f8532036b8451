"""The data pipeline: configs, storage, Apache Beam, and the command.

`StylizeImages` and `StylizeFiles` are PTransforms for your own pipelines.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stylebeam.pipeline.beam.files import StylizeFiles
    from stylebeam.pipeline.beam.images import StylizedImages, StylizeImages

__all__ = ["StylizeFiles", "StylizeImages", "StylizedImages"]


def __getattr__(name: str) -> object:
    """Import a PTransform when it is first used, since it imports Beam and torch."""
    import importlib  # noqa: PLC0415

    modules = {"StylizeFiles": "files", "StylizeImages": "images", "StylizedImages": "images"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.beam.{modules[name]}"), name)
