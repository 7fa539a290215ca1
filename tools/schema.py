"""A JSON schema in words: which values a field takes, what it is by default, what it is for."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import chain, pairwise

from pydantic import BaseModel, ConfigDict, Field, JsonValue

_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}
_FORMATS = {"path": "path", "binary": "bytes", "password": "secret"}


class Schema(BaseModel):
    """One node of a JSON schema, as far as the docs speak of it."""

    model_config = ConfigDict(populate_by_name=True)

    ref: str = Field(default="", alias="$ref")
    definitions: dict[str, Schema] = Field(default_factory=dict, alias="$defs")
    kind: str | list[str] = Field(default="", alias="type")
    format: str = ""
    enum: list[str | int] = []
    constant: str | int = Field(default="", alias="const")
    any_of: list[Schema] = Field(default_factory=list, alias="anyOf")
    properties: dict[str, Schema] = {}
    patterns: dict[str, Schema] = Field(default_factory=dict, alias="patternProperties")
    others: Schema | bool = Field(default=False, alias="additionalProperties")
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = Field(default=None, alias="exclusiveMinimum")
    below: float | None = Field(default=None, alias="exclusiveMaximum")
    default: JsonValue = None
    description: str = ""
    examples: list[str] = []
    not_used_yet: bool = False

    def resolved(self, top: Schema) -> Schema:
        """Return the definition that the node refers to, or the node itself."""
        return top.definitions[self.ref.rpartition("/")[2]] if self.ref else self


def schema_of(model: type[BaseModel]) -> Schema:
    """Return the model's schema."""
    return Schema.model_validate(model.model_json_schema())


def values(node: Schema, top: Schema) -> str:
    """Return which values the node takes, null apart: ``0.25 to 4``, ``wav, mp3``, ``text``."""
    node = node.resolved(top)
    if node.any_of:
        found = (values(one, top) for one in node.any_of if one.kind != "null")
        return " or ".join(dict.fromkeys(found))
    if node.enum or node.constant:
        return ", ".join(f"`{one}`" for one in node.enum or [node.constant])
    if node.examples:
        return "such as " + " or ".join(f"`{one}`" for one in node.examples)
    return _FORMATS.get(node.format) or _plain(node)


def default(node: Schema) -> str:
    """Return the node's default as one would write it; empty where nothing is the default."""
    if node.default is None or node.default in ({}, [], ""):
        return ""
    if isinstance(node.default, bool):
        return f"`{str(node.default).lower()}`"
    if isinstance(node.default, float):
        return f"`{node.default:g}`"
    return f"`{node.default}`" if isinstance(node.default, (str, int)) else ""


def field_docs(model: type) -> dict[str, str]:
    """Return what is written under the fields of a model or dataclass, and of its bases."""
    ours = [base for base in reversed(model.__mro__) if base.__module__.startswith("ttskit.")]
    return dict(chain.from_iterable(map(_written_under, ours)))


def _written_under(model: type) -> Iterator[tuple[str, str]]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for statement, following in pairwise(body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, " ".join(text.split()).replace("``", "`")


def _plain(node: Schema) -> str:
    kind, bounds = _KINDS[str(node.kind)], _bounds(node)
    return f"{kind}, {bounds}" if node.kind == "integer" and bounds else bounds or kind


def _bounds(node: Schema) -> str:
    low, high = node.minimum, node.maximum
    if high is None and node.below is not None:
        high = node.below - 1 if node.kind == "integer" else node.below
    if low is None and node.above is not None:
        return _above(node, node.above, high)
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    return f"{_number(low)} or more" if low is not None else ""


def _above(node: Schema, above: float, high: float | None) -> str:
    if node.kind == "integer":
        return f"{_number(above + 1)} or more"
    return f"above {_number(above)}" + (f", up to {_number(high)}" if high is not None else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
