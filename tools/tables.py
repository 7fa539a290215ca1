"""The tables of the docs, each made from the code that it tells about."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from itertools import chain

from tools.markdown import table
from tools.schema import Schema, default, field_docs, schema_of, values
from ttskit.adapters.azure import AzureAdapter
from ttskit.adapters.base import Adapter, AdapterOptions, Capabilities, Support
from ttskit.adapters.cartesia import CartesiaAdapter
from ttskit.adapters.chatterbox import ChatterboxAdapter
from ttskit.adapters.command import CommandAdapter
from ttskit.adapters.coqui import CoquiAdapter
from ttskit.adapters.deepgram import DeepgramAdapter
from ttskit.adapters.edge import EdgeAdapter
from ttskit.adapters.elevenlabs import ElevenLabsAdapter
from ttskit.adapters.espeak import EspeakAdapter
from ttskit.adapters.gemini import GeminiAdapter
from ttskit.adapters.google import GoogleAdapter
from ttskit.adapters.hibari import HibariAdapter
from ttskit.adapters.hume import HumeAdapter
from ttskit.adapters.kokoro import KokoroAdapter
from ttskit.adapters.lmnt import LMNTAdapter
from ttskit.adapters.openai import OpenAIAdapter
from ttskit.adapters.piper import PiperAdapter
from ttskit.adapters.polly import PollyAdapter
from ttskit.adapters.transformers import TransformersAdapter
from ttskit.adapters.wyoming import WyomingAdapter
from ttskit.codecs.formats import FORMATS, FormatInfo
from ttskit.config.settings import ProviderSettings, Settings
from ttskit.errors import TTSError, error_classes
from ttskit.request import SpeechOptions
from ttskit.testing.mock import MockAdapter

AdapterClass = type[Adapter[AdapterOptions]]

ADAPTERS: tuple[AdapterClass, ...] = (
    HibariAdapter,
    PiperAdapter,
    CoquiAdapter,
    ChatterboxAdapter,
    EspeakAdapter,
    KokoroAdapter,
    TransformersAdapter,
    ElevenLabsAdapter,
    OpenAIAdapter,
    AzureAdapter,
    GoogleAdapter,
    PollyAdapter,
    DeepgramAdapter,
    CartesiaAdapter,
    GeminiAdapter,
    HumeAdapter,
    LMNTAdapter,
    WyomingAdapter,
    EdgeAdapter,
    CommandAdapter,
    MockAdapter,
)
"""Ours, in the order of the docs; a third party's that happens to be installed is none of them."""

_PLACES = {"providers": "NAME", "voices": "ALIAS"}
"""What stands for a key of the user's choice."""


def all_tables() -> dict[str, str]:
    """Return every table by the name that a page's marker gives it."""
    return {
        "options": options_table(),
        "settings": settings_table(),
        "errors": errors_table(),
        "formats": formats_table(),
        "capabilities": capabilities_table(ADAPTERS),
        "capability fields": capability_fields_table(),
        **{f"capabilities {one.name}": capabilities_table([one]) for one in ADAPTERS},
        **{f"options {one.name}": adapter_options_table(one) for one in ADAPTERS},
    }


def options_table() -> str:
    """Return what ``synthesize`` and ``stream`` take beside the text."""
    top = schema_of(SpeechOptions)
    docs = field_docs(SpeechOptions)
    rows = [
        (f"`{name}`", values(node, top), default(node), _told(node, top, docs.get(name, "")))
        for name, node in top.properties.items()
    ]
    return table(("option", "values", "default", "meaning"), rows)


def settings_table() -> str:
    """Return every key of tts.yaml that is not an adapter's own."""
    top = schema_of(Settings)
    rows = chain.from_iterable(
        _keys(name, node.resolved(top), top) for name, node in top.properties.items()
    )
    return table(("key", "values", "default", "meaning"), rows)


def errors_table() -> str:
    """Return the family, each class after the one it is a kind of."""
    rows = [
        (
            f"`{error.__name__}`",
            f"`{error.code}`",
            str(error.http_status),
            _yes(error.retryable),
            _yes(error.failover),
            _yes(error.counts),
            _first_line(error),
        )
        for error in dict.fromkeys(error_classes())
        if error.__module__ == TTSError.__module__
    ]
    head = ("error", "`code`", "HTTP", "`retryable`", "`failover`", "`counts`", "what it says")
    return table(head, rows)


def formats_table() -> str:
    """Return what ``format`` may be."""
    head = ("format", "suffixes", "sample rates, Hz", "channels", "kbit/s", "needs")
    return table(head, (_format_row(info) for info in FORMATS.values()))


def capabilities_table(adapters: Sequence[AdapterClass]) -> str:
    """Return what adapters can do, a column for each; what none of them can do is left out."""
    able = [
        (field.name, [_capability(one, field.name) for one in adapters])
        for field in fields(Capabilities)
    ]
    rows = [(f"`{name}`", *cells) for name, cells in able if any(cells)]
    return table(("capability", *(f"`{one.name}`" for one in adapters)), rows)


def capability_fields_table() -> str:
    """Return what an adapter may declare."""
    docs = field_docs(Capabilities)
    rows = [
        (f"`{name}`", _shown(value), docs.get(name, ""))
        for name, value in asdict(Capabilities()).items()
    ]
    return table(("field", "default", "meaning"), rows)


def adapter_options_table(adapter: AdapterClass) -> str:
    """Return an adapter's keys in tts.yaml, and which of them a request may set."""
    model = adapter.options_model
    call = adapter.call_model
    top, per_call = schema_of(model), schema_of(call)
    docs = field_docs(call) | field_docs(model)
    shared = schema_of(ProviderSettings).properties
    only = {name: one for name, one in per_call.properties.items() if name not in top.properties}
    rows = [
        (
            f"`{name}`",
            values(node, per_call if name in only else top),
            default(node),
            "only" if name in only else _yes(name in call.model_fields),
            docs.get(name)
            or node.description
            or (shared[name].description if name in shared else ""),
        )
        for name, node in {**top.properties, **only}.items()
    ]
    return table(("key", "values", "default", "per request", "meaning"), rows)


def _keys(path: str, node: Schema, top: Schema) -> Iterator[tuple[str, ...]]:
    place = _PLACES.get(path)
    if node.properties:
        for name, child in node.properties.items():
            yield from _keys(f"{path}.{name}", _described_by(child, child.resolved(top)), top)
    elif place and node.patterns:
        for child in node.patterns.values():
            yield from _keys(f"{path}.{place}", child.resolved(top), top)
    elif place:
        yield f"`{path}.{place}.PROVIDER`", "text", "", node.description
    else:
        later = " Not used yet." if node.not_used_yet else ""
        yield f"`{path}`", values(node, top), default(node), node.description + later


def _described_by(child: Schema, resolved: Schema) -> Schema:
    return resolved if child.ref else child


def _told(node: Schema, top: Schema, written: str) -> str:
    """Return what a field's own type says of it, and what is written under it."""
    return f"{node.resolved(top).description.replace('``', '`')} {written}".strip()


def _format_row(info: FormatInfo) -> tuple[str, ...]:
    rates = ", ".join(map(str, info.sample_rates or ()))
    needs = {None: "", "soundfile": "", "av": "extra `codecs`"}[info.needs]
    rate = f"any; {info.customary_rate} unless asked" if info.customary_rate else rates or "any"
    kilobits = "" if info.bit_rate is None else str(info.bit_rate // 1000)
    suffixes = " ".join(f"`{suffix}`" for suffix in info.suffixes)
    return f"`{info.name}`", suffixes, rate, f"1 to {info.max_channels}", kilobits, needs


def _capability(adapter: AdapterClass, name: str) -> str:
    able = asdict(adapter.capabilities)
    unused_range = name.endswith("_range") and able[name.removesuffix("_range")] != "native"
    if name == "languages" and not able[name]:
        return "its voices'"
    return "" if unused_range else _shown(able[name])


def _shown(value: object) -> str:
    if value is None or value is Support.UNSUPPORTED:
        return ""
    if isinstance(value, tuple) and all(isinstance(one, float) for one in value):
        return " to ".join(f"{one:g}" for one in value)
    if isinstance(value, frozenset):
        value = tuple(sorted(value))
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return str(value)


def _first_line(documented: type) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0].replace("``", "`")


def _yes(is_so: bool) -> str:  # noqa: FBT001 - a cell of a table
    return "yes" if is_so else ""
