"""The registry of methods, which stylize or enlarge photos."""

from collections.abc import Mapping

from stylebeam.pipeline.methods.contract import MethodOptions
from stylebeam.pipeline.methods.fast import FastOptions
from stylebeam.pipeline.methods.gatys import GatysOptions
from stylebeam.pipeline.methods.super_resolution import SuperResolutionOptions

METHODS: Mapping[str, type[MethodOptions]] = {
    "fast": FastOptions,
    "gatys": GatysOptions,
    "super_resolution": SuperResolutionOptions,
}
"""The options of each method, by its name in configs. The first is the default."""

DEFAULT_METHOD = next(iter(METHODS))
