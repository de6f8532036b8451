"""Candidates that enlarge photos: super-resolution networks, and bicubic interpolation."""

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from stylebeam.transforms.checkpoints import Checkpoint
from stylebeam.transforms.evaluation.candidates import Candidate, run_on_meta_device
from stylebeam.transforms.evaluation.images import ContentImage
from stylebeam.transforms.evaluation.metrics import psnr, sharpness, ssim
from stylebeam.transforms.inference.super_resolution import SuperResolutionEngine, reduced


def super_resolution(
    name: str, checkpoint: Checkpoint, network: nn.Module, device: torch.device
) -> tuple[int, Candidate]:
    """Return the factor of a network, and the network applied to photos that are reduced by it.

    Args:
        name: of the checkpoint.
        checkpoint: its contents.
        network: its network.
        device: where to compute.
    """
    engine = SuperResolutionEngine(checkpoint, device)
    factor = engine.scale
    return factor, Candidate(
        group=name,
        name=name,
        make=lambda photo: engine.transform(_reduced(photo.pixels, factor)),
        measure=partial(_quality, factor),
        network="super_resolution",
        parameters=sum(tensor.numel() for tensor in network.parameters()),
        count=lambda photo: run_on_meta_device(network, _reduced(photo.pixels, factor)),
    )


def bicubic(factor: int) -> Candidate:
    """Return bicubic interpolation by a factor, as a baseline."""

    def enlarge(photo: ContentImage) -> Tensor:
        small = _reduced(photo.pixels, factor)
        size = [factor * side for side in small.shape[1:]]
        return resize(small, size, InterpolationMode.BICUBIC)

    return Candidate(
        group="bicubic",
        name=f"bicubic x{factor}",
        make=enlarge,
        measure=partial(_quality, factor),
        network="none",
        count=enlarge,
    )


def _reduced(photo: Tensor, factor: int) -> Tensor:
    """Return a photo, uint8 of shape (3, H, W), with sides of H // factor and W // factor."""
    height, width = (side // factor * factor for side in photo.shape[1:])
    return (reduced(photo[None, :, :height, :width] / 255, factor)[0] * 255).round().byte()


def _quality(factor: int, picture: Tensor, photo: ContentImage) -> dict[str, float]:
    height, width = picture.shape[1:]
    images, target = picture[None] / 255, photo.pixels[None, :, :height, :width] / 255
    return {
        "PSNR": psnr(images, target, border=factor).item(),
        "SSIM": ssim(images, target, border=factor).item(),
        "sharpness": sharpness(images, target, border=factor).item(),
    }
