"""Which language answers the one asked for. Every choice by language in ttskit is made by ``fit``.

Source: RFC 4647 section 3.4, lookup: what is asked for is cut from its end until something has it.
Going the other way, a tag within the range asked for answers it whole (section 3.3.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_WIDER = {
    "arb": "ar",
    "cmn": "zh",
    "ekk": "et",
    "iw": "he",
    "lvs": "lv",
    "nb": "no",
    "npi": "ne",
    "ory": "or",
    "pes": "fa",
    "swh": "sw",
    "zsm": "ms",
}
"""Subtags that engines use for the main language under a wider one, or that were once in use.

Source: CLDR languageAlias.
"""


class Fit(NamedTuple):
    """How well a tag answers the language asked for; the greater one is the better answer."""

    is_spoken: bool
    """Neither is at odds with the other: ``en`` and ``en-GB`` are not, ``en-US`` and ``en-GB`` are.
    """
    shared: int
    """Leading subtags that both have; 0: another language."""


# Thousands of a cloud's voices share some hundred tags. Bounded, as callers may name any language.
@lru_cache(maxsize=1024)
def fit(wanted: str, tag: str) -> Fit:
    """Return how well a tag answers the language asked for.

    In this order: what lies within the range asked for (``en-GB`` within ``en``), which is as good
    as the same tag; a wider language, the longest first (``zh-Hant`` for ``zh-Hant-TW``, then
    ``zh``); another region or script (``en-US`` for ``en-GB``), which is not spoken; nothing.

    Args:
        wanted: BCP 47 tag, or ``*`` for any language. Case is ignored, ``_`` is ``-``.
        tag: BCP 47 of a voice, a model or a provider.
    """
    asked, has = _subtags(wanted), _subtags(tag)
    if asked == ["*"]:
        return Fit(is_spoken=True, shared=1)
    shared = 0
    for one, other in zip(asked, has, strict=False):
        if one != other:
            break
        shared += 1
    return Fit(is_spoken=shared == min(len(asked), len(has)), shared=shared)


def best_fit(wanted: str, tags: Iterable[str]) -> Fit:
    """Return how well the best of the tags answers; no tags mean any language."""
    return max((fit(wanted, tag) for tag in tags), default=fit(wanted, wanted))


def speaks(wanted: str, tags: Iterable[str]) -> bool:
    """Return whether one of the tags answers the language asked for; no tags mean any language."""
    return best_fit(wanted, tags).is_spoken


def is_related(wanted: str, tags: Iterable[str]) -> bool:
    """Return whether one of the tags is of the same language, whatever its region or script."""
    return best_fit(wanted, tags).shared > 0


def nearest(wanted: str, tags: Iterable[str]) -> str | None:
    """Return the tag that answers best, another region where none is nearer; the first of equals.

    None where none of them is of the same language.
    """
    related = [tag for tag in tags if fit(wanted, tag).shared]
    return max(related, key=lambda tag: fit(wanted, tag), default=None)


def _subtags(tag: str) -> list[str]:
    primary, *rest = tag.casefold().replace("_", "-").split("-")
    return [_WIDER.get(primary, primary), *rest]
