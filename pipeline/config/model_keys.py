"""Compares the keys of a config with its model: renamed, removed and unknown keys."""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from stylebeam.pipeline.config import node_edits, yaml_nodes
from stylebeam.pipeline.config.yaml_nodes import Location, Sentence, Tree
from stylebeam.pipeline.suggestions import nearest_or_all


class OldKeys(NamedTuple):
    """The keys of earlier versions that a config has.

    Attributes:
        notes: a sentence for each key that was renamed or removed.
        mistakes: a sentence for each key whose new name the config has as well.
    """

    notes: list[Sentence]
    mistakes: list[Sentence]


def update_old_keys(root: Tree, model: type[BaseModel]) -> OldKeys:
    """Rename or remove the keys of earlier versions in a config.

    A model lists them in `renamed_keys` (new key by old key) and `removed_keys` (reason by key).

    Args:
        root: the config before its defaults are merged; changed in place.
        model: the type of the config.
    """
    found = OldKeys([], [])
    for location, section in _mappings(root, model):
        renamed = getattr(section, "renamed_keys", {})
        removed = getattr(section, "removed_keys", {})
        for key in yaml_nodes.children(root, location):
            here = (*location, key)
            if key in renamed:
                new = renamed[key]
                message = f"this key is now called {new}"
                if new in yaml_nodes.children(root, location):
                    message += ", and there is a value for that too; delete one of them"
                    found.mistakes.append(yaml_nodes.sentence(root, here, message))
                    node_edits.remove(root, here)
                else:
                    found.notes.append(yaml_nodes.sentence(root, here, message))
                    node_edits.rename(root, here, new)
            elif key in removed:
                message = f"this key no longer has an effect: {removed[key]}"
                found.notes.append(yaml_nodes.sentence(root, here, message))
                node_edits.remove(root, here)
    return found


def unknown_keys(root: Tree, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
    """Yield the location of each unknown key, and a message with the key that may be meant."""
    for location, section in _mappings(root, model):
        if section.model_config.get("extra") != "forbid":
            continue
        for key in yaml_nodes.children(root, location):
            if isinstance(key, str) and key not in section.model_fields:
                suggestion = _suggestion(key, section, model)
                yield (*location, key), f"there is no such key{suggestion}"


def element_models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return the types of the elements of the lists in a model, by key."""
    return {name: inner for name, inner, within in _inner_models(model) if within is list}


def _mappings(
    root: Tree, model: type[BaseModel], location: Location = ()
) -> Iterator[tuple[Location, type[BaseModel]]]:
    """Yield the location and the type of each mapping.

    An outer mapping comes before those in it, so that the caller may rename its keys in between.
    """
    yield location, model
    keys = yaml_nodes.children(root, location)
    for name, inner, collection in _inner_models(model):
        if collection is list and not location and "defaults" in keys:
            yield from _mappings(root, inner, ("defaults",))
        if name not in keys:
            continue
        within = (*location, name)
        if collection:
            for part in yaml_nodes.children(root, within):
                yield from _mappings(root, inner, (*within, part))
        else:
            yield from _mappings(root, inner, within)


def _suggestion(key: str, section: type[BaseModel], model: type[BaseModel]) -> str:
    """Return where an unknown key of a section belongs, or which key may be meant."""
    if owners := [path for path, owner in _sections(model) if key in owner.model_fields]:
        names = (".".join(path) or "the top level" for path in owners)
        where = " or ".join("batches, or in defaults" if n == "batches" else n for n in names)
        return f" here; it belongs in {where}"
    keys = list(section.model_fields)
    has_defaults = section is model and "batches" in keys
    return nearest_or_all(key, ["defaults", *keys] if has_defaults else keys)


def _sections(
    model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Yield the types of the mappings in a config, with the keys that lead there."""
    yield path, model
    for name, inner, _ in _inner_models(model):
        yield from _sections(inner, (*path, name))


def _inner_models(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel], type | None]]:
    """Yield the fields of a model that hold models: key, type, and `list` or `dict` for many."""
    for name, field in model.model_fields.items():
        if inner := _model_in(field.annotation):
            yield name, inner, _collection(field.annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model within an annotation such as `tuple[Batch, ...]` or `Options | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _collection(annotation: Any) -> type | None:
    """Return `list` for an annotation of a list or tuple, `dict` for a mapping of names."""
    kind = {list: list, tuple: list, dict: dict}.get(get_origin(annotation))
    inner = (found for part in get_args(annotation) if (found := _collection(part)))
    return kind or next(inner, None)
