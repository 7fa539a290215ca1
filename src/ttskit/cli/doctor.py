"""``ttskit doctor``: what is installed, what is missing, and the line that installs it."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from ttskit import __version__
from ttskit.cli.config import config_path
from ttskit.cli.loudspeaker import found_player
from ttskit.cli.options import Arguments
from ttskit.cli.tables import print_json, table
from ttskit.codecs.formats import FORMATS, available_formats
from ttskit.config import Settings
from ttskit.errors import ConfigurationError, DependencyMissingError, TTSError
from ttskit.registry import FOR_TESTS, Registry
from ttskit.service import ProviderInfo, TTSService

NOBODY_SPEAKS = 3
"""Exit code where no provider is ready."""

_WORD = "Hello."
_CODECS = 'pip install "ttskit[codecs]"'


@dataclass(frozen=True, slots=True)
class Engine:
    """What was found out about one provider, or about an adapter that nobody configured."""

    name: str
    adapter: str
    state: str
    """``ready``, ``missing`` (a package), ``no key``, ``not configured``, or ``broken``."""
    about: str
    """For people: its voices, the line to run, or what went wrong."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that an adapter needs; its value is nobody's business."""

    variable: str
    adapter: str
    is_set: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """The whole of it."""

    ttskit: str
    python: str
    platform: str
    settings: str | None
    mistake: str | None
    """In the settings."""
    engines: list[Engine]
    keys: list[Key]
    formats: list[str]
    missing_formats: list[str]
    player: str | None
    """What sound is played with."""


def run(arguments: Arguments) -> int:
    """Print what was found; return the exit code: 3 where no provider is ready."""
    findings = examine(config_path(arguments), speak=arguments.speak)
    if arguments.json:
        print_json(asdict(findings))
    else:
        print("\n".join(_told(findings)))
    is_ready = any(engine.state == "ready" for engine in findings.engines)
    return 0 if is_ready and findings.mistake is None else NOBODY_SPEAKS


def examine(path: str | None, *, speak: bool) -> Findings:
    """Return what is there. Nothing is raised: what is broken is a finding, too.

    Args:
        path: The settings file.
        speak: Have each provider say a word.
    """
    registry = Registry()
    with ExitStack() as stack:
        tts, mistake = None, None
        try:
            tts = stack.enter_context(TTSService(path))
        except ConfigurationError as error:
            mistake = str(error)
        engines = [_tried(tts, one, speak=speak) for one in tts.providers()] if tts else []
        keys = list(_keys(registry, tts.settings if tts else Settings()))
    engines += _unconfigured(registry, {engine.adapter for engine in engines}, keys)
    written = available_formats()
    return Findings(
        ttskit=__version__,
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        settings=path,
        mistake=mistake,
        engines=engines,
        keys=keys,
        formats=[*written],
        missing_formats=[name for name in FORMATS if name not in written],
        player=found_player(),
    )


def _tried(tts: TTSService, provider: ProviderInfo, *, speak: bool) -> Engine:
    """Ask a configured provider for its voices, and for a word."""
    if provider.missing:
        extras = ",".join(dict.fromkeys(needed.extra for needed in provider.missing))
        return Engine(provider.name, provider.adapter, "missing", _install(extras))
    try:
        about = _counted(len(tts.voices(provider=provider.name)), "voice")
        if speak:
            began = time.perf_counter()
            tts.synthesize(_WORD, provider=provider.name)
            about += f", said a word in {time.perf_counter() - began:.2f} s"
    except TTSError as error:
        return Engine(provider.name, provider.adapter, "broken", error.message)
    return Engine(provider.name, provider.adapter, "ready", about)


def _unconfigured(registry: Registry, configured: set[str], keys: list[Key]) -> Iterator[Engine]:
    """Yield the adapters that no provider uses, and what each of them lacks."""
    for name in registry.names():
        if name not in configured and name != FOR_TESTS:
            lacking = [key.variable for key in keys if key.adapter == name and not key.is_set]
            yield Engine(name, name, *_lack(registry, name, lacking))


def _lack(registry: Registry, name: str, lacking: list[str]) -> tuple[str, str]:
    """Return state and remedy of an adapter that is not in use."""
    try:
        missing = registry.missing(registry.find(name))
    except DependencyMissingError as error:
        return "missing", error.message
    except ConfigurationError as error:
        return "broken", error.message
    if missing:
        return "missing", _install(",".join(dict.fromkeys(needed.extra for needed in missing)))
    if lacking:
        return "no key", f"set {' and '.join(lacking)}"
    return "not configured", "installed; name it under providers in tts.yaml"


def _keys(registry: Registry, settings: Settings) -> Iterator[Key]:
    for name in registry.names():
        try:
            secrets = registry.find(name).secrets
        except ConfigurationError:  # told among the engines
            continue
        for option, variable in secrets.items():
            sections = settings.providers.items()
            written = any(
                section.options.get(option)
                for provider, section in sections
                if name == (section.adapter or provider)
            )
            yield Key(variable, name, written or settings.sources.variable(variable) is not None)


def _install(extras: str) -> str:
    return f'pip install "ttskit[{extras}]"'


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _told(findings: Findings) -> Iterator[str]:
    """Yield the findings line by line."""
    yield f"ttskit {findings.ttskit}, Python {findings.python}, {findings.platform}"
    yield f"settings: {findings.mistake or findings.settings or 'no file; providers are found'}"
    yield ""
    rows = [(one.name, one.state, one.about) for one in findings.engines]
    yield from table(("PROVIDER", "STATE", ""), rows)
    yield ""
    for key in findings.keys:
        yield f"key {key.variable}: {'set' if key.is_set else 'not set'}"
    yield f"formats: {' '.join(findings.formats)}"
    if findings.missing_formats:
        yield f"missing: {' '.join(findings.missing_formats)}; {_CODECS}"
    yield f"sound: {findings.player or 'nothing to play it with; pip install sounddevice'}"
