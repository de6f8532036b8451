"""Functions that stylize pixels: by stylebeam, by one of its backends, or by a plain program."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from benchmarks.plain_johnson import PlainJohnson
from benchmarks.stylization.samples import DEVICE, PRECISION, load_network
from stylebeam.transforms.backends.computation import Backend, Computation, Workload
from stylebeam.transforms.backends.pytorch import CompiledTorchBackend, TorchBackend
from stylebeam.transforms.inference import feed_forward
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer

Stylize = Callable[[Tensor], Tensor]


def stylebeam(
    network: str,
    precision: torch.dtype = PRECISION,
    at_once: int = 1,
    backend: Callable[[Computation], Backend] | None = None,
) -> Stylize:
    """Return a function that stylizes as stylebeam does, optionally with another backend.

    Args:
        network: name of the network.
        precision: precision of the convolutions.
        at_once: number of images that are stylized at once.
        backend: builds the backend; by default the one that stylebeam uses on this machine.
    """
    checkpoint, style = load_network(network)
    backend_for = feed_forward.backend_for
    if backend:
        feed_forward.backend_for = lambda computation, *_: backend(computation)
    try:
        stylizer = FeedForwardStylizer(checkpoint, DEVICE, precision, workload=Workload(at_once))
    finally:
        feed_forward.backend_for = backend_for
    return partial(stylizer.stylize, styles=style)


def eager(computation: Computation) -> Backend:
    """Return PyTorch's eager mode as a backend."""
    return TorchBackend(computation, DEVICE)


def compiled(computation: Computation) -> Backend:
    """Return compiled PyTorch as a backend."""
    return CompiledTorchBackend(computation, DEVICE, PRECISION)


def plain_loop(network: str) -> Stylize:
    """Return a function that stylizes as a plain PyTorch program does, in float32.

    It computes one layer after the other. `any_style`, which no other program has, is the
    exception: stylebeam's modules compute it.
    """
    checkpoint, style = load_network(network)
    built = checkpoint.build().to(DEVICE)
    vector = checkpoint.styles[next(iter(style))].vector[None].float().to(DEVICE)
    is_ours = network == "any_style"
    model = partial(built, styles=vector) if is_ours else PlainJohnson(built)

    @torch.inference_mode()
    def stylize(pixels: Tensor) -> Tensor:
        [result] = model(pixels[None].to(DEVICE).float() / 255)
        return (result.clamp(0, 1) * 255).round().byte().cpu()

    return stylize


def stylize_concurrently(stylize: Stylize, images: Sequence[Tensor], threads: int) -> None:
    """Stylize images with several threads."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(stylize, images))
