"""Tests of the pool of engines: networks are loaded once, and photos share the cores."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from stylebeam.pipeline.methods.checkpoints import CheckpointFile
from stylebeam.pipeline.methods.contract import MethodError, Resolved
from stylebeam.pipeline.methods.fast import ResolvedFast
from stylebeam.pipeline.methods.pool import EnginePool, StylizationError
from stylebeam.pipeline.methods.super_resolution import ResolvedSuperResolution
from stylebeam.transforms.checkpoints import Checkpoint, save_checkpoint, weights_digest
from stylebeam.transforms.engine import Canceled, Control
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.networks import build_network
from tests.helpers.fake_method import FakeMethod, gray


def file(path: Path) -> CheckpointFile:
    return CheckpointFile(str(path), weights_digest(path.read_bytes()))


def stylized(pool: EnginePool, method: Resolved) -> torch.Tensor:
    return pool.stylize(Photo(gray()), method).pixels


def test_styles_blends_and_strengths_of_one_network_share_it(two_styles_path: Path) -> None:
    loads: list[None] = []
    pool = EnginePool("cpu", on_load=lambda: loads.append(None))
    checkpoint = file(two_styles_path)
    blends = ((("one", 1.0),), (("two", 1.0),), (("one", 0.5), ("two", 0.5)))
    methods = [ResolvedFast(checkpoint, blend) for blend in blends]
    methods.append(ResolvedFast(checkpoint, blends[0], strength=0.5))
    pictures = [stylized(pool, method) for method in methods]
    assert len(loads) == 1
    different = {picture.numpy().tobytes() for picture in pictures}
    assert len(different) == len(methods)
    assert torch.equal(stylized(pool, methods[0]), pictures[0])


def test_the_least_recently_used_network_is_dropped() -> None:
    loads: list[str] = []
    methods = [FakeMethod(name, loads=loads) for name in "abc"]
    pool = EnginePool("cpu", networks_kept=2)
    for number in (0, 1, 0, 2, 0, 1):
        stylized(pool, methods[number])
    assert loads == ["a", "b", "c", "b"]


def test_a_changed_checkpoint_is_refused(checkpoint_path: Path) -> None:
    method = ResolvedFast(CheckpointFile(str(checkpoint_path), "00"), (("random", 1.0),))
    with pytest.raises(MethodError, match="not the checkpoint that the run was started with"):
        stylized(EnginePool("cpu"), method)


def test_a_runtime_error_is_reported_for_the_photo() -> None:
    with pytest.raises(StylizationError, match=r"^The image could not be stylized: too dark$"):
        EnginePool("cpu").stylize(Photo(gray(value=0)), FakeMethod())


def test_other_exceptions_are_raised_unchanged() -> None:
    def broken(pixels: torch.Tensor) -> torch.Tensor:
        raise TypeError("a mistake")

    with pytest.raises(TypeError, match="a mistake"):
        stylized(EnginePool("cpu"), FakeMethod(function=broken))


def test_canceled_work_ends_and_frees_its_cores() -> None:
    pool, cancel = EnginePool("cpu"), threading.Event()
    cancel.set()
    for _ in range(torch.get_num_threads() + 1):
        with pytest.raises(Canceled):
            pool.stylize(Photo(gray()), FakeMethod(), Control(cancel=cancel))
    assert stylized(pool, FakeMethod()).unique().tolist() == [255 - 90]


def test_photos_are_enlarged_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "x2.safetensors"
    network = build_network("super_resolution", {"factor": 2})
    arguments = {"factor": 2}
    save_checkpoint(Checkpoint("super_resolution", network.state_dict(), {}, arguments), path)
    method = ResolvedSuperResolution(file(path), 2)
    pool = EnginePool("cpu", max_pixels=64 * 66)
    assert pool.stylize(Photo(gray(32)), method).size == (66, 64)
    with pytest.raises(
        StylizationError,
        match=r"^The enlarged image would have 4488 pixels, more than max_pixels \(4224\)\.$",
    ):
        pool.stylize(Photo(gray(33)), method)


@pytest.fixture
def four_cores() -> Iterator[None]:
    """Make PyTorch use four cores, even if this machine has fewer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


def test_an_engine_that_wants_all_cores_waits_for_them(four_cores: None) -> None:
    """No other engine runs at the same time."""
    pool = EnginePool("cpu", memory=100)
    sharing, order = threading.Barrier(3), list[str]()
    may_end = threading.Event()

    def share(pixels: torch.Tensor) -> torch.Tensor:
        sharing.wait(60)
        assert may_end.wait(60)
        order.append("shared")
        return pixels

    def take_all(pixels: torch.Tensor) -> torch.Tensor:
        order.append("alone")
        return pixels

    half, whole = FakeMethod(function=share, memory=50), FakeMethod(function=take_all, cores=None)
    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(stylized, pool, half) for _ in range(2)]
        sharing.wait(60)
        calls.append(threads.submit(stylized, pool, whole))
        may_end.set()
        for call in calls:
            call.result(60)
    assert order == ["shared", "shared", "alone"]


@pytest.mark.parametrize(
    ("memory", "at_once", "cores"), [(1, 4, 1), (25, 4, 1), (26, 2, 2), (51, 1, 3), (1000, 1, 4)]
)
def test_photos_share_the_cores_as_they_share_memory(
    memory: int, at_once: int, cores: int, four_cores: None
) -> None:
    together = threading.Barrier(at_once)

    def count_cores(pixels: torch.Tensor) -> torch.Tensor:
        # Breaks after a minute if fewer photos are computed at once.
        together.wait(60)
        return torch.full_like(pixels, torch.get_num_threads())

    pool = EnginePool("cpu", memory=100)
    method = FakeMethod(function=count_cores, memory=memory)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(stylized, pool, method) for _ in range(4)]
        assert [int(call.result(60).max()) for call in calls] == [cores] * 4
        # Afterward, each thread uses all cores again.
        assert threads.submit(torch.get_num_threads).result(60) == torch.get_num_threads() == 4
