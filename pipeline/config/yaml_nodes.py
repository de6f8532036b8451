"""Parses YAML into nodes that know their lines, and says where in a config a value is."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stylebeam.pipeline.config import yaml_limits

__all__ = ["MappingNode", "Node", "ScalarNode", "SequenceNode"]

Location = tuple[str | int, ...]
"""The keys and list positions that lead from the top of a config to a value."""

Tree: TypeAlias = MappingNode
"""A config as `parse` returns it."""

Mark: TypeAlias = yaml.Mark
"""A position in a text; copies of a node share their mark."""


class Sentence(NamedTuple):
    """A sentence about a value of a config.

    Attributes:
        line: the line of the value's key, counted from 0.
        text: the sentence, which starts with the place.
    """

    line: int
    text: str


SETTING = "--set "
"""How messages name the source of an override."""

_TEXT, _DATE, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "timestamp", "merge"))

_PROBLEMS = {
    "found character '\\t'": "there is a tab here; indent with spaces",
    "could not find expected ':'": "a key lacks its colon and space, here or above",
    "mapping values are not allowed here": "there is a colon where none is allowed; write each key"
    " on its own line with a space after its colon, indent the keys of a mapping equally, and put"
    " text that contains ': ' in quotes",
    "expected <block end>": "this line does not continue the ones above; is its indentation"
    " the same?",
    "but found another document": "a second document starts here; a config is a single document",
}
"""Our words for PyYAML's problems; other problems keep PyYAML's message."""


class YamlError(Exception):
    """A text is not the YAML of a config; each argument says where and why."""


class _Loader(yaml.SafeLoader):
    """Loads dates as text: no config holds dates, but folders may be named after them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, name: str) -> Tree:
    """Return the mapping in a YAML text.

    Args:
        text: the YAML.
        name: the name of the file, for messages.

    Raises:
        YamlError: the text is not YAML or not a mapping, or a key is not text or is repeated.
    """
    try:
        yaml_limits.check_size(len(text))
        loader = _Loader(text)
        loader.name = name
        root = loader.get_single_node()
        if root is None:
            raise YamlError(f"{name}: this is empty; a config is a mapping of keys to values")
        yaml_limits.check_nodes(root)
        if not isinstance(root, MappingNode):
            kind = "a list" if isinstance(root, SequenceNode) else "a single value"
            message = f"a config is a mapping of keys to values, not {kind}"
            raise YamlError(f"{place(root.start_mark)}: {message}")
        if mistakes := list(_mistaken_keys(root, root, ())):
            raise YamlError(*mistakes)
        return _unfolded(root, loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character U+{error.character:04X} is not allowed in YAML"
        raise YamlError(f"{_place(name, line)}: {message}") from None
    except yaml.MarkedYAMLError as error:
        raise YamlError(_in_words(error)) from None
    except yaml_limits.LimitError as error:
        where = place(error.node.start_mark) if error.node else name
        raise YamlError(f"{where}: {error}") from None
    except RecursionError:
        raise YamlError(f"{name}: this is nested too deeply") from None


def values(root: Node) -> Any:
    """Return the plain Python values of a node.

    Raises:
        YamlError: a value does not fit its tag.
    """
    loader = _Loader("")
    try:
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise YamlError(_in_words(error)) from None
    except (ValueError, TypeError, LookupError, AttributeError):
        # PyYAML's constructors raise Python's own errors, for example for `!!int text`.
        message = "a value does not fit its tag, such as !!int; leave out the tag"
        raise YamlError(f"{place(root.start_mark)}: {message}") from None
    finally:
        loader.dispose()


def find(root: Tree, location: Location) -> Node | None:
    """Return the node at a location, if there is one."""
    node: Node | None = root
    for part in location:
        node = child_of(node, part)
    return node


def child_of(node: Node | None, part: str | int) -> Node | None:
    """Return a value of a mapping by its key, or an element of a list by position or `name`."""
    if isinstance(node, MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, SequenceNode):
        if isinstance(part, int) or part.isdecimal():
            return node.value[int(part)] if int(part) < len(node.value) else None
        named = ((child_of(child, "name"), child) for child in node.value)
        return next((child for name, child in named if name and name.value == part), None)
    return None


def children(root: Tree, location: Location) -> list[str | int]:
    """Return the keys of the mapping at a location, or the positions in the list there."""
    node = find(root, location)
    if isinstance(node, MappingNode):
        return [key.value for key, _ in node.value]
    return list(range(len(node.value))) if isinstance(node, SequenceNode) else []


def existing(root: Tree, location: Location) -> Location:
    """Return the location without those of its last parts at which there is no node."""
    while find(root, location) is None:
        location = location[:-1]
    return location


def mark_at(root: Tree, location: Location) -> Mark:
    """Return where the value at a location starts; if there is none, the nearest one above it."""
    node = find(root, existing(root, location))
    assert node is not None, "there is a node at an existing location"
    return node.start_mark


def sentence(
    root: Tree, location: Location, message: str, defaults: Tree | None = None
) -> Sentence:
    """Return a message about a value, preceded by its file, line and key.

    Args:
        root: the config.
        location: where the value is.
        message: half a sentence that goes on from the key.
        defaults: what was merged into the config's batches.
    """
    mark = _mark_of_key(root, location)
    parts = [place(mark), dotted(root, location, defaults), message]
    return Sentence(mark.line, ": ".join(filter(None, parts)))


def place(mark: Mark) -> str:
    """Return a file and line, or the override from the command line."""
    return _place(mark.name, mark.line + 1)


def dotted(root: Tree, location: Location, defaults: Tree | None = None) -> str:
    """Return a location as `--set` takes it, with the names of list elements that have a `name`.

    Args:
        root: the config.
        location: keys and positions.
        defaults: what was merged into the config's batches. The location of a value in a batch that
            was merged into it is written as its location in `defaults`.
    """
    node: Node | None = root
    parts = []
    if defaults and location[:1] == ("batches",):
        inherited = mark_at(defaults, location[2:])
        if inherited is mark_at(root, location):
            node, location, parts = defaults, location[2:], ["defaults"]
    for part in location:
        node = child_of(node, part)
        name = child_of(node, "name") if isinstance(part, int) else None
        parts.append(str(name.value if isinstance(name, ScalarNode) else part))
    return ".".join(parts)


def _mark_of_key(root: Tree, location: Location) -> Mark:
    """Return where the key of a value starts; if there is no such value, the nearest above it."""
    node: Node = root
    marked = node
    for part in location:
        pairs = node.value if isinstance(node, MappingNode) else []
        for key, value in pairs:
            if key.value == part:
                marked, node = key, value
                break
        else:
            child = child_of(node, part) if isinstance(node, SequenceNode) else None
            if child is None:
                break
            marked = node = child
    return marked.start_mark


def _unfolded(node: Any, loader: _Loader) -> Any:
    """Return a copy in which each alias and `<<` is replaced by a copy of what it refers to.

    A change in one place then leaves the others as they are, and mappings show all their keys.
    """
    if isinstance(node, MappingNode):
        loader.flatten_mapping(node)
        last = {key.value: (key, _unfolded(value, loader)) for key, value in node.value}
        return MappingNode(node.tag, list(last.values()), node.start_mark, node.end_mark)
    if isinstance(node, SequenceNode):
        elements = [_unfolded(child, loader) for child in node.value]
        return SequenceNode(node.tag, elements, node.start_mark, node.end_mark)
    return ScalarNode(node.tag, node.value, node.start_mark, node.end_mark, node.style)


def _mistaken_keys(root: Tree, node: Node, location: Location) -> Iterator[str]:
    """Yield mistakes in a config that YAML allows: keys that are not text, or are repeated."""
    if isinstance(node, MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = place(key.start_mark)
            if not isinstance(key, ScalarNode):
                message = "a key must be text; put a value that starts with a bracket in quotes"
                yield f"{line}: {message}"
                continue
            if key.tag not in (_TEXT, _MERGE):
                where = dotted(root, (*location, key.value))
                yield f"{line}: {where}: a key must be text; put it in quotes"
            if key.value in lines:
                where = dotted(root, (*location, key.value))
                yield f"{line}: {where}: this key is already in line {lines[key.value]}"
            lines.setdefault(key.value, key.start_mark.line + 1)
            yield from _mistaken_keys(root, value, (*location, key.value))
    elif isinstance(node, SequenceNode):
        for position, child in enumerate(node.value):
            yield from _mistaken_keys(root, child, (*location, position))


def _in_words(error: yaml.MarkedYAMLError) -> str:
    """Return where and why a text is not YAML."""
    problem = str(error.problem)
    words = next((said for known, said in _PROBLEMS.items() if known in problem), problem)
    if error.context_mark and "flow" in str(error.context):
        words += f"; a bracket that opens in line {error.context_mark.line + 1} is not closed"
    assert error.problem_mark, "PyYAML marks where it is stuck"
    return f"{place(error.problem_mark)}: this is not YAML: {words}"


def _place(name: str, line: int) -> str:
    return name if name.startswith(SETTING) else f"{name}:{line}"
