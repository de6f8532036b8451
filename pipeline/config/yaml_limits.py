"""Limits of a config, checked before anything walks through it.

A few hundred bytes of YAML, whose aliases refer to aliases, stand for more values than a machine
can hold; and every value costs time, since it is parsed, validated and looked up.
"""

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MOST_BYTES = 4 * 2**20
"""The largest file; one of 10,000 batches has a third of it."""

MOST_VALUES = 1_000_000
"""How many values a config holds at most, with every alias replaced by what it refers to."""

MOST_DEPTH = 50
"""How deep values are nested at most."""

MOST_DIGITS = 100
"""How many characters a number has at most."""

_TEXT = "tag:yaml.org,2002:str"


class LimitError(Exception):
    """A config exceeds a limit.

    Attributes:
        node: where; None for the config as a whole.
    """

    def __init__(self, message: str, node: Node | None = None) -> None:
        super().__init__(message)
        self.node = node


def check_size(count: int) -> None:
    """Check the size of a config in bytes or characters.

    Raises:
        LimitError: it is too large.
    """
    if count > MOST_BYTES:
        raise LimitError(
            f"this is too large for a config: {count / 2**20:,.1f} MiB, and at most"
            f" {MOST_BYTES // 2**20} MiB are read"
        )


def check_nodes(root: Node) -> None:
    """Check how many values a config holds, how deep they are nested and how long numbers are.

    Each node is looked at once, however many aliases refer to it.

    Raises:
        LimitError: there are too many values, they are nested too deeply or within themselves, or a
            number is too long.
    """
    _Measure().of(root, 1)


class _Measure:
    """Measures nodes: how many values each stands for, and how deep these are nested."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}
        self._entered: set[int] = set()

    def of(self, node: Node, depth: int) -> tuple[int, int]:
        """Return the number of values in a node, and their depth below it."""
        if id(node) in self._entered:
            raise LimitError("this value contains itself, through an alias", node)
        if id(node) in self._known:
            values, below = self._known[id(node)]
        else:
            self._entered.add(id(node))
            values, below = self._measured(node, depth)
            self._entered.remove(id(node))
            self._known[id(node)] = values, below
        if values > MOST_VALUES:
            raise LimitError(
                f"this holds more than {MOST_VALUES:,} values, with each alias replaced by what it"
                " refers to",
                node,
            )
        if depth + below > MOST_DEPTH:
            raise LimitError(f"this is nested too deeply: more than {MOST_DEPTH} levels", node)
        return values, below

    def _measured(self, node: Node, depth: int) -> tuple[int, int]:
        if isinstance(node, ScalarNode) and node.tag != _TEXT and len(node.value) > MOST_DIGITS:
            raise LimitError(
                f"this number has more than {MOST_DIGITS} characters; put text in quotes", node
            )
        children: list[Node] = []
        if isinstance(node, MappingNode):
            children = [each for pair in node.value for each in pair]
        elif isinstance(node, SequenceNode):
            children = node.value
        values, below = 1, 0
        for child in children:
            within, deeper = self.of(child, depth + 1)
            values, below = values + within, max(below, deeper + 1)
        return values, below
