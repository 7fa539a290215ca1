"""What Polly's list of voices tells. Source: botocore 1.44.5, ``DescribeVoices``."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from ttskit.languages import nearest
from ttskit.resources.http.framing import Json
from ttskit.voices import Gender, Voice

Engine = Literal["standard", "neural", "long-form", "generative"]
_PREFERRED: tuple[Engine, ...] = ("neural", "standard", "generative", "long-form")
"""Of a voice that has several: what sounds well at a fair price and can be timed comes first."""
_BCP47 = MappingProxyType({"arb": "ar", "cmn-CN": "zh-CN", "en-GB-WLS": "en-GB"})
"""Polly's codes that are spelt otherwise elsewhere."""


def listed_voice(ident: str, entry: Json, provider: str) -> Voice:
    """Return a voice as the list tells of it; one that is not listed has nothing but its id."""
    codes = _codes_of(entry)
    gender = {"Female": Gender.FEMALE, "Male": Gender.MALE}.get(str(entry.get("Gender")))
    engines = ", ".join(_texts(entry.get("SupportedEngines")))
    language = str(entry.get("LanguageName", ""))
    return Voice(
        ident,
        provider,
        str(entry.get("Name", ident)),
        languages=tuple(dict.fromkeys(_BCP47.get(code, code) for code in codes)),
        gender=gender or Gender.UNKNOWN,
        description=f"{language} ({engines})" if engines else language,
    )


def engine_of(entry: Json) -> str | None:
    """Return the engine to speak with; None where the list does not tell."""
    has = _texts(entry.get("SupportedEngines"))
    return next((one for one in _PREFERRED if one in has), None)


def language_code(entry: Json, language: str | None) -> str | None:
    """Return Polly's code for a language that is not the voice's first; None where it need not."""
    codes = _codes_of(entry)
    tags = [_BCP47.get(code, code) for code in codes]
    tag = None if language is None else nearest(language, tags)
    return None if tag is None or tag == tags[0] else codes[tags.index(tag)]


def _codes_of(entry: Json) -> list[str]:
    return _texts([entry.get("LanguageCode")]) + _texts(entry.get("AdditionalLanguageCodes"))


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []
