"""Tests of the compiled PyTorch backend, and of the choice of the backend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from stylebeam.transforms import backends
from stylebeam.transforms.backends.computation import Computation, Workload
from stylebeam.transforms.backends.pytorch import CompiledTorchBackend, TorchBackend
from stylebeam.transforms.checkpoints import parse_checkpoint
from stylebeam.transforms.evaluation.metrics import psnr
from stylebeam.transforms.inference import feed_forward
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer

CPU = torch.device("cpu")


class Blur(Computation):
    """A small computation."""

    def __init__(self) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(3, 3, 3, padding=1, groups=3)

    def forward(self, pixels: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        values = gain * self.convolve(pixels.permute(0, 3, 1, 2) / 255)
        output = (values.sigmoid() * 255).round().to(pixels.dtype)
        return output.permute(0, 2, 3, 1), values.isfinite().all()


def noise(height: int, width: int, kind: torch.dtype = torch.uint8) -> Tensor:
    generator = torch.Generator().manual_seed(height * 10_000 + width)
    return torch.randint(0, 256, (1, height, width, 3), generator=generator, dtype=kind)


@pytest.fixture(autouse=True)
def reset_compiler() -> None:
    """Discard what other tests have compiled."""
    torch.compiler.reset()


def compiled_graphs() -> int:
    return counters["stats"]["unique_graphs"]


@pytest.mark.slow
def test_a_network_is_compiled_once_for_images_of_any_size(
    two_styles_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    monkeypatch.setattr(
        feed_forward, "backend_for", lambda computation, *_: TorchBackend(computation, CPU)
    )
    plain = FeedForwardStylizer(checkpoint, CPU, torch.float32)
    monkeypatch.setattr(
        feed_forward,
        "backend_for",
        lambda computation, *_: CompiledTorchBackend(computation, CPU, torch.float32),
    )
    compiled = FeedForwardStylizer(checkpoint, CPU, torch.float32)
    before = compiled_graphs()
    for size in ((400, 400), (500, 397), (448, 701)):
        for style in ("one", "two"):
            photo = noise(*size)[0].permute(2, 0, 1)
            expected = plain.stylize(photo, styles={style: 1.0})
            stylized = compiled.stylize(photo, styles={style: 1.0})
            assert psnr(stylized[None] / 255, expected[None] / 255) > 65
    assert compiled_graphs() == before + 1


def test_rare_cases_are_not_compiled() -> None:
    computation = Blur()
    backend = CompiledTorchBackend(computation, CPU, torch.float32)
    plain = TorchBackend(computation, CPU)
    gain = [torch.tensor(2.0)]
    before = compiled_graphs()
    for pixels, precision in (
        (noise(20, 30, torch.int32), torch.float32),
        (noise(20, 30), torch.bfloat16),
    ):
        output, finite = backend(pixels, gain, precision)
        assert finite
        assert torch.equal(output, plain(pixels, gain, precision)[0])
    assert compiled_graphs() == before
    backend(noise(20, 30), gain, torch.float32)
    assert compiled_graphs() == before + 1


def test_values_that_are_not_finite_are_reported() -> None:
    backend = CompiledTorchBackend(Blur(), CPU, torch.float32)
    assert backend(noise(20, 30), [torch.tensor(2.0)], torch.float32)[1]
    assert not backend(noise(20, 30), [torch.tensor(torch.inf)], torch.float32)[1]


@pytest.mark.slow
def test_without_a_compiler_images_are_computed_in_eager_mode(tmp_path: Path) -> None:
    program = """
import torch
from tests.transforms.backends.test_compilation import CPU, Blur, noise
from stylebeam.transforms.backends.pytorch import CompiledTorchBackend, TorchBackend
computation = Blur()
compiled = CompiledTorchBackend(computation, CPU, torch.float32)
plain = TorchBackend(computation, CPU)
for size in (20, 30), (31, 17):
    call = noise(*size), [torch.tensor(0.5)], torch.float32
    assert torch.equal(compiled(*call)[0], plain(*call)[0])
"""
    environment = {"CXX": "/no/such/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    [warning] = [line for line in done.stderr.splitlines() if "torch.compile failed" in line]
    assert "computed without" in warning


@pytest.mark.parametrize(
    ("has_openvino", "images", "kind"),
    [
        (True, 10**6, "OpenVinoBackend"),
        (False, 10**6, "CompiledTorchBackend"),
        (False, 1, "TorchBackend"),
    ],
)
def test_the_backend_depends_on_the_device_and_the_number_of_images(
    has_openvino: bool, images: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "HAS_OPENVINO", has_openvino)
    assert type(backends.backend_for(Blur(), CPU, Workload(images=images))).__name__ == kind
