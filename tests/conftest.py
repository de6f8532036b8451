"""Fixtures for all tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from PIL import Image

from stylebeam.pipeline.storage import DEFAULT_DEADLINE, set_deadline
from stylebeam.pipeline.storage.google_cloud import GoogleCloudStorage
from stylebeam.transforms.checkpoints import Checkpoint, Style, save_checkpoint
from stylebeam.transforms.losses.vgg import Vgg
from stylebeam.transforms.networks import build_network, style_size
from tests.helpers.emulator import CREDENTIALS, running_emulator
from tests.helpers.storages import use_storage

_SHARED = Path(__file__).parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the number of times that tests kill a run."""
    parser.addoption("--kills", type=int, default=3, help="how often to kill a run")


@pytest.fixture(autouse=True)
def default_deadline() -> None:
    """The deadline of storages that another test may have changed."""
    set_deadline(DEFAULT_DEADLINE)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the tests' own, also for their processes."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """A folder of weights and paintings beside the checkout; skips the test if there is none."""
    if not _SHARED.is_dir():
        pytest.skip("the weights and paintings that this test needs are not beside the checkout")
    return _SHARED


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of Johnson's network with random weights."""
    torch.manual_seed(1)
    network = build_network("johnson", {})
    path = tmp_path_factory.mktemp("checkpoints") / "random.safetensors"
    save_checkpoint(Checkpoint("johnson", network.state_dict(), {"random": Style()}), path)
    return path


@pytest.fixture(scope="session")
def two_styles_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a network for many styles with random weights and two styles."""
    torch.manual_seed(2)
    arguments = {"channels": 16, "blocks": 1}
    network = build_network("multi_style", arguments)
    styles = {name: Style(torch.randn(style_size(network))) for name in ("one", "two")}
    path = tmp_path_factory.mktemp("checkpoints") / "two.safetensors"
    save_checkpoint(Checkpoint("multi_style", network.state_dict(), styles, arguments), path)
    return path


@pytest.fixture(scope="session")
def vgg19(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights of VGG-19, up to relu5_1."""
    torch.manual_seed(4)
    network = Vgg("vgg19", ["relu5_1"]).to_empty(device="cpu")
    for values in network.parameters():
        torch.nn.init.normal_(values, std=0.05)
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def gradient() -> Callable[[int, int], Image.Image]:
    """Makes an image of a width and height whose corners differ."""

    def make(width: int, height: int) -> Image.Image:
        red = Image.linear_gradient("L").resize((width, height))
        green = Image.radial_gradient("L").resize((width, height))
        blue = red.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(180)
        return Image.merge("RGB", (red, green, blue))

    return make


@pytest.fixture
def photos(tmp_path: Path, gradient: Callable[[int, int], Image.Image]) -> Path:
    """A folder of three photos of different sizes, one of them in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    gradient(50, 41).save(folder / "a.jpg")
    gradient(33, 64).save(folder / "b.png")
    gradient(64, 48).save(folder / "below" / "c.jpeg")
    return folder


@pytest.fixture
def one_batch(photos: Path, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photos and a config of one batch that writes to `out`."""
    folder = photos.parent
    (folder / "style.safetensors").symlink_to(checkpoint_path)
    (folder / "config.yaml").write_text("""
batches:
  - {name: all, input: photos, output: out, fast: {style: style.safetensors}}
run: {device: cpu}
""")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[str]:
    """The URL of an emulator of Google Cloud Storage, which this process and its children use."""
    credentials = tmp_path / "credentials.json"
    credentials.write_text(json.dumps(CREDENTIALS))
    with running_emulator() as url, pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", url)
        environment.setenv("GOOGLE_APPLICATIONCREDENTIALS", str(credentials))
        environment.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        # A new storage connects to the emulator, and has recorded no failures.
        use_storage(environment, "gs", GoogleCloudStorage())
        yield url


@pytest.fixture
def bucket(emulator: str) -> storage.Bucket:
    """An empty bucket named `archive`, in the emulator."""
    client = storage.Client(
        project="fake",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulator},
    )
    return client.create_bucket("archive")
