"""``ttskit providers``: who is configured, in routing order, and what each can do."""

from __future__ import annotations

from dataclasses import asdict

from ttskit.adapters.base import Capabilities, Support
from ttskit.cli.config import config_path
from ttskit.cli.options import Arguments
from ttskit.cli.tables import print_json, print_table
from ttskit.service import ProviderInfo, TTSService

_HEADER = ("PROVIDER", "ADAPTER", "RUNS", "READY", "LANGUAGES", "DOES BY ITSELF")
_LANGUAGES_SHOWN = 3


def run(arguments: Arguments) -> int:
    """Print the configured providers; return the exit code."""
    with TTSService(config_path(arguments)) as tts:
        found = tts.providers()
    if arguments.json:
        print_json([asdict(provider) | {"ready": not provider.missing} for provider in found])
    else:
        print_table(_HEADER, [_row(provider) for provider in found])
    return 0


def _row(provider: ProviderInfo) -> tuple[str, ...]:
    able = provider.capabilities
    return (
        provider.name,
        provider.adapter,
        able.runs,
        "no" if provider.missing else "yes",
        _languages(able),
        ", ".join(_native(able)) or "-",
    )


def _languages(able: Capabilities) -> str:
    """Return the first few languages; empty means whatever the voices say."""
    shown = sorted(able.languages)[:_LANGUAGES_SHOWN]
    more = len(able.languages) - len(shown)
    return " ".join([*shown, f"+{more}"] if more else shown) or "its voices'"


def _native(able: Capabilities) -> list[str]:
    natively = [name for name, value in asdict(able).items() if value is Support.NATIVE]
    return [name.replace("_", " ") for name in [*natively, *(["ssml"] if able.ssml else [])]]
