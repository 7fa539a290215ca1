"""pydantic's complaints about settings as one error that says where, what, and the nearest key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import get_args, get_origin

import pydantic
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ttskit.config.tree import KeyPath, Node, dotted
from ttskit.errors import ConfigurationError

_SUBJECT = re.compile(r"^\w+ (?=should |is )")
"""How pydantic calls what it was given: we name the key."""

_FEW = 12
"""Known keys that a message still lists when none of them is near."""


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint that ends a message: the nearest known name, or the few that there are."""
    names = sorted(set(known))
    folded = {one.casefold().replace("-", "_"): one for one in names}
    found = difflib.get_close_matches(name.casefold().replace("-", "_")[:80], folded, n=1)
    if found:
        return f"; did you mean {folded[found[0]]!r}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= _FEW else ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was validated: a model against what was written."""

    model: type[BaseModel]
    written: Node
    """All settings, not only the model's part."""
    path: KeyPath = ()
    """Where in ``written`` the model's part stands."""
    also: Collection[str] = ()
    """Keys beside the model's own that would have been right at its top level."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Key at the top level -> the environment variable that may give it instead."""


def complain(error: pydantic.ValidationError, checked: Checked) -> ConfigurationError:
    """Return our error for pydantic's first complaint; the others are its notes.

    No value is repeated: any of them may be a secret.
    """
    first, *others = (
        _sentence(detail, checked)
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    )
    more = f" (and {len(others)} more)" if others else ""
    complaint = ConfigurationError(first + more)
    for other in others:
        complaint.add_note(other)
    return complaint


def _sentence(detail: ErrorDetails, checked: Checked) -> str:
    inside = tuple(part for part in detail["loc"] if part != "[key]")
    whole = (*checked.path, *inside)
    place = f"{checked.written.nearest(whole).origin}: {dotted(whole)}"
    return f"{place}: {_problem(detail, inside, checked)}"


def _problem(detail: ErrorDetails, inside: KeyPath, checked: Checked) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _keys_at(checked.model, inside[:-1])
        known |= set(checked.also if len(inside) == 1 else ())
        return f"unknown key{near(str(inside[-1]), known)}"
    if kind == "missing":
        variable = checked.variables.get(str(inside[0])) if len(inside) == 1 else None
        return f"must be given{f', here or as {variable} in the environment' if variable else ''}"
    if detail["loc"][-1:] == ("[key]",):
        return "is no name: letters, digits, '_', '.' and '-', at most 64"
    if kind in {"model_type", "dict_type"}:
        return "should be a mapping of keys to values"
    told = _SUBJECT.sub("", detail["msg"].removeprefix("Value error, "))
    return " ".join(told.split())[:200]


def _keys_at(annotation: object, path: KeyPath) -> set[str]:
    """Return the keys that a section at ``path`` within a type may have."""
    kinds = [annotation]
    for part in path:
        kinds = [deeper for kind in kinds for deeper in _within(kind, part)]
    return {key for kind in kinds for model in _models(kind) for key in model.model_fields}


def _within(kind: object, part: str | int) -> list[object]:
    """Return what types may stand under ``part`` in a value of type ``kind``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return [field.annotation] if field else []
    origin, arguments = get_origin(kind), [one for one in get_args(kind) if one is not ...]
    if isinstance(origin, type) and issubclass(origin, (Mapping, Collection)):
        return arguments[-1:]
    return [deeper for argument in arguments for deeper in _within(argument, part)]


def _models(kind: object) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for argument in get_args(kind) for model in _models(argument)]
