"""Reads configs from YAML, and says of each mistake where it is and what would be right."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, get_args

import pydantic
import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipeline import storage

ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


class ConfigError(Exception):
    """Mistakes in a config, each a sentence with its place."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        super().__init__("\n".join(self.mistakes))


def load_config(path: str, model: type[ConfigT], settings: Sequence[str] = ()) -> ConfigT:
    """Return the config in a YAML file.

    A mapping `defaults` at the top level fills in what a mapping in the list `batches` leaves out.

    Args:
        path: a path or URI.
        model: the config's type.
        settings: overrides, each `key=value` with a dotted key such as `run.device`; a batch is
            addressed by its name, as in `batches.holiday.quality`. The value is YAML.

    Raises:
        ConfigError: the file cannot be read, or is wrong; all mistakes at once.
    """
    try:
        text = storage.read(path).decode()
    except (storage.StorageError, UnicodeDecodeError) as error:
        raise ConfigError(
            [f"The config {error}" if path not in str(error) else str(error)]
        ) from None
    root = _compose(text, path)
    for setting in settings:
        _apply_setting(root, setting)
    _merge_defaults(root)
    return _validate(root, path, model)


def _compose(text: str, name: str) -> MappingNode:
    """Parse YAML to nodes, which know their lines."""
    loader = yaml.SafeLoader(text)
    loader.name = name
    try:
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError([f"{place}: this is not YAML: {problem}"]) from None
    finally:
        loader.dispose()
    if not isinstance(root, MappingNode):
        raise ConfigError([f"{name}: a config is a mapping of keys to values"])
    return root


def _construct(node: Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _get(node: Node | None, key: str | int) -> Node | None:
    """Return the child of a mapping by key, or of a list by position or by its `name`."""
    if isinstance(node, MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    if isinstance(node, SequenceNode):
        if isinstance(key, int) or key.isdecimal():
            return node.value[int(key)] if int(key) < len(node.value) else None
        named = ((_get(child, "name"), child) for child in node.value)
        return next((child for name, child in named if name and name.value == key), None)
    return None


def _apply_setting(root: MappingNode, setting: str) -> None:
    """Put one `key=value` of the command line into the nodes."""
    key, equals, text = setting.partition("=")
    source = f"--set {setting}"
    if not equals or not key:
        raise ConfigError([f"{source}: an override is written key=value, as in run.device=cpu"])
    [(_, value)] = _compose(f"value: {text}", source).value
    *parents, last = key.split(".")
    node: Node = root
    for part in parents:
        child = _get(node, part)
        if child is None:
            if not isinstance(node, MappingNode):
                raise ConfigError([f"{source}: there is no {part} in the config"])
            child = MappingNode("tag:yaml.org,2002:map", [], value.start_mark, value.end_mark)
            node.value.append((_key_node(part, value), child))
        node = child
    if not isinstance(node, MappingNode):
        raise ConfigError([f"{source}: {'.'.join(parents)} has no keys"])
    node.value = [(name, old) for name, old in node.value if name.value != last]
    node.value.append((_key_node(last, value), value))


def _key_node(key: str, like: Node) -> ScalarNode:
    return ScalarNode("tag:yaml.org,2002:str", key, like.start_mark, like.end_mark)


def _merge_defaults(root: MappingNode) -> None:
    """Give each batch what it leaves out, from `defaults`."""
    defaults = _get(root, "defaults")
    if defaults is None:
        return
    if not isinstance(defaults, MappingNode):
        line = defaults.start_mark.line + 1
        raise ConfigError([f"{defaults.start_mark.name}:{line}: defaults: is a mapping"])
    root.value = [(name, node) for name, node in root.value if node is not defaults]
    batches = _get(root, "batches")
    if isinstance(batches, SequenceNode):
        batches.value = [_merged(batch, defaults) for batch in batches.value]


def _merged(node: Node, defaults: Node) -> Node:
    """Return a node with the keys of `defaults` that it lacks; where both map, key by key."""
    if not (isinstance(node, MappingNode) and isinstance(defaults, MappingNode)):
        return node
    own = [
        (name, _merged(value, default) if (default := _get(defaults, name.value)) else value)
        for name, value in node.value
    ]
    lacking = [(name, value) for name, value in defaults.value if _get(node, name.value) is None]
    return MappingNode(node.tag, own + lacking, node.start_mark, node.end_mark)


def _validate(root: MappingNode, path: str, model: type[ConfigT]) -> ConfigT:
    try:
        values = _construct(root)
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: this is not YAML: {error}"]) from None
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as errors:
        raise ConfigError(
            _sentence(error, root, model) for error in errors.errors(include_url=False)
        ) from None


def _sentence(error: Any, root: MappingNode, model: type[pydantic.BaseModel]) -> str:
    """Say of one of pydantic's errors where it is and what would be right."""
    location: tuple[str | int, ...] = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if error["type"] == "extra_forbidden":
        message = "there is no such key" + nearest(str(location[-1]), _keys(model, location[:-1]))
    elif error["type"] == "missing":
        message = "this key is missing"
    elif error["type"] == "literal_error":
        message = f"is {error['ctx']['expected']}, not {error['input']!r}" + nearest(
            str(error["input"]),
            error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", "),
        )
    key = ".".join(str(part) for part in location)
    return f"{_place(root, location)}: {key + ': ' if key else ''}{message}"


def _place(root: Node, location: tuple[str | int, ...]) -> str:
    """Return file and line of the deepest node on the way to a location."""
    node = root
    for part in location:
        if isinstance(node, MappingNode):
            for name, value in node.value:
                if name.value == part:
                    # A mapping's own mark is its first key's; the key above it says more.
                    mark, node = name.start_mark, value
                    break
            else:
                break
        elif (child := _get(node, part)) is not None:
            node, mark = child, child.start_mark
    mark = mark if location and node is not root else root.start_mark
    return mark.name if mark.name.startswith("--set") else f"{mark.name}:{mark.line + 1}"


def _keys(model: type[pydantic.BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that are valid in the mapping at a location."""
    current: Any = model
    for part in location:
        if isinstance(part, str):
            current = _model_in(current.model_fields[part].annotation)
    return list(current.model_fields)


def _model_in(annotation: Any) -> Any:
    """Return the model within an annotation such as `tuple[Batch, ...]` or `Options | None`."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    return next(found for part in get_args(annotation) if (found := _model_in(part)))


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a half sentence that names the most similar of the valid words, if one is similar."""
    found = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {found[0]}?" if found else ""
