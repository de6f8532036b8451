"""YAML as nodes that know their lines: the only place that knows YAML."""

import json
from typing import Any, TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Location = tuple[str | int, ...]
"""Keys and list positions that lead from the top of a config to a value."""

Tree: TypeAlias = MappingNode
"""A config as `parse` returns it."""


class YamlError(Exception):
    """Text that is not the YAML of a config; the message says where and why."""


def parse(text: str, name: str) -> MappingNode:
    """Return the mapping that a YAML text holds.

    Args:
        text: the YAML.
        name: of the file, for messages.

    Raises:
        YamlError: the text is not YAML, not a mapping, or has a key twice.
    """
    try:
        loader = yaml.SafeLoader(text)
        loader.name = name
        root = loader.get_single_node()
        if not isinstance(root, MappingNode):
            raise YamlError(f"{name}: a config is a mapping of keys to values")
        _check_keys(root)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark else name
        raise YamlError(f"{place}: this is not YAML: {problem}") from None
    except RecursionError:
        raise YamlError(f"{name}: this is nested too deeply, or within itself") from None
    return root


def values(root: Node) -> Any:
    """Return the plain Python values of a node.

    Raises:
        YamlError: a value is not what its tag says.
    """
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(root)
    except yaml.YAMLError as error:
        raise YamlError(f"this is not YAML: {error}") from None
    finally:
        loader.dispose()


def one_line(value: Any, quoted: bool = True) -> str:
    """Write a value as YAML of one line.

    Args:
        value: anything that `values` returns.
        quoted: put texts in quotes, which they need to come back as they are; False for people.
    """
    if isinstance(value, dict):
        pairs = (
            f"{one_line(key, quoted)}: {one_line(each, quoted)}" for key, each in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(one_line(each, quoted) for each in value)}]"
    if isinstance(value, float):
        # YAML 1.1 takes a number with an exponent and without a point for text.
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    if isinstance(value, str) and not quoted:
        return value
    # YAML reads the two escapes of a character beyond 16 bits as two characters.
    return json.dumps(value, default=str, ensure_ascii=False)


def apply_setting(root: MappingNode, setting: str) -> None:
    """Put one override of the command line into the nodes.

    Args:
        root: of the config.
        setting: `key=value` with a dotted key; an element of a list is addressed by its position
            or its `name`. The value is YAML.

    Raises:
        YamlError: it is not of that form, or leads to no place.
    """
    key, equals, text = setting.partition("=")
    source = f"--set {setting}"
    if not equals or not key:
        raise YamlError(f"{source}: an override is written key=value, as in run.device=cpu")
    (_, value), *others = parse(f"value: {text}", source).value
    if others:
        raise YamlError(f"{source}: this is more than one value")
    *parents, last = key.split(".")
    node: Node = root
    for part in parents:
        child = _child(node, part)
        if child is None:
            if not isinstance(node, MappingNode):
                raise YamlError(f"{source}: there is no {part} in the config")
            child = MappingNode("tag:yaml.org,2002:map", [], value.start_mark, value.end_mark)
            node.value.append((_key(part, value), child))
        node = child
    if not isinstance(node, MappingNode):
        raise YamlError(f"{source}: {'.'.join(parents)} has no keys")
    node.value = [(name, old) for name, old in node.value if name.value != last]
    node.value.append((_key(last, value), value))


def merge_defaults(root: MappingNode) -> None:
    """Remove `defaults` and give each of the `batches` those of its keys that it leaves out.

    Raises:
        YamlError: `defaults` is not a mapping.
    """
    defaults = _child(root, "defaults")
    if defaults is None:
        return
    if not isinstance(defaults, MappingNode):
        raise YamlError(f"{_line(defaults)}: defaults: must be a mapping of keys to values")
    root.value = [(name, node) for name, node in root.value if node is not defaults]
    batches = _child(root, "batches")
    if isinstance(batches, SequenceNode):
        batches.value = [_merged(batch, defaults) for batch in batches.value]


def place(root: Node, location: Location) -> str:
    """Return the file and line of a value, or of the nearest one above it that is there."""
    node, marked = root, root
    for part in location:
        pairs = node.value if isinstance(node, MappingNode) else []
        for key, value in pairs:
            if key.value == part:
                marked, node = key, value
                break
        else:
            child = _child(node, part) if isinstance(node, SequenceNode) else None
            if child is None:
                break
            marked = node = child
    return _line(marked)


def dotted(root: Node, location: Location) -> str:
    """Write a location as `--set` takes it, elements of a list by their `name` if they have one."""
    node: Node | None = root
    parts = []
    for part in location:
        node = _child(node, part)
        name = _child(node, "name") if isinstance(part, int) else None
        parts.append(str(name.value if isinstance(name, ScalarNode) else part))
    return ".".join(parts)


def _check_keys(node: Node) -> None:
    """Refuse what YAML allows and no config means: keys that are not names, or are repeated."""
    if isinstance(node, MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise YamlError(f"{_line(key)}: a key must be a name, not a list or a mapping")
            if key.value in seen:
                raise YamlError(f"{_line(key)}: {key.value}: this key is here twice")
            seen.add(key.value)
            _check_keys(value)
    elif isinstance(node, SequenceNode):
        for child in node.value:
            _check_keys(child)


def _child(node: Node | None, part: str | int) -> Node | None:
    """Return the child of a mapping by key, or of a list by position or by its `name`."""
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, SequenceNode):
        if isinstance(part, int) or part.isdecimal():
            return node.value[int(part)] if int(part) < len(node.value) else None
        named = ((_child(child, "name"), child) for child in node.value)
        return next((child for name, child in named if name and name.value == part), None)
    return None


def _merged(node: Node, defaults: Node) -> Node:
    """Return a node with the keys of `defaults` that it lacks; where both map, key by key."""
    if not (isinstance(node, MappingNode) and isinstance(defaults, MappingNode)):
        return node
    own = [
        (key, _merged(value, default) if (default := _child(defaults, key.value)) else value)
        for key, value in node.value
    ]
    lacking = [(key, value) for key, value in defaults.value if _child(node, key.value) is None]
    return MappingNode(node.tag, own + lacking, node.start_mark, node.end_mark)


def _key(key: str, like: Node) -> ScalarNode:
    return ScalarNode("tag:yaml.org,2002:str", key, like.start_mark, like.end_mark)


def _line(node: Node) -> str:
    mark = node.start_mark
    return mark.name if mark.name.startswith("--set") else f"{mark.name}:{mark.line + 1}"
