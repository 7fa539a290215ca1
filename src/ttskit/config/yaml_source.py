"""A YAML file as a tree of values that know their line; ``${VAR}`` is filled in on the way.

The reader is YAML 1.2's JSON-like core: ``no`` is a language and not a falsehood, ``010`` is ten.
It builds from libyaml's events, so that nesting and alias bombs are met before they are unfolded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from ttskit.config.tree import MAX_DEPTH, Node
from ttskit.errors import ConfigurationError

MAX_BYTES = 256 * 1024
MAX_VALUES = 10_000
"""Values in a file, those that aliases repeat counted again."""

_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_REFERENCE = re.compile(
    r"\$(?:(?P<escape>\$\{)|\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})?)"
)

# YAML 1.2.2 section 10.3.2, without octal, hexadecimal, infinity and NaN.
_PLAIN_VALUES: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,18}"), int),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
)


def read_yaml_file(path: str | Path, environ: Mapping[str, str]) -> Node:
    """Return the file's tree.

    Raises:
        ConfigurationError: It cannot be read, or what ``read_yaml`` raises.
    """
    place = Path(path)
    try:
        if not place.is_file():
            raise ConfigurationError(f"{place}: there is no such file")
        with place.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "there is no such file"
        raise ConfigurationError(f"{str(place)!r} cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"{place}: larger than {MAX_BYTES // 1024} KiB")
    return read_yaml(_decoded(content, str(place)), str(place), environ)


def read_yaml(text: str, name: str, environ: Mapping[str, str]) -> Node:
    """Return the text's tree; an empty text is an empty mapping.

    Args:
        text: One YAML document whose top level is a mapping.
        name: What to call it in messages, usually the file's path.
        environ: Where ``${VAR}`` and ``${VAR:-default}`` look; ``$${`` stands for ``${``.

    Raises:
        ConfigurationError: It is no YAML, names a variable that is not set, repeats a key, or is
            nested or repeated beyond reason. The message names the line.
    """
    try:
        return _Builder(text, name, environ).document()
    except yaml.MarkedYAMLError as error:
        # Not chained: PyYAML's own message may quote the line, and a key with it.
        raise ConfigurationError(f"{name}:{_explained(error, text)}") from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, unprintable.start() if unprintable else 0) + 1
        raise ConfigurationError(
            f"{name}:{line}: a control character, which YAML forbids"
        ) from error


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{name}:{line}: the file is not UTF-8") from error


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return line and problem."""
    lines = text.splitlines() or [""]
    mark = error.problem_mark or error.context_mark
    line = min(mark.line + 1 if mark else 1, len(lines))
    written = lines[line - 1]
    problem = (error.problem or error.context or "not YAML")[:100]
    if "\t" in written[: len(written) - len(written.lstrip())]:
        problem = "a tab indents this line; YAML takes spaces only"
    elif "nesting depth" in problem:  # PyYAML has a limit of its own since 6.0.4
        problem = f"nested deeper than {MAX_DEPTH} levels"
    elif "${" in written:
        problem += "; inside braces or brackets, ${...} needs quotes around it"
    return f"{line}: {problem}"


class _Builder:
    """Turns the events of one document into a tree."""

    def __init__(self, text: str, name: str, environ: Mapping[str, str]) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)
        self._name = name
        self._environ = environ
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._values = 0

    def document(self) -> Node:
        """Return the only document's top level."""
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Node(self._name, keys={})
        top = self._node(next(self._events), depth=0)
        next(self._events)  # the document's end
        if not isinstance(end := next(self._events), yaml.StreamEndEvent):
            raise self._error(_line(end), "a second document begins here; there can be one only")
        if top.items is not None or top.value is not None:
            raise self._error(1, "the top level must be a mapping such as 'providers: ...'")
        return Node(self._name, keys=top.keys or {})

    def _node(self, event: yaml.Event, depth: int, line: int | None = None) -> Node:
        """Return the tree that starts with ``event``; ``line`` is its key's, if it has one."""
        line = line or _line(event)
        if depth > MAX_DEPTH:
            raise self._error(line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), line)
        before = self._values
        self._count(1, line)
        node = self._built(event, depth, line)
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._anchors[event.anchor] = node, self._values - before
        return node

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            raise self._error(line, "an alias to an anchor that is not defined above it")
        node, values = self._anchors[anchor]
        self._count(values, line)
        return replace(node, origin=f"{self._name}:{line}")

    def _built(self, event: yaml.Event, depth: int, line: int) -> Node:
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag:
            raise self._error(line, "a tag; only plain values, lists and mappings are read")
        origin = f"{self._name}:{line}"
        if isinstance(event, yaml.ScalarEvent):
            return Node(origin, self._scalar(event, line))
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(origin, items=self._items(depth))
        return Node(origin, keys=self._mapping(depth))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> object:
        is_plain = event.implicit[0]
        text = _REFERENCE.sub(lambda match: self._filled_in(match, line), event.value)
        if not is_plain or text != event.value:
            return text
        for pattern, convert in _PLAIN_VALUES:
            if pattern.fullmatch(text):
                return convert(text)
        return text

    def _items(self, depth: int) -> tuple[Node, ...]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return tuple(items)

    def _mapping(self, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(line, "a key must be a plain word")
            if event.value in children:
                raise self._error(line, f"the key {event.value[:60]!r} stands here twice")
            children[event.value] = self._node(next(self._events), depth + 1, line)
        return children

    def _filled_in(self, match: re.Match[str], line: int) -> str:
        if match["escape"]:
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            raise self._error(line, "'${' needs a name and '}'; write '$${' for the characters")
        value = self._environ.get(name)
        if not value and default is not None:
            return default.removeprefix(":-")
        if value is None:
            raise self._error(
                line, f"the environment variable {name[:60]} is not set; set it or give ${{...:-}}"
            )
        return value

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise self._error(line, f"more than {MAX_VALUES} values")

    def _error(self, line: int, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name}:{line}: {problem}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
