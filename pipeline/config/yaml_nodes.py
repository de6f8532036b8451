"""YAML as nodes that know their lines: the only place that knows YAML."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stylebeam.pipeline.suggestions import nearest_or_all

Location = tuple[str | int, ...]
"""Keys and list positions that lead from the top of a config to a value."""

Tree: TypeAlias = MappingNode
"""A config as `parse` returns it."""

Mark: TypeAlias = yaml.Mark
"""Where something stands in a text; copies of a node share theirs."""

_SETTING = "--set "
_TEXT, _DATE, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "timestamp", "merge"))

_PROBLEMS = {
    "found character '\\t'": "a tab stands here; indent with spaces",
    "could not find expected ':'": "a key without a colon and a space after it, here or above",
    "mapping values are not allowed here": "a colon is not expected here; each key has a line of"
    " its own and a space after its colon, keys of one mapping are indented alike, and text that"
    " holds ': ' is put in quotes",
    "expected <block end>": "this does not go on from the lines above; is it indented as they are?",
    "but found another document": "a second document begins here; a config is one",
}
"""What to say of some of PyYAML's problems; of another, its own words."""


class YamlError(Exception):
    """Text that is not the YAML of a config; each argument says where and why."""


class _Loader(yaml.SafeLoader):
    """YAML whose dates are text: no config has dates, and folders are named by them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, name: str) -> Tree:
    """Return the mapping that a YAML text holds.

    Args:
        text: the YAML.
        name: of the file, for messages.

    Raises:
        YamlError: the text is not YAML, not a mapping, or has keys that are no text or repeated.
    """
    try:
        loader = _Loader(text)
        loader.name = name
        root = loader.get_single_node()
        if root is None:
            raise YamlError(f"{name}: this is empty; a config is a mapping of keys to values")
        if not isinstance(root, MappingNode):
            kind = "a list" if isinstance(root, SequenceNode) else "a single value"
            message = f"a config is a mapping of keys to values, not {kind}"
            raise YamlError(f"{place(root.start_mark)}: {message}")
        if mistakes := list(_mistaken_keys(root, root, ())):
            raise YamlError(*mistakes)
        return _unfolded(root, loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character U+{error.character:04X} must not be in YAML"
        raise YamlError(f"{_place(name, line)}: {message}") from None
    except yaml.MarkedYAMLError as error:
        raise YamlError(_in_words(error)) from None
    except RecursionError:
        raise YamlError(f"{name}: this is nested too deeply, or within itself") from None


def values(root: Node) -> Any:
    """Return the plain Python values of a node.

    Raises:
        YamlError: a value is not what its tag says.
    """
    loader = _Loader("")
    try:
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise YamlError(_in_words(error)) from None
    except ValueError as error:
        raise YamlError(f"{place(root.start_mark)}: this is not YAML: {error}") from None
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
    source = f"{_SETTING}{setting}"
    if not equals or not key:
        raise YamlError(f"{source}: an override is written key=value, as in run.device=cpu")
    (_, value), *others = parse(f"value: {text}", source).value
    if others:
        raise YamlError(f"{source}: this is more than one value")
    *parents, last = key.split(".")
    node: Node = root
    for position, part in enumerate(parents):
        child = _child(node, part)
        if child is None:
            if not isinstance(node, MappingNode):
                above = ".".join(parents[:position])
                suggestion = nearest_or_all(part, _names(node))
                raise YamlError(f"{source}: there is no {part} in {above}{suggestion}")
            child = MappingNode("tag:yaml.org,2002:map", [], value.start_mark, value.end_mark)
            node.value.append((_key(part, value), child))
        node = child
    if not isinstance(node, MappingNode):
        kind = "a list" if isinstance(node, SequenceNode) else "a single value"
        raise YamlError(f"{source}: {'.'.join(parents)} is {kind}, and has no key {last}")
    node.value = [(name, old) for name, old in node.value if name.value != last]
    node.value.append((_key(last, value), value))


def merge_defaults(root: Tree) -> Tree | None:
    """Remove `defaults` and give each of the `batches` those of its keys that it leaves out.

    Returns:
        The defaults, if there are any.

    Raises:
        YamlError: `defaults` is not a mapping.
    """
    defaults = _child(root, "defaults")
    if defaults is None:
        return None
    if not isinstance(defaults, MappingNode):
        raise YamlError(
            f"{place(defaults.start_mark)}: defaults: must be a mapping of keys to values"
        )
    root.value = [(name, node) for name, node in root.value if node is not defaults]
    batches = _child(root, "batches")
    if isinstance(batches, SequenceNode):
        batches.value = [_merged(batch, defaults) for batch in batches.value]
    return defaults


def existing(root: Tree, location: Location) -> Location:
    """Return as much of a location as there is something at."""
    node: Node | None = root
    for depth, part in enumerate(location):
        node = _child(node, part)
        if node is None:
            return location[:depth]
    return location


def mark_at(root: Tree, location: Location) -> Mark:
    """Return the mark of what is at a location, or of the nearest above it that is there."""
    return _node_at(root, location).start_mark


def without(root: Tree, locations: Iterable[Location]) -> tuple[Tree, set[Mark]]:
    """Return a config without some values, and the marks of what they were taken from.

    Args:
        root: the config, which stays as it is.
        locations: of the values. Where there is nothing, the nearest above it is left out.
    """
    gone = {id(_node_at(root, location)) for location in locations}
    lessened = set()

    def rest(node: Any) -> Any:
        if isinstance(node, MappingNode):
            kept = [(key, rest(child)) for key, child in node.value if id(child) not in gone]
        elif isinstance(node, SequenceNode):
            kept = [rest(child) for child in node.value if id(child) not in gone]
        else:
            return node
        if len(kept) < len(node.value):
            lessened.add(node.start_mark)
        return type(node)(node.tag, kept, node.start_mark, node.end_mark)

    return rest(root), lessened


def mark_of_key(root: Tree, location: Location) -> Mark:
    """Return where the key of a value stands, or the nearest above it that is there."""
    node: Node = root
    marked = node
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
    return marked.start_mark


def place(mark: Mark) -> str:
    """Return a file and line, or the override of the command line."""
    return _place(mark.name, mark.line + 1)


def dotted(root: Tree, location: Location, defaults: Tree | None = None) -> str:
    """Write a location as `--set` takes it, elements of a list by their `name` if they have one.

    Args:
        root: the config.
        location: in it.
        defaults: what was merged into its batches; a location in a batch whose value came from
            there is written as that in `defaults`.
    """
    node: Node | None = root
    parts = []
    if defaults and location[:1] == ("batches",):
        inherited = mark_at(defaults, location[2:])
        if inherited is mark_at(root, location):
            node, location, parts = defaults, location[2:], ["defaults"]
    for part in location:
        node = _child(node, part)
        name = _child(node, "name") if isinstance(part, int) else None
        parts.append(str(name.value if isinstance(name, ScalarNode) else part))
    return ".".join(parts)


def _unfolded(node: Any, loader: _Loader) -> Any:
    """Return a copy with all that an alias, or a `<<`, stands for in its place.

    So each place is changed apart from the others, and every key of a mapping is seen.
    """
    if isinstance(node, MappingNode):
        loader.flatten_mapping(node)
        last = {key.value: (key, _unfolded(value, loader)) for key, value in node.value}
        return MappingNode(node.tag, list(last.values()), node.start_mark, node.end_mark)
    if isinstance(node, SequenceNode):
        children = [_unfolded(child, loader) for child in node.value]
        return SequenceNode(node.tag, children, node.start_mark, node.end_mark)
    return ScalarNode(node.tag, node.value, node.start_mark, node.end_mark, node.style)


def _mistaken_keys(root: Tree, node: Node, location: Location) -> Iterator[str]:
    """Say what YAML allows and no config means: keys that are no text, or are there twice."""
    if isinstance(node, MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = place(key.start_mark)
            if not isinstance(key, ScalarNode):
                message = "a key must be text; put a value that begins with a bracket in quotes"
                yield f"{line}: {message}"
                continue
            where = f"{line}: {dotted(root, (*location, key.value))}"
            if key.tag not in (_TEXT, _MERGE):
                yield f"{where}: a key must be text; put it in quotes"
            if key.value in lines:
                yield f"{where}: this key is in line {lines[key.value]} already"
            lines.setdefault(key.value, key.start_mark.line + 1)
            yield from _mistaken_keys(root, value, (*location, key.value))
    elif isinstance(node, SequenceNode):
        for position, child in enumerate(node.value):
            yield from _mistaken_keys(root, child, (*location, position))


def _node_at(root: Node, location: Location) -> Node:
    """Return what is at a location, or the nearest above it that is there."""
    node = root
    for part in location:
        child = _child(node, part)
        if child is None:
            break
        node = child
    return node


def _names(node: Node) -> list[str]:
    """Return the names by which the elements of a list are addressed."""
    elements = node.value if isinstance(node, SequenceNode) else []
    names = (_child(element, "name") for element in elements)
    return [name.value for name in names if isinstance(name, ScalarNode)]


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


def _in_words(error: yaml.MarkedYAMLError) -> str:
    """Say where and what keeps a text from being YAML."""
    problem = str(error.problem)
    words = next((said for known, said in _PROBLEMS.items() if known in problem), problem)
    if error.context_mark and "flow" in str(error.context):
        words += f"; a bracket that opens in line {error.context_mark.line + 1} is not closed"
    assert error.problem_mark, "PyYAML marks where it is stuck"
    return f"{place(error.problem_mark)}: this is not YAML: {words}"


def _place(name: str, line: int) -> str:
    return name if name.startswith(_SETTING) else f"{name}:{line}"
