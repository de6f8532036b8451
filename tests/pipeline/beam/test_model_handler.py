"""The model handler: networks loaded once and shared, failures isolated."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.beam import model_handler
from stylebeam.pipeline.beam.model_handler import LoadedPhoto, StylizeModelHandler, StylizerPool
from stylebeam.pipeline.methods.paintings import GatysChoice
from stylebeam.pipeline.methods.styles import Choice, StyleError
from stylebeam.transforms.checkpoints import Checkpoint, save_checkpoint, weights_digest
from stylebeam.transforms.gatys.settings import OptimizationSettings
from stylebeam.transforms.images.io import Photo
from stylebeam.transforms.networks import build_network


def recipe(checkpoint: Path, **changes: object) -> Recipe:
    method = changes.pop("method", "fast")
    values = {
        "checkpoint": str(checkpoint),
        "weights": weights_digest(checkpoint.read_bytes()),
        "styles": (("random", 1.0),),
        "strength": 1.0,
    }
    return Recipe(method, Choice(**{**values, **changes}), "png", 92)


def loaded(name: str, of: Recipe, size: int = 32) -> LoadedPhoto:
    photo = Photo(torch.full((3, size, size + 1), 90, dtype=torch.uint8))
    return LoadedPhoto(Task("batch", name, f"out/{name}", of, "out", "stamp"), photo, 0.5)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The weights that pools load, in order."""
    loads: list[str] = []
    load = StylizerPool._load

    def counting(self: StylizerPool, of: Recipe) -> model_handler.Effect:
        loads.append(of.choice.weights)
        return load(self, of)

    monkeypatch.setattr(StylizerPool, "_load", counting)
    return loads


def test_styles_and_blends_of_one_network_share_it(two_styles_path: Path, loads: list[str]) -> None:
    handler = StylizeModelHandler("cpu")
    blends = ((("one", 1.0),), (("two", 1.0),), (("one", 0.5), ("two", 0.5)))
    batch = [loaded("a", recipe(two_styles_path, styles=styles)) for styles in blends]
    results = [result.photo.pixels for result in handler.run_inference(batch, handler.load_model())]
    assert len(loads) == 1
    for result, other in itertools.combinations(results, 2):
        assert not torch.equal(result, other)


def test_recipes_of_one_network_share_it(checkpoint_path: Path, loads: list[str]) -> None:
    handler = StylizeModelHandler("cpu")
    pool = handler.load_model()
    batch = [
        loaded("a", recipe(checkpoint_path)),
        loaded("b", recipe(checkpoint_path, strength=0.5)),
    ]
    results = list(handler.run_inference(batch, pool))
    results += handler.run_inference([loaded("c", recipe(checkpoint_path))], pool)
    assert [result.task.input for result in results] == ["a", "b", "c"]
    assert len(loads) == 1
    assert torch.equal(results[0].photo.pixels, results[2].photo.pixels)
    assert not torch.equal(results[0].photo.pixels, results[1].photo.pixels)
    assert all(result.photo.size == (33, 32) and result.seconds > 0.5 for result in results)


def test_the_least_recently_used_network_goes(
    checkpoint_path: Path, tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_handler, "_NETWORKS_KEPT", 2)
    recipes = []
    for number in range(3):
        # Bytes of padding in the header make a file of other contents.
        data = checkpoint_path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        padded = (length + 8 * number).to_bytes(8, "little") + data[8 : 8 + length]
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(padded + b" " * 8 * number + data[8 + length :])
        recipes.append(recipe(path))
    pool = StylizerPool("cpu")
    pixels = torch.zeros(3, 16, 16, dtype=torch.uint8)
    for number in (0, 1, 0, 2, 0, 1):
        pool.stylize([pixels], recipes[number])
    assert loads == [recipes[number].choice.weights for number in (0, 1, 2, 1)]


def test_a_changed_checkpoint_is_refused(checkpoint_path: Path) -> None:
    with pytest.raises(StyleError, match="not the checkpoint that the run was started with"):
        StylizerPool("cpu").stylize(
            [torch.zeros(3, 16, 16, dtype=torch.uint8)], recipe(checkpoint_path, weights="00")
        )


def failing(photos: Sequence[torch.Tensor], _: Recipe) -> list[torch.Tensor]:
    """Fail on images of one size, as a device without memory for them does."""
    [pixels] = photos
    if pixels.shape[1] == 64:
        raise RuntimeError("not enough memory")
    if pixels.shape[1] == 65:
        raise TypeError("a mistake in the program")
    return [255 - pixels]


FAILING = model_handler.Effect(failing, lambda _: 1)


def test_a_failing_image_takes_no_other_with_it(
    checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StylizerPool, "_load", lambda self, of: FAILING)
    handler = StylizeModelHandler("cpu")
    of = recipe(checkpoint_path)
    batch = [loaded("a", of), loaded("b", of, size=64), loaded("c", of)]
    good, also_good, failed = handler.run_inference(batch, handler.load_model())
    assert isinstance(failed, Outcome)
    assert (failed.input, failed.status, failed.height) == ("b", "failed", 64)
    assert failed.error == "The image could not be stylised: not enough memory"
    assert good.photo.pixels.unique().tolist() == also_good.photo.pixels.unique().tolist() == [165]


def test_a_mistake_in_the_program_is_not_swallowed(
    checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StylizerPool, "_load", lambda self, of: FAILING)
    handler = StylizeModelHandler("cpu")
    with pytest.raises(TypeError):
        handler.run_inference([loaded("a", recipe(checkpoint_path), 65)], handler.load_model())


def test_images_are_enlarged_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "x2.safetensors"
    network = build_network("super_resolution", {"factor": 2})
    arguments = {"factor": 2}
    save_checkpoint(Checkpoint("super_resolution", network.state_dict(), {}, arguments), path)
    of = recipe(path, method="super_resolution", styles=())
    handler = StylizeModelHandler("cpu", max_pixels=64 * 66)
    batch = [loaded("a", of), loaded("b", of, size=33)]
    large, failed = handler.run_inference(batch, handler.load_model())
    assert large.photo.size == (66, 64)
    assert failed.error == (
        "The enlarged image would have 4488 pixels, more than max_pixels (4224)."
    )


@pytest.fixture
def four_cores() -> Iterator[None]:
    """As if this machine had as many."""
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


def test_who_needs_all_places_waits_for_them(four_cores: None) -> None:
    """And lets no other begin."""
    places = model_handler._Places(torch.device("cpu"))
    both, alone, order = threading.Barrier(3), threading.Event(), list[str]()

    def share() -> None:
        with places.taken(2):
            both.wait(60)
            assert not alone.wait(0.2)
            order.append("shared")

    def take_all() -> None:
        with places.taken(4):
            alone.set()
            order.append("alone")

    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(share), threads.submit(share)]
        both.wait(60)
        calls.append(threads.submit(take_all))
        for call in calls:
            call.result(60)
    assert order == ["shared", "shared", "alone"]


@pytest.mark.parametrize("cores", [1, 4])
def test_a_gpu_has_places_for_two_images(cores: int, four_cores: None) -> None:
    torch.set_num_threads(cores)
    places = model_handler._Places(torch.device("cuda"))
    both = threading.Barrier(2)

    def share() -> int:
        with places.taken(1):
            both.wait(60)
            return torch.get_num_threads()

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(share) for _ in range(2)]
        assert [call.result(60) for call in calls] == [max(1, cores // 2)] * 2


@pytest.mark.parametrize(
    ("memory", "at_once", "cores"), [(1, 4, 1), (25, 4, 1), (26, 2, 2), (51, 1, 3), (1000, 1, 4)]
)
def test_optimisations_share_cores_as_they_do_memory(
    memory: int, at_once: int, cores: int, four_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(at_once)

    def transform(pixels: torch.Tensor) -> torch.Tensor:
        # Fails after a while if fewer are at work.
        together.wait(60)
        return torch.full_like(pixels, torch.get_num_threads())

    stylizer = SimpleNamespace(transform=transform, memory_needed=lambda width, height: memory)
    monkeypatch.setattr(model_handler, "load_gatys_stylizer", lambda *_: stylizer)
    choice = GatysChoice(OptimizationSettings(), (), (), None, 1)
    of = Recipe("gatys", choice, "png", 92)
    pool = StylizerPool("cpu", memory=100)
    pixels = torch.zeros(3, 16, 16, dtype=torch.uint8)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(pool.stylize, [pixels], of) for _ in range(4)]
        assert [int(call.result(60)[0].max()) for call in calls] == [cores] * 4
        # All of them again, for what comes next.
        assert threads.submit(torch.get_num_threads).result(60) == torch.get_num_threads() == 4
