"""The elements of the portable subset: what each one's attributes do to the style of its text.

Source: W3C SSML 1.1, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from ttskit.errors import UnsupportedLanguageError
from ttskit.request import check_language
from ttskit.text.ssml import values
from ttskit.text.style import Phoneme, SayAs, Style, VoiceChoice

T = TypeVar("T")

# Without effect on what is heard, and so not worth a warning.
_QUIET = frozenset({"version", "id", "xml:base", "xml:id", "xml:space", "onlangfailure"})

_SPEEDS, _PITCHES, _LOUDEST_DB = (0.1, 10.0), (-36.0, 36.0), 40.0


class Attributes:
    """The attributes of one element, each read once; what nobody reads is left over.

    Reading raises ValueError with one sentence that holds names and no values of the caller's.
    """

    def __init__(self, element: str, given: Mapping[str, str]) -> None:
        self._element = element
        self._given = dict(given)

    def read(self, name: str, reader: Callable[[str], T]) -> T | None:
        """Return the attribute's value as ``reader`` understands it; None where it is absent."""
        value = self._given.pop(name, None)
        try:
            return None if value is None else reader(value)
        except ValueError as error:
            raise ValueError(f"{name} of <{self._element}> must be {error}") from None

    def required(self, name: str) -> str:
        """Return the attribute's value, which must not be empty."""
        value = self.read(name, str)
        if not value:
            raise ValueError(f"<{self._element}> needs the attribute {name}")
        return value

    def leftover(self) -> list[str]:
        """Return the names that were not read and might have been meant to be heard."""
        return [
            name
            for name in self._given
            if name not in _QUIET and not name.startswith(("xmlns", "xsi:"))
        ]


def style_of(element: str, attributes: Attributes, style: Style) -> Style:
    """Return the style within the element, which stands in text of ``style``.

    Raises:
        ValueError: An attribute is missing or has no meaning.
    """
    change = _STYLES.get(element)
    return style if change is None else change(attributes, style)


def _localised(attributes: Attributes, style: Style) -> Style:
    language = attributes.read("xml:lang", _language)
    return style if language is None else replace(style, language=language or None)


def _voice(attributes: Attributes, style: Style) -> Style:
    languages = attributes.read("languages", _languages) or ()
    choice = VoiceChoice(
        name=attributes.read("name", str.strip) or None,
        languages=languages,
        gender=attributes.read("gender", values.one_of("female", "male", "neutral", "")) or None,
    )
    # SSML 1.0 had xml:lang on voice, and documents for cloud engines still do.
    style = _localised(attributes, style)
    return style if choice == VoiceChoice() else replace(style, voice=choice)


def _prosody(attributes: Attributes, style: Style) -> Style:
    rate = attributes.read("rate", values.rate)
    pitch = attributes.read("pitch", values.pitch) or 0.0
    volume = attributes.read("volume", values.volume) or 0.0
    changed = replace(
        style,
        speed=round(style.speed * (1.0 if rate is None else rate), 4),
        pitch=round(style.pitch + pitch, 3),
        volume=round(max(style.volume + volume, values.SILENT_DB), 3),
    )
    _check_prosody(changed)
    return changed


def _check_prosody(style: Style) -> None:
    for value, (lowest, highest), what in (
        (style.speed, _SPEEDS, "rate of <prosody> must be between 10% and 1000%"),
        (style.pitch, _PITCHES, "pitch of <prosody> must be within three octaves"),
        (style.volume, (values.SILENT_DB, _LOUDEST_DB), "volume of <prosody> is over 40 dB"),
    ):
        if not lowest <= value <= highest:
            raise ValueError(f"{what}, all around it included")


def _emphasis(attributes: Attributes, style: Style) -> Style:
    level = attributes.read("level", values.one_of("strong", "moderate", "reduced", "none"))
    return replace(style, emphasis=level or "moderate")


def _say_as(attributes: Attributes, style: Style) -> Style:
    hint = SayAs(
        attributes.required("interpret-as"),
        attributes.read("format", str),
        attributes.read("detail", str),
    )
    return replace(style, say_as=hint)


def _phoneme(attributes: Attributes, style: Style) -> Style:
    alphabet = attributes.read("alphabet", str) or "ipa"
    return replace(style, phoneme=Phoneme(attributes.required("ph"), alphabet))


def _language(value: str) -> str:
    try:
        return check_language(value) if value else ""
    except UnsupportedLanguageError:
        raise ValueError("a BCP 47 tag such as en-GB") from None


def _languages(value: str) -> tuple[str, ...]:
    # Each may name an accent after a colon: "zh-cmn:zh-yue".
    return tuple(_language(pair.partition(":")[0]) for pair in value.split())


_STYLES: Mapping[str, Callable[[Attributes, Style], Style]] = MappingProxyType(
    {
        "speak": _localised,
        "p": _localised,
        "s": _localised,
        "lang": _localised,
        "voice": _voice,
        "prosody": _prosody,
        "emphasis": _emphasis,
        "say-as": _say_as,
        "phoneme": _phoneme,
    }
)
