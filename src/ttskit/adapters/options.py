"""What all adapters share about settings: those of one request, and names that are not found."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import TypeVar, cast

import pydantic
from pydantic import BaseModel, ConfigDict

from ttskit.errors import InvalidParameterError, VoiceNotFoundError


class CallOptions(BaseModel):
    """What one request may set through ``provider_options``; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


CallOptionsT = TypeVar("CallOptionsT", bound=CallOptions)
ValueT = TypeVar("ValueT")


def checked_options(
    model: type[CallOptionsT], given: Mapping[str, object], *, provider: str
) -> CallOptionsT | None:
    """Return a request's own options, checked; None where there are none.

    Raises:
        InvalidParameterError: One is unknown, of the wrong type or out of range.
    """
    if not given:
        return None
    try:
        return model.model_validate(dict(given))
    except pydantic.ValidationError as error:
        complaint = error.errors(include_url=False, include_input=False)[0]
        name = str(complaint["loc"][0])
        near = get_close_matches(name, model.model_fields, n=1)
        hint = f"; did you mean {near[0]!r}?" if near and near[0] != name else ""
        raise InvalidParameterError(
            f"provider option {name[:60]!r}: {complaint['msg'].lower()}{hint}", provider=provider
        ) from None


def unset(model: type[CallOptionsT]) -> CallOptionsT:
    """Return the options of a request that sets none; they are frozen, so one does for all."""
    return cast("CallOptionsT", _unset(model))


@cache
def _unset(model: type[CallOptions]) -> CallOptions:
    return model()


def given(
    members: Mapping[str, ValueT | None] = MappingProxyType({}), /, **more: ValueT | None
) -> dict[str, ValueT]:
    """Return what was set, for the body of a request: None means that the provider decides.

    Args:
        members: By names that Python cannot have.
        more: By other names.
    """
    both = {**members, **more}
    return {name: value for name, value in both.items() if value is not None}


def voice_not_found(voice: str, known: list[str], *, why: str = "") -> VoiceNotFoundError:
    """Return the error for a voice that is not to be had, with the nearest names."""
    near = get_close_matches(voice, known, n=3, cutoff=0.5) or known[:3]
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return VoiceNotFoundError(f"there is no voice {voice[:60]!r} here{why}{hint}")
