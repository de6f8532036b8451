"""Tests of reading and writing checkpoints, and of files that are not checkpoints."""

import json
import random
import resource
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylebeam.transforms.checkpoints import (
    DISTILLED_VGG,
    Checkpoint,
    CheckpointError,
    Style,
    parse_checkpoint,
    read_checkpoint_file,
    save_checkpoint,
    shipped_checkpoints,
)
from stylebeam.transforms.losses.distilled_vgg import LAYERS, SHIPPED_WEIGHTS, DistilledVgg
from stylebeam.transforms.networks import build_network, style_size


def test_a_saved_checkpoint_can_be_read(tmp_path: Path) -> None:
    network = build_network("johnson", {})
    path = tmp_path / "new" / "style.safetensors"
    style = Style(training={"seed": 3})
    save_checkpoint(Checkpoint("johnson", network.state_dict(), {"style": style}), path)
    checkpoint = parse_checkpoint(path.read_bytes())
    assert (checkpoint.network, checkpoint.arguments) == ("johnson", {})
    assert checkpoint.styles["style"].training == {"seed": 3}
    assert checkpoint.styles["style"].vector.shape == (0,)
    for name, parameter in checkpoint.build().state_dict().items():
        assert torch.equal(parameter, network.state_dict()[name].half().float())
    assert [file.name for file in path.parent.iterdir()] == ["style.safetensors"]


def test_a_checkpoint_that_is_saved_again_has_the_same_bytes(tmp_path: Path) -> None:
    style = Style(training={"painting": "Älgar \u007f.jpg"})
    network = build_network("johnson", {})
    checkpoint = Checkpoint("johnson", network.state_dict(), {"b": style}, training={"seed": 3})
    files = set()
    # The order of safetensors' metadata changes from one file to the next, even in one process.
    for number in range(10):
        save_checkpoint(checkpoint, tmp_path / f"{number}.safetensors")
        files.add((tmp_path / f"{number}.safetensors").read_bytes())
    [file] = files
    assert struct.unpack_from("<Q", file)[0] % 8 == 0, "the tensors are aligned"
    assert parse_checkpoint(file).styles["b"].training == style.training


@pytest.mark.parametrize("keep", [0, 7, 200, 100_000])
def test_a_truncated_checkpoint_is_refused(checkpoint_path: Path, keep: int) -> None:
    with pytest.raises(CheckpointError, match="not a whole safetensors checkpoint"):
        parse_checkpoint(checkpoint_path.read_bytes()[:keep])


def test_a_safetensors_file_of_another_program_is_refused() -> None:
    data = safetensors.torch.save({"weight": torch.zeros(2)})
    with pytest.raises(CheckpointError, match="not a checkpoint of stylebeam"):
        parse_checkpoint(data)


def test_a_pickle_is_refused_without_being_loaded(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError):
        parse_checkpoint((tmp_path / "weights.pth").read_bytes())


@pytest.mark.parametrize(
    ("network", "tensors", "message"),
    [
        ("unheard_of", {}, "no network 'unheard_of'"),
        ("johnson", {"out.bias": torch.zeros(3)}, "cannot be used"),
    ],
)
def test_a_checkpoint_whose_tensors_fit_no_network_is_refused(network, tensors, message) -> None:
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(network, tensors, {"style": Style()}).build()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_of_any_dtype_are_converted_to_float32(
    two_styles_path: Path, dtype: torch.dtype
) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    tensors = {name: tensor.to(dtype) for name, tensor in checkpoint.tensors.items()}
    network = replace(checkpoint, tensors=tensors).build()
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}


def test_arguments_of_a_checkpoint_cannot_allocate_memory(two_styles_path: Path) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for arguments in ({"channels": 1024, "blocks": 64}, {"channels": 16, "blocks": 10**12}):
        with pytest.raises(CheckpointError, match="cannot be used"):
            replace(checkpoint, arguments=arguments).build()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "kilobytes"


def test_all_styles_of_a_checkpoint_are_read(two_styles_path: Path) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    assert list(checkpoint.styles) == ["one", "two"]
    size = style_size(checkpoint.build())
    assert all(style.vector.shape == (size,) for style in checkpoint.styles.values())


@pytest.mark.parametrize("styles", [{}, {"one": Style(torch.zeros(3))}, {"one": Style()}])
def test_styles_that_do_not_fit_the_network_are_refused(
    two_styles_path: Path, styles: dict[str, Style]
) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    with pytest.raises(CheckpointError, match="each style must be a vector of 114 numbers"):
        replace(checkpoint, styles=styles).build()


def test_a_style_without_a_vector_is_refused() -> None:
    metadata = {
        "format": "stylebeam-2",
        "network": "johnson",
        "arguments": "{}",
        "styles": json.dumps({"one": {}}),
    }
    data = safetensors.torch.save({"network.weight": torch.zeros(2)}, metadata)
    with pytest.raises(CheckpointError, match="not a whole safetensors checkpoint"):
        parse_checkpoint(data)
    data = safetensors.torch.save({"style.one": torch.zeros(0)}, {**metadata, "styles": "[1]"})
    with pytest.raises(CheckpointError, match="not a whole safetensors checkpoint"):
        parse_checkpoint(data)


def test_the_shipped_distilled_vgg_is_a_checkpoint_though_its_metadata_are_older() -> None:
    data = SHIPPED_WEIGHTS.read_bytes()
    assert b"stylebeam-loss-network-2" in data[:10_000]
    checkpoint = parse_checkpoint(data)
    assert (checkpoint.network, checkpoint.styles) == (DISTILLED_VGG, {})
    assert checkpoint.tensors.keys() == DistilledVgg(LAYERS).state_dict().keys()
    assert checkpoint.training["iterations"] == 6000


def test_a_distilled_vgg_read_from_older_metadata_is_written_in_the_one_format(
    tmp_path: Path,
) -> None:
    checkpoint = parse_checkpoint(SHIPPED_WEIGHTS.read_bytes())
    save_checkpoint(checkpoint, tmp_path / "embedded.safetensors")
    data = (tmp_path / "embedded.safetensors").read_bytes()
    assert b"stylebeam-loss-network-2" not in data[:10_000]
    again = parse_checkpoint(data)
    assert (again.network, again.training) == (DISTILLED_VGG, checkpoint.training)
    assert again.tensors.keys() == checkpoint.tensors.keys()
    for name, tensor in checkpoint.tensors.items():
        assert torch.equal(again.tensors[name], tensor), name


def test_a_loss_network_is_not_built_as_an_image_transformation_network() -> None:
    with pytest.raises(CheckpointError, match="no network 'distilled_vgg'"):
        parse_checkpoint(SHIPPED_WEIGHTS.read_bytes()).build()


# Values to put where a file is expected to have another.
ODD_VALUES = [
    *('null', '"a"', '""', '[]', '[1]', '[["a", 1]]', '{"one": 5}', '{"two": {}}', '-1', '1e999'),
    *('{"one": [[1]]}', '99999999999999999999', '18446744073709551615', 'NaN', '{', "[" * 100_000),
]  # fmt: skip


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return the bytes of a checkpoint with damaged bytes, lengths, or header values."""
    length = struct.unpack_from("<Q", data)[0]
    header, tensors = data[8 : 8 + length], data[8 + length :]
    kind = rng.randrange(5)
    if kind == 0:
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(8 + length)] ^= 1 << rng.randrange(8)
        return bytes(damaged)
    if kind == 1:
        lengths = [0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1, len(data), len(data) - 8]
        return struct.pack("<Q", rng.choice(lengths)) + data[8:]
    if kind == 2:
        return rng.choice([data[: rng.randrange(len(data))], data + rng.randbytes(9)])
    values = json.loads(header)
    changed = rng.choice([values, values["__metadata__"]])
    name = rng.choice(list(changed))
    if changed is values and name != "__metadata__":
        changed = values[name]
        name = rng.choice(list(changed))
        options = ["F64", "F16", "BOOL", [], [2**62], [2**32, 2**32], [0, 2**60], [0, 4], -1, None]
        changed[name] = rng.choice(options)
    elif rng.random() < 0.2:
        del changed[name]
    else:
        changed[name] = rng.choice(ODD_VALUES)
    header = json.dumps(values).encode()
    return struct.pack("<Q", len(header)) + header + tensors


def test_a_damaged_file_raises_nothing_but_checkpoint_errors(two_styles_path: Path) -> None:
    data, rng = two_styles_path.read_bytes(), random.Random(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    valid = 0
    for _ in range(4000):
        try:
            parse_checkpoint(mutated(rng, data))
            valid += 1
        except CheckpointError:
            continue
    assert 0 < valid < 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_shipped_checkpoints_are_valid_small_and_say_how_they_were_trained() -> None:
    names = {name for styles in shipped_checkpoints().values() for name in styles}
    assert names > {
        *("starry_night", "udnie", "great_wave", "composition_vii", "the_scream", "shipwreck"),
        *("johnson_starry_night", "johnson_udnie"),
        *("depsep_udnie", "depsep_nn_udnie", "depsep_nn_bil_udnie"),
    }
    assert len(names) == 40 + 5
    networks = {path.stem for path, styles in shipped_checkpoints().items() if not styles}
    assert networks == {"x4_pixel", "x4_feature"}
    assert sum(path.stat().st_size for path in shipped_checkpoints()) < 25_000_000
    for path, styles in shipped_checkpoints().items():
        assert path.stat().st_size < 5_000_000
        checkpoint = parse_checkpoint(path.read_bytes())
        assert tuple(checkpoint.styles) == styles
        kinds = {tensor.dtype for tensor in checkpoint.tensors.values()}
        assert kinds <= {torch.float16, torch.int64}
        styles_trained = [style.training for style in checkpoint.styles.values()]
        for training in styles_trained or [checkpoint.training]:
            assert training["iterations"] > 0
            facts = {key: value for key, value in training.items() if key not in ("title", "year")}
            assert "/" not in json.dumps(facts), "a path of the machine that trained"
        checkpoint.build()


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_weights_that_are_no_floating_point_numbers_are_refused(
    two_styles_path: Path, dtype: torch.dtype
) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    tensors = {name: tensor.to(dtype) for name, tensor in checkpoint.tensors.items()}
    with pytest.raises(CheckpointError, match=r"holds \w+ numbers, not floating-point ones"):
        replace(checkpoint, tensors=tensors).build()
    vectors = {name: Style(style.vector.to(dtype)) for name, style in checkpoint.styles.items()}
    with pytest.raises(CheckpointError, match="vector is not of floating-point numbers"):
        replace(checkpoint, styles=vectors).build()


@pytest.mark.parametrize("name", ["network.surplus", "surplus", "style.surplus"])
def test_surplus_tensors_are_refused(two_styles_path: Path, name: str) -> None:
    data = two_styles_path.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack_from("<Q", data)[0]])
    tensors = {**safetensors.torch.load(data), name: torch.zeros(2)}
    more = safetensors.torch.save(tensors, header["__metadata__"])
    with pytest.raises(CheckpointError, match="surplus"):
        parse_checkpoint(more).build()


def test_a_large_checkpoint_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(50 * 2**30)  # sparse
    with pytest.raises(CheckpointError, match=r"51,200 MiB, and a checkpoint has at most 1,024"):
        read_checkpoint_file(path)


METADATA = st.dictionaries(
    st.sampled_from(["format", "network", "arguments", "styles", "recipe", "about"]),
    st.sampled_from(
        [
            "stylebeam-2",
            "stylebeam-loss-network-2",
            "multi_style",
            "johnson",
            "{}",
            "[]",
            "null",
            '{"one": {}}',
            '{"one": 3}',
            '{"channels": "x"}',
            '{"channels": -1}',
            "[" * 5000,
            "1e999",
        ]
    ),
)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(METADATA, st.binary(max_size=40), st.integers(0, 2**64 - 1))
def test_any_header_is_a_checkpoint_or_a_sentence(
    metadata: dict[str, str], noise: bytes, length: int
) -> None:
    tensors = {"network.out.bias": torch.zeros(3), "style.one": torch.zeros(0)}
    whole = safetensors.torch.save(tensors, metadata)
    for data in (whole, noise, struct.pack("<Q", length) + noise, whole[:9] + noise + whole[9:]):
        try:
            parse_checkpoint(data).build()
        except CheckpointError as error:
            sentence = str(error)
        else:
            continue
        assert "object" not in sentence
        assert "KeyError" not in sentence
