"""Edits the nodes of a config: overrides, defaults, renamed keys, and values left out."""

from collections.abc import Callable, Iterable
from typing import Any

from stylebeam.pipeline.config.yaml_nodes import (
    SETTING,
    Location,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    Tree,
    YamlError,
    child_of,
    find,
    parse,
    place,
)
from stylebeam.pipeline.suggestions import nearest_or_all


def apply_setting(
    root: Tree, setting: str, update: Callable[[Tree], None] = lambda tree: None
) -> None:
    """Put one override from the command line into a config.

    Args:
        root: the config; changed in place.
        setting: `key=value` with a dotted key; an element of a list is addressed by its position
            or its `name`. The value is YAML.
        update: called with the override as a config of its own, to rename or remove its keys.

    Raises:
        YamlError: the override has another form, or its key leads nowhere.
    """
    key, equals, text = setting.partition("=")
    source = f"{SETTING}{setting}"
    if not equals or not key:
        raise YamlError(f"{source}: an override is written key=value, as in run.device=cpu")
    (_, value), *others = parse(f"value: {text}", source).value
    if others:
        raise YamlError(f"{source}: this is more than one value")
    override: Any = value
    for part in reversed(key.split(".")):
        override = _mapping([(_key(part, value), override)], value)
    update(override)
    parts = []
    for _ in key.split("."):
        if not override.value:
            return  # The key has been removed.
        [(name, override)] = override.value
        parts.append(name.value)
    _put(root, parts, override, source)


def merge_defaults(root: Tree) -> Tree | None:
    """Remove `defaults`, and add its keys to each of the `batches` that does not have them.

    Args:
        root: the config; changed in place.

    Returns:
        The defaults, if there are any.

    Raises:
        YamlError: `defaults` is not a mapping.
    """
    defaults = child_of(root, "defaults")
    if defaults is None:
        return None
    if not isinstance(defaults, MappingNode):
        raise YamlError(
            f"{place(defaults.start_mark)}: defaults: must be a mapping of keys to values"
        )
    root.value = [(name, node) for name, node in root.value if node is not defaults]
    batches = child_of(root, "batches")
    if isinstance(batches, SequenceNode):
        batches.value = [_merged(batch, defaults) for batch in batches.value]
    return defaults


def rename(root: Tree, location: Location, new: str) -> None:
    """Give the value at a location another key, in place."""
    mapping = find(root, location[:-1])
    assert isinstance(mapping, MappingNode), "only keys are renamed"
    mapping.value = [
        (_key(new, key) if key.value == location[-1] else key, value)
        for key, value in mapping.value
    ]


def remove(root: Tree, location: Location) -> None:
    """Remove a key and its value from a mapping, in place."""
    mapping = find(root, location[:-1])
    assert isinstance(mapping, MappingNode), "only keys are removed"
    mapping.value = [pair for pair in mapping.value if pair[0].value != location[-1]]


def without(root: Tree, locations: Iterable[Location]) -> Tree:
    """Return a copy of a config without the values at some locations."""
    left_out = {id(find(root, location)) for location in locations}

    def rest(node: Any) -> Any:
        if isinstance(node, MappingNode):
            kept = [(key, rest(child)) for key, child in node.value if id(child) not in left_out]
        elif isinstance(node, SequenceNode):
            kept = [rest(child) for child in node.value if id(child) not in left_out]
        else:
            return node
        return type(node)(node.tag, kept, node.start_mark, node.end_mark)

    return rest(root)


def _put(root: Tree, location: list[str], value: Node, source: str) -> None:
    """Put a value at a location, and make the mappings that lead there.

    Args:
        root: the config; changed in place.
        location: keys, and positions or names of elements of lists.
        value: what to put there.
        source: where the value comes from, for messages.

    Raises:
        YamlError: there is no such element, or no mapping at all but the last key.
    """
    *parents, last = location
    node: Node = root
    for position, part in enumerate(parents):
        child = child_of(node, part)
        if child is None:
            if not isinstance(node, MappingNode):
                above = ".".join(parents[:position])
                suggestion = nearest_or_all(part, _names(node))
                raise YamlError(f"{source}: there is no {part} in {above}{suggestion}")
            child = _mapping([], value)
            node.value.append((_key(part, value), child))
        node = child
    if not isinstance(node, MappingNode):
        kind = "a list" if isinstance(node, SequenceNode) else "a single value"
        raise YamlError(f"{source}: {'.'.join(parents)} is {kind}, and has no key {last}")
    node.value = [(name, old) for name, old in node.value if name.value != last]
    node.value.append((_key(last, value), value))


def _names(node: Node) -> list[str]:
    """Return the names of the elements of a list."""
    elements = node.value if isinstance(node, SequenceNode) else []
    names = (child_of(element, "name") for element in elements)
    return [name.value for name in names if isinstance(name, ScalarNode)]


def _merged(node: Node, defaults: Node) -> Node:
    """Return a mapping with the keys of `defaults` that it lacks, mappings in both key by key."""
    if not (isinstance(node, MappingNode) and isinstance(defaults, MappingNode)):
        return node
    own = [
        (key, _merged(value, default) if (default := child_of(defaults, key.value)) else value)
        for key, value in node.value
    ]
    lacking = [(key, value) for key, value in defaults.value if child_of(node, key.value) is None]
    return MappingNode(node.tag, own + lacking, node.start_mark, node.end_mark)


def _key(key: str, like: Node) -> ScalarNode:
    return ScalarNode("tag:yaml.org,2002:str", key, like.start_mark, like.end_mark)


def _mapping(pairs: list[tuple[Node, Node]], like: Node) -> MappingNode:
    return MappingNode("tag:yaml.org,2002:map", pairs, like.start_mark, like.end_mark)
