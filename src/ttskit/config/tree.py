"""Settings before they are validated: a tree of values that remember where each was written.

The file, the environment and the arguments each make one tree; laid over one another they give the
tree that is validated, and a complaint about any of its keys can name the place to mend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ttskit.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
"""The keys (and list positions) that lead from the top to a value."""

MAX_DEPTH = 32
"""Levels of nesting; the deepest section of a real file has five."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written: a mapping, a list, or a plain value."""

    origin: str
    """For people: ``tts.yaml:12``, ``TTSKIT_CACHE__MEMORY`` or ``argument``."""
    value: object = None
    """Of a plain value only."""
    keys: Mapping[str, Node] | None = None
    """Of a mapping only."""
    items: tuple[Node, ...] | None = None
    """Of a list only."""

    def child(self, key: str | int) -> Node | None:
        """Return the node under a key or list position; None where there is none."""
        if self.keys is not None:
            return self.keys.get(str(key))
        if self.items is not None and isinstance(key, int) and key < len(self.items):
            return self.items[key]
        return None

    def find(self, path: KeyPath) -> Node | None:
        """Return the node at ``path``; None where there is none."""
        node: Node | None = self
        for key in path:
            node = node.child(key) if node else None
        return node

    def nearest(self, path: KeyPath) -> Node:
        """Return the node at ``path``, or the last one on the way to it."""
        node = self
        for key in path:
            node = node.child(key) or node
        return node

    def plain(self) -> object:
        """Return the values alone, as dicts and lists."""
        if self.keys is not None:
            return {key: child.plain() for key, child in self.keys.items()}
        if self.items is not None:
            return [child.plain() for child in self.items]
        return self.value

    def under(self, over: Node) -> Node:
        """Return this tree with ``over`` laid upon it: mappings merge, anything else is replaced.

        A key of ``over`` meets a key of this tree in another case, or with ``_`` for ``-``: the
        environment can write no other.
        """
        if over.keys is None or self.keys is None:
            return over
        merged = dict(self.keys)
        folded = {_folded(key): key for key in self.keys}
        for written, child in over.keys.items():
            key = written if written in merged else folded.get(_folded(written), written)
            merged[key] = merged[key].under(child) if key in merged else child
        return replace(self, keys=merged)


def as_node(value: object, origin: Callable[[KeyPath], str], path: KeyPath = ()) -> Node:
    """Return plain values as a tree; ``origin`` names where the value at a path was written.

    Raises:
        ConfigurationError: A key is no string, or the values are nested without end.
    """
    place = origin(path)
    if len(path) > MAX_DEPTH:
        raise ConfigurationError(f"{place}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ConfigurationError(f"{place}: {dotted(path)}: keys must be strings")
        keys = {key: as_node(child, origin, (*path, key)) for key, child in value.items()}
        return Node(place, keys=keys)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        items = (as_node(child, origin, (*path, place)) for place, child in enumerate(value))
        return Node(place, items=tuple(items))
    return Node(place, value)


def dotted(path: KeyPath) -> str:
    """Return the path as people write it: ``providers.piper.voices[0]``; each key is cut short."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{_readable(key)}" for key in path)
    return "".join(parts).removeprefix(".") or "settings"


def _readable(key: str) -> str:
    return key[:60] if key.isprintable() else repr(key[:60])


def _folded(key: str) -> str:
    return key.casefold().replace("-", "_")
