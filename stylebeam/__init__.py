"""stylebeam stylizes photos with neural networks: one photo, or archives of millions.

    import stylebeam

    stylizer = stylebeam.open_style("starry_night")
    photo = stylebeam.decode(open("cat.jpg", "rb").read())
    open("cat_starry.jpg", "wb").write(stylebeam.encode(stylizer(photo), "jpeg"))

    stylebeam.run("photos.yaml")  # all photos of a config

The PTransforms for Apache Beam pipelines are in `stylebeam.pipeline`. Large libraries are imported
when they are needed: torch to open a style or decode an image, Beam to run a config.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stylebeam.opening import (
        NetworkInfo,
        list_styles,
        list_super_resolution,
        open_optimization,
        open_style,
        open_super_resolution,
    )
    from stylebeam.pipeline.runs.job import run
    from stylebeam.transforms.engine import Canceled, Engine
    from stylebeam.transforms.images.decoding import decode
    from stylebeam.transforms.images.encoding import encode
    from stylebeam.transforms.images.formats import ImageError
    from stylebeam.transforms.images.photo import Photo

_MODULES = {
    "stylebeam.opening": (
        "NetworkInfo",
        "list_styles",
        "list_super_resolution",
        "open_optimization",
        "open_style",
        "open_super_resolution",
    ),
    "stylebeam.pipeline.runs.job": ("run",),
    "stylebeam.transforms.engine": ("Canceled", "Engine"),
    "stylebeam.transforms.images.decoding": ("decode",),
    "stylebeam.transforms.images.encoding": ("encode",),
    "stylebeam.transforms.images.formats": ("ImageError",),
    "stylebeam.transforms.images.photo": ("Photo",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Canceled",
    "Engine",
    "ImageError",
    "NetworkInfo",
    "Photo",
    "decode",
    "encode",
    "list_styles",
    "list_super_resolution",
    "open_optimization",
    "open_style",
    "open_super_resolution",
    "run",
]


def __getattr__(name: str) -> object:
    """Import a name when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
