"""VGG's weights: where files are found, their keys, and Caffe's input."""

import io
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylebeam.transforms.losses import vgg_weights
from stylebeam.transforms.losses.vgg import Vgg, VggName, WeightsUnavailableError, load_vgg
from stylebeam.transforms.losses.vgg_weights import find_vgg_weights, read_vgg_weights

INDICES = {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10}


def random_weights(name: VggName = "vgg19", layer: str = "conv3_1") -> dict[str, Tensor]:
    """Return the content of a file of torchvision's, up to a layer."""
    torch.manual_seed(0)
    shapes = {key: values.shape for key, values in Vgg(name, [layer]).state_dict().items()}
    return {key: 0.05 * torch.randn(shape) for key, shape in shapes.items()}


def with_gatys_keys(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        f"{layer}.{kind}": weights[f"features.{index}.{kind}"]
        for layer, index in INDICES.items()
        for kind in ("weight", "bias")
    }


def saved(content: object) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The empty cache folder of torch.hub, without a network connection."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    # urllib looks for proxies once, when an opener is first needed.
    urllib.request.install_opener(None)
    yield tmp_path / "hub" / "checkpoints"
    urllib.request.install_opener(None)


def publish(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(vgg_weights, "PUBLISHED_WEIGHTS", {"vgg16": SimpleNamespace(url=url)})


def test_weights_can_come_from_a_file_without_the_classifier(tmp_path: Path) -> None:
    weights = random_weights("vgg16")
    torch.save(weights, tmp_path / "vgg16.pth")
    network = load_vgg("vgg16", ["relu1_2"], tmp_path / "vgg16.pth")
    for key, values in network.state_dict().items():
        assert torch.equal(values, weights[key])
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_weights_are_float32_and_the_classifier_is_ignored() -> None:
    weights = random_weights()
    halves = {key: values.half() for key, values in weights.items()}
    file = saved({**halves, "classifier.0.bias": torch.zeros(4096)})
    read = read_vgg_weights("vgg19", file, "torchvision")
    assert read.keys() == weights.keys()
    for key, values in read.items():
        assert values.dtype == torch.float32
        assert torch.equal(values, halves[key].float())


def test_keys_can_be_those_of_gatys_file() -> None:
    weights = random_weights()
    read = read_vgg_weights("vgg19", saved(with_gatys_keys(weights)), "torchvision")
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[key], weights[key]) for key in weights)


@pytest.mark.parametrize("rename", [dict, with_gatys_keys])
def test_caffes_weights_are_equivalent_except_for_the_padding(rename) -> None:
    weights = random_weights()
    network = load_vgg("vgg19", ["conv1_1", "conv1_2"], saved(rename(weights)), "caffe")
    images = torch.rand(2, 3, 9, 12)
    mean = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    caffe_input = 255 * images[:, [2, 1, 0]] - mean
    first = F.conv2d(caffe_input, weights["features.0.weight"], weights["features.0.bias"])
    second = F.conv2d(first.relu(), weights["features.2.weight"], weights["features.2.bias"])
    activations = network(images)
    torch.testing.assert_close(activations["conv1_1"][..., 1:-1, 1:-1], first, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(
        activations["conv1_2"][..., 2:-2, 2:-2], second, atol=1e-3, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (torch.zeros(1), "features.0.weight is missing"),
        ({"features.0.weight": torch.zeros(1)}, r"not a tensor of shape \(64, 3, 3, 3\)"),
        ({"features.0.weight": "none"}, "features.0.weight is not a tensor"),
        ({"conv3_4.weight": torch.zeros(256, 256, 3, 3)}, "it has no conv3_4.weight"),
        (random_weights("vgg19", "conv3_4"), "it has no features.16.weight"),
        (random_weights("vgg16", "conv1_2"), "features.5.weight is missing"),
    ],
)
@pytest.mark.parametrize("convention", ["torchvision", "caffe"])
def test_weights_of_another_network_are_refused(convention, content, why: str) -> None:
    file = saved(content)
    with pytest.raises(WeightsUnavailableError, match=f"the given file are not those.*: .*{why}"):
        load_vgg("vgg16", ["relu2_1"], file, convention)


def test_errors_name_a_missing_or_damaged_file_in_one_line(tmp_path: Path) -> None:
    missing, damaged, foreign = tmp_path / "a.pth", tmp_path / "b.pth", tmp_path / "c.pth"
    whole = saved(random_weights("vgg16", "conv1_1")).getvalue()
    damaged.write_bytes(whole[: len(whole) // 2])
    torch.save(Path("something that could run code"), foreign)
    causes = {missing: "No such file or directory", damaged: "damaged", foreign: "tensors alone"}
    for file, cause in causes.items():
        with pytest.raises(
            WeightsUnavailableError, match=f"read from {file}: .*{cause}.*"
        ) as error:
            load_vgg("vgg16", ["relu1_1"], file)
        assert "\n" not in str(error.value)


def test_without_weights_and_network_the_error_lists_the_solutions(cache: Path) -> None:
    with pytest.raises(WeightsUnavailableError) as error:
        load_vgg("vgg16", ["relu1_2"])
    assert str(error.value) == (
        "The weights of vgg16 are not in torch.hub's cache and cannot be downloaded (Connection"
        " refused): run once with an internet connection, place vgg16-397923af.pth in"
        f" {cache} (set TORCH_HOME to keep the cache elsewhere), or use `loss_network: embedded`,"
        " which needs none."
    )


def test_a_file_in_the_cache_is_used_as_it_is(cache: Path) -> None:
    cache.mkdir(parents=True)
    weights = random_weights("vgg16", "conv1_1")
    torch.save(weights, cache / "vgg16-397923af.pth")
    network = load_vgg("vgg16", ["relu1_1"])
    assert torch.equal(network.features[0].weight, weights["features.0.weight"])


def test_a_download_is_kept(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = tmp_path / "vgg16-2c26b46b.pth"
    published.write_text("foo")  # Its SHA-256 starts with 2c26b46b.
    publish(monkeypatch, published.as_uri())
    assert find_vgg_weights("vgg16") == cache / published.name
    published.unlink()
    assert find_vgg_weights("vgg16").read_text() == "foo"


def test_a_download_with_another_hash_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "vgg16-2c26b46b.pth"
    published.write_text("bar")
    publish(monkeypatch, published.as_uri())
    with pytest.raises(WeightsUnavailableError, match=r"\(invalid hash value .*\): run once"):
        find_vgg_weights("vgg16")
    assert list(cache.iterdir()) == []


def test_a_server_that_does_not_answer_is_abandoned(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vgg_weights, "SECONDS_TO_ANSWER", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        publish(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}/vgg16-2c26b46b.pth")
        with pytest.raises(WeightsUnavailableError, match=r"\(timed out\): run once"):
            find_vgg_weights("vgg16")
