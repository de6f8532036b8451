"""Loads configs, and reports all mistakes in them with their places."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import pydantic

from stylebeam.pipeline import storage
from stylebeam.pipeline.config import node_edits, yaml_limits, yaml_nodes
from stylebeam.pipeline.config.mistakes import Mistake, Problems, mistakes_in
from stylebeam.pipeline.config.model_keys import element_models, unknown_keys, update_old_keys
from stylebeam.pipeline.config.yaml_nodes import Location, Mark, Sentence, Tree, YamlError
from stylebeam.pipeline.terminal import say

ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)
ResolvedT = TypeVar("ResolvedT")


class ConfigError(Exception):
    """Mistakes in a config, each a sentence with its place."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        several = [f"{len(self.mistakes)} mistakes:"] if len(self.mistakes) > 1 else []
        super().__init__("\n".join([*several, *self.mistakes]))


def print_note(note: str) -> None:
    """Print a note about a config to standard error."""
    if sys.stderr is not None:
        say(f"note: {note}", file=sys.stderr)


def load_config(
    path: str | None,
    model: type[ConfigT],
    settings: Sequence[str] = (),
    note: Callable[[str], None] = print_note,
) -> ConfigT:
    """Return the config in a YAML file; do not look for the files that it names.

    Args:
        path: a path or URI; None for a config that consists of overrides alone.
        model: the type of the config; see `load_and_resolve`.
        settings: overrides; see `load_and_resolve`.
        note: called with a sentence for each key that has been renamed or removed.

    Raises:
        ConfigError: the file cannot be read, or is wrong; all mistakes at once.
    """
    config, _ = load_and_resolve(path, model, settings, lambda config, problems: None, note)
    return config


def load_and_resolve(
    path: str | None,
    model: type[ConfigT],
    settings: Sequence[str],
    resolve: Callable[[ConfigT, Problems], ResolvedT],
    note: Callable[[str], None] = print_note,
) -> tuple[ConfigT, ResolvedT]:
    """Return the config in a YAML file, and what `resolve` returns for it.

    A mapping `defaults` at the top level fills in what a mapping in the list `batches` leaves out.

    Args:
        path: a path or URI; None for a config that consists of overrides alone.
        model: the type of the config. Its validators do no I/O. If it has a method `mistakes`, that
            yields a location and a message for each value that is valid by itself, but not together
            with others. Keys that it, or a model in it, lists in `renamed_keys` (new key by old
            key) or `removed_keys` (reason by key) are renamed or removed before validation.
        settings: overrides, each `key=value` with a dotted key such as `run.device`; a batch is
            addressed by its name, as in `batches.holiday.quality`. The value is YAML.
        resolve: finds the files that a config names, and adds what is wrong with them to the
            problems. If parts of the config are invalid, it is called with the valid rest, and
            its result is not used.
        note: called with a sentence for each key that has been renamed or removed.

    Raises:
        ConfigError: the file cannot be read, or is wrong; all mistakes at once.
        StorageError: a folder that the config names cannot be listed.
    """
    try:
        report = _Report()
        root = _updated_nodes(path, model, settings, note, report)
        report.defaults = node_edits.merge_defaults(root)
        config, root = _validate(root, model, report)
        if config is None:
            raise report.error()
        problems = Problems(already=bool(report.sentences))
        found: Iterable[tuple[Location, str]] = getattr(config, "mistakes", tuple)()
        for location, message in found:
            problems.add(location, message)
        resolved = resolve(config, problems)
        report.add(root, problems.found)
        if report.sentences:
            raise report.error()
        return config, resolved
    except YamlError as error:
        raise ConfigError(error.args) from None


class _Report:
    """Collects the mistakes of one config as sentences.

    Attributes:
        sentences: what is reported.
        defaults: what was merged into the config's batches.
    """

    def __init__(self) -> None:
        self.sentences: list[Sentence] = []
        self.defaults: Tree | None = None
        self._left_out: set[tuple[Mark, str | int]] = set()

    def add(self, root: Tree, mistakes: Iterable[Mistake]) -> None:
        """Report mistakes in a config, except those caused by values that were left out of it."""
        incomplete = {mark for mark, _ in self._left_out}
        for location, message, depends_on in mistakes:
            needed = {self._key(root, each) for each in (location, *depends_on) if each}
            if yaml_nodes.mark_at(root, location) not in incomplete and not needed & self._left_out:
                self.sentences.append(yaml_nodes.sentence(root, location, message, self.defaults))

    def leave_out(self, root: Tree, locations: Iterable[Location]) -> Tree:
        """Return a config without the values at some locations, and remember the locations."""
        locations = [yaml_nodes.existing(root, each) for each in locations]
        self._left_out |= {self._key(root, each) for each in locations if each}
        return node_edits.without(root, locations)

    def error(self) -> ConfigError:
        """Return all mistakes, in the order of their lines."""
        return ConfigError(text for _, text in sorted(self.sentences))

    @staticmethod
    def _key(root: Tree, location: Location) -> tuple[Mark, str | int]:
        """Return what identifies a value in all copies of a config."""
        return yaml_nodes.mark_at(root, location[:-1]), location[-1]


def _updated_nodes(
    path: str | None,
    model: type[pydantic.BaseModel],
    settings: Sequence[str],
    note: Callable[[str], None],
    report: _Report,
) -> Tree:
    """Return the nodes of a file with all overrides, and with old keys updated."""
    notes: dict[str, None] = {}

    def update(root: Tree) -> None:
        old = update_old_keys(root, model)
        notes.update(dict.fromkeys(text for _, text in old.notes))
        report.sentences.extend(old.mistakes)

    if path is None:
        root = yaml_nodes.parse("{}", "--set (no config was given)")
    else:
        root = yaml_nodes.parse(_read(path), path)
    update(root)
    for setting in settings:
        node_edits.apply_setting(root, setting, update)
    for each in notes:
        note(each)
    return root


def _read(path: str) -> str:
    try:
        data = storage.read(path, yaml_limits.MOST_BYTES)
    except storage.StorageError as error:
        raise ConfigError([str(error)]) from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: this is not UTF-8 text; is it a config, and saved as UTF-8?"
        raise ConfigError([message]) from None


def _validate(root: Tree, model: type[ConfigT], report: _Report) -> tuple[ConfigT | None, Tree]:
    """Return the config, or as much of it as is valid, and its nodes.

    Raises:
        YamlError: a value does not fit its tag.
    """
    unknown = [Mistake(*each) for each in unknown_keys(root, model)]
    report.add(root, unknown)
    # No valid value depends on an unknown key, so the config counts as complete without them.
    root = node_edits.without(root, [each.location for each in unknown])
    try:
        return model.model_validate(yaml_nodes.values(root)), root
    except pydantic.ValidationError as errors:
        wrong = mistakes_in(errors, root)
    report.add(root, wrong)
    root = report.leave_out(root, [each.location for each in wrong])
    return _validate_rest(root, model, report)


def _validate_rest(
    root: Tree, model: type[ConfigT], report: _Report
) -> tuple[ConfigT | None, Tree]:
    """Validate a config without its invalid values: first each element of its lists by itself.

    This finds further mistakes: pydantic checks values together only once each of them is valid.
    """
    values = yaml_nodes.values(root)
    invalid: list[Location] = []
    for name, element in element_models(model).items():
        if not isinstance(values.get(name), list):
            continue
        valid = []
        for position, value in enumerate(values[name]):
            try:
                valid.append(element.model_validate(value))
            except pydantic.ValidationError as errors:
                invalid.append((name, position))
                report.add(root, mistakes_in(errors, root, (name, position)))
        values[name] = valid
    root = report.leave_out(root, invalid)
    try:
        return model.model_validate(values), root
    except pydantic.ValidationError as errors:
        report.add(root, mistakes_in(errors, root))
        return None, root
