"""What is known of providers' models: limits, prices and the days they end; data, not code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

MILLION = 1_000_000


class Model(BaseModel):
    """One model of one provider, as ``models.json`` has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    usd_per_million_characters: float | None = None
    """List price; None: not known, or billed by something else."""
    max_characters: int | None = None
    """Of one request."""
    ends: date | None = None
    """The last day it answers, where the provider has said so."""
    source: str
    checked: date
    """When the source was read."""


@cache
def models(adapter: str) -> Mapping[str, Model]:
    """Return an adapter's models by id; read once."""
    listed = json.loads((files(__package__) / "models.json").read_bytes())
    return {one["id"]: Model.model_validate(one) for one in listed.get(adapter, ())}


def price(adapter: str, model: str | None) -> float | None:
    """Return the US dollars for a million characters; None where they are not known."""
    known = models(adapter).get(model or "")
    return known.usd_per_million_characters if known else None


def cost(adapter: str, model: str | None, characters: int) -> float | None:
    """Return the US dollars for so many billed characters; None where the price is not known."""
    each = price(adapter, model)
    return None if each is None else each * characters / MILLION
