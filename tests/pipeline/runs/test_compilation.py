"""A run compiles networks if it has many photos and no OpenVINO."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch._dynamo.utils import counters
from torchvision.transforms.v2.functional import pil_to_tensor

from stylebeam.pipeline.archive.ledger import read_outcomes
from stylebeam.pipeline.cli.arguments import main
from stylebeam.transforms import backends
from stylebeam.transforms.evaluation.metrics import psnr

pytestmark = pytest.mark.slow


def test_a_run_of_many_images_is_compiled(
    one_batch: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(backends, "HAS_OPENVINO", False)
    assert main(["run", "config.yaml"]) == 0
    assert "compiled first" not in capsys.readouterr().out
    monkeypatch.setattr(backends, "IMAGES_WORTH_COMPILING", 3)
    torch.compiler.reset()  # Discard what other tests have compiled.
    before = counters["stats"]["unique_graphs"]
    assert main(["run", "config.yaml", "--set", "batches.0.output=again"]) == 0
    assert "Networks are computed on the CPU by torch" in (printed := capsys.readouterr().out)
    assert "compiled first" in printed
    assert counters["stats"]["unique_graphs"] == before + 1
    assert {each.status for each in read_outcomes("again")} == {"done"}
    for path in Path("out").glob("*.*"):
        with Image.open(path) as plain, Image.open(Path("again") / path.name) as compiled:
            assert psnr(*(pil_to_tensor(each)[None] / 255 for each in (plain, compiled))) > 40
