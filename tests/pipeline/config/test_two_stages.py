"""Loading in two stages: validation without I/O, and then the files that a config names."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from stylebeam.pipeline.config.file import ConfigError, load_and_resolve
from stylebeam.pipeline.config.mistakes import Problems

validated: list[int] = []


def recorded(size: int) -> int:
    """Validate a size, and record that it was validated."""
    validated.append(size)
    return size


class Strict(BaseModel):
    """A mapping in which unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Crop(Strict):
    """A mapping whose values are checked beside each other."""

    smallest: int = 1
    largest: int = 9

    @model_validator(mode="after")
    def _ordered(self) -> "Crop":
        if self.smallest > self.largest:
            raise ValueError("smallest must not be more than largest")
        return self


class Photo(Strict):
    """A batch that names a file."""

    name: str
    folder: str | None = None
    file: str
    size: Annotated[int, AfterValidator(recorded)] = 1
    crop: Crop = Crop()


class Config(Strict):
    """A config with a list of batches."""

    batches: tuple[Photo, ...]
    title: str = ""


def resolve(config: Config, problems: Problems) -> list[str]:
    """Return the path of each photo."""
    found = []
    for position, photo in enumerate(config.batches):
        path = "/".join(filter(None, [photo.folder, photo.file]))
        found.append(path)
        if not Path(path).exists():
            here = problems.at("batches", position)
            here.add(("file",), f"{path} does not exist", depends_on=[("folder",)])
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a working directory with a photo in a folder."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    validated.clear()


def load(text: str) -> tuple[Config, list[str]]:
    Path("config.yaml").write_text(text)
    return load_and_resolve("config.yaml", Config, (), resolve)


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return caught.value.mistakes


def test_the_result_of_the_second_stage_is_returned() -> None:
    config, found = load("batches: [{name: a, folder: photos, file: a.jpg}]")
    assert config.batches[0].file == "a.jpg"
    assert found == ["photos/a.jpg"]


def test_the_mistakes_of_both_stages_are_reported_at_once() -> None:
    text = """\
title: 7
batches:
  - {name: a, file: gone.jpg, sise: 3}
  - {name: b, file: gone.jpg, size: large}
  - {name: c, size: 3}
  - {name: d, file: gone.jpg, crop: {smallest: 20}}
  - {name: e, file: gone.jpg}
"""
    assert mistakes(text) == (
        "config.yaml:1: title: must be text, not 7; put it in quotes",
        "config.yaml:3: batches.a.file: gone.jpg does not exist",
        "config.yaml:3: batches.a.sise: there is no such key; did you mean size?",
        "config.yaml:4: batches.b.file: gone.jpg does not exist",
        "config.yaml:4: batches.b.size: must be a whole number, not 'large'",
        "config.yaml:5: batches.c.file: this key is missing",
        "config.yaml:6: batches.d.crop: smallest must not be more than largest",
        "config.yaml:6: batches.d.file: gone.jpg does not exist",
        "config.yaml:7: batches.e.file: gone.jpg does not exist",
    )


def test_a_mistake_is_not_reported_when_a_value_that_it_depends_on_is_invalid() -> None:
    """Without its folder, the file does not exist; with the right one, it may."""
    assert mistakes("batches: [{name: a, folder: 7, file: a.jpg}]") == (
        "config.yaml:1: batches.a.folder: must be text, not 7; put it in quotes",
    )


def test_values_are_validated_twice_at_most() -> None:
    """Each of these mistakes hides another."""
    photo = (
        "{name: a, file: gone.jpg, size: 5, sise: 3, crop: {smallest: 20, largest: 10, least: 1}}"
    )
    assert len(mistakes(f"batches: [{photo}, {{name: b}}]")) == 5
    assert validated.count(5) == 2
