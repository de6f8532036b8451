"""Checkpoints: what is saved comes back, and what is not a checkpoint is refused."""

import json
import random
import resource
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from stylebeam.transforms.checkpoints import (
    Checkpoint,
    CheckpointError,
    Style,
    parse_checkpoint,
    save_checkpoint,
    shipped_checkpoints,
)
from stylebeam.transforms.networks import build_network, style_size


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    network = build_network("johnson", {})
    path = tmp_path / "new" / "style.safetensors"
    style = Style(recipe={"seed": 3})
    save_checkpoint(Checkpoint("johnson", network.state_dict(), {"style": style}), path)
    checkpoint = parse_checkpoint(path.read_bytes())
    assert (checkpoint.network, checkpoint.arguments) == ("johnson", {})
    assert checkpoint.styles["style"].recipe == {"seed": 3}
    assert checkpoint.styles["style"].vector.shape == (0,)
    for name, parameter in checkpoint.build().state_dict().items():
        assert torch.equal(parameter, network.state_dict()[name].half().float())
    assert [file.name for file in path.parent.iterdir()] == ["style.safetensors"]


@pytest.mark.parametrize("keep", [0, 7, 200, 100_000])
def test_a_truncated_checkpoint_is_refused(checkpoint_path: Path, keep: int) -> None:
    with pytest.raises(CheckpointError, match="not a whole safetensors checkpoint"):
        parse_checkpoint(checkpoint_path.read_bytes()[:keep])


def test_safetensors_of_another_program_are_refused() -> None:
    data = safetensors.torch.save({"weight": torch.zeros(2)})
    with pytest.raises(CheckpointError, match="not a checkpoint of stylebeam"):
        parse_checkpoint(data)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
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
def test_a_checkpoint_that_fits_no_network_is_refused(network, tensors, message) -> None:
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(network, tensors, {"style": Style()}).build()


@pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16, torch.float64])
def test_weights_of_any_type_become_float32(two_styles_path: Path, dtype: torch.dtype) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    tensors = {name: tensor.to(dtype) for name, tensor in checkpoint.tensors.items()}
    network = replace(checkpoint, tensors=tensors).build()
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}


def test_a_checkpoint_takes_no_more_memory_than_it_holds(two_styles_path: Path) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for arguments in ({"channels": 1024, "blocks": 64}, {"channels": 16, "blocks": 10**12}):
        with pytest.raises(CheckpointError, match="cannot be used"):
            replace(checkpoint, arguments=arguments).build()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "kilobytes"


def test_many_styles_come_back(two_styles_path: Path) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    assert list(checkpoint.styles) == ["one", "two"]
    size = style_size(checkpoint.build())
    assert all(style.vector.shape == (size,) for style in checkpoint.styles.values())


@pytest.mark.parametrize("styles", [{}, {"one": Style(torch.zeros(3))}, {"one": Style()}])
def test_styles_that_do_not_fit_the_network_are_refused(
    two_styles_path: Path, styles: dict[str, Style]
) -> None:
    checkpoint = parse_checkpoint(two_styles_path.read_bytes())
    with pytest.raises(CheckpointError, match="a style of its network is 114 numbers"):
        replace(checkpoint, styles=styles).build()


def test_a_file_of_styles_without_their_vectors_is_refused() -> None:
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


# What may stand where something else is expected.
ODD_VALUES = [
    *('null', '"a"', '""', '[]', '[1]', '[["a", 1]]', '{"one": 5}', '{"two": {}}', '-1', '1e999'),
    *('{"one": [[1]]}', '99999999999999999999', '18446744073709551615', 'NaN', '{', "[" * 100_000),
]  # fmt: skip


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A checkpoint with damaged bytes, lengths, or values of its header."""
    length = struct.unpack_from("<Q", data)[0]
    header, tensors = data[8 : 8 + length], data[8 + length :]
    way = rng.randrange(5)
    if way == 0:
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(8 + length)] ^= 1 << rng.randrange(8)
        return bytes(damaged)
    if way == 1:
        lengths = [0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1, len(data), len(data) - 8]
        return struct.pack("<Q", rng.choice(lengths)) + data[8:]
    if way == 2:
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


def test_damaged_checkpoints_are_checkpoints_or_checkpoint_errors(two_styles_path: Path) -> None:
    data, rng = two_styles_path.read_bytes(), random.Random(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = 0
    for _ in range(4000):
        try:
            parse_checkpoint(mutated(rng, data))
            whole += 1
        except CheckpointError:
            continue
    assert 0 < whole < 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_shipped_styles_are_whole_small_and_say_how_they_were_made() -> None:
    names = {name for styles in shipped_checkpoints().values() for name in styles}
    assert names == {
        *("starry_night", "udnie", "great_wave", "composition_vii", "the_scream", "shipwreck"),
        *("johnson_starry_night", "johnson_udnie"),
        *("depsep_udnie", "depsep_nn_udnie", "depsep_nn_bil_udnie"),
    }
    networks = {path.stem for path, styles in shipped_checkpoints().items() if not styles}
    assert networks == {"x4_pixel", "x4_feature"}
    assert sum(path.stat().st_size for path in shipped_checkpoints()) < 25_000_000
    for path, styles in shipped_checkpoints().items():
        assert path.stat().st_size < 5_000_000
        checkpoint = parse_checkpoint(path.read_bytes())
        assert tuple(checkpoint.styles) == styles
        kinds = {tensor.dtype for tensor in checkpoint.tensors.values()}
        assert kinds <= {torch.float16, torch.int64}
        for recipe in [style.recipe for style in checkpoint.styles.values()] or [checkpoint.recipe]:
            assert recipe["iterations"] > 0
            assert "/" not in json.dumps(recipe), "a path of the machine that trained"
        checkpoint.build()
