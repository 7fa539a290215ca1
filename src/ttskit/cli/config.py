"""``ttskit config``: the settings that are in force, and what may stand in tts.yaml."""

from __future__ import annotations

import os
from pathlib import Path

from ttskit.cli.options import Arguments
from ttskit.cli.tables import print_json
from ttskit.config import load_settings, unused_settings
from ttskit.registry import Registry
from ttskit.service import TTSService

_VARIABLE = "TTSKIT_CONFIG"
_CUSTOMARY = "tts.yaml"


def config_path(arguments: Arguments) -> str | None:
    """Return the settings file: the one named, $TTSKIT_CONFIG, ./tts.yaml, or None."""
    named = arguments.config or os.environ.get(_VARIABLE)
    return named or (_CUSTOMARY if Path(_CUSTOMARY).is_file() else None)


def provider_names(arguments: Arguments) -> list[str]:
    """Return the providers that ``--provider`` names, in order; none: whoever is configured."""
    return [name.strip() for name in (arguments.provider or "").split(",") if name.strip()]


def open_service(arguments: Arguments) -> TTSService:
    """Return a service over the settings in force.

    A provider that is named and not configured is taken as it is, so that it speaks, or says what
    to install.
    """
    names = provider_names(arguments)
    settings = load_settings(config_path(arguments))
    strangers = set(names) - set(settings.providers)
    if strangers and strangers <= set(Registry().names()):
        settings = load_settings(settings, overrides={"routing": {"order": names}})
    return TTSService(settings)


def run(arguments: Arguments) -> int:
    """Check, show or describe the settings; return the exit code."""
    actions = {"check": _check, "show": _show, "schema": _schema}
    actions[arguments.action](arguments)
    return 0


def _check(arguments: Arguments) -> None:
    """Load and validate everything down to each adapter's options; nothing is opened."""
    path = config_path(arguments)
    with TTSService(path) as tts:
        providers = tts.providers()
        unused = unused_settings(tts.settings)
    names = [provider.name for provider in providers]
    missing = {
        provider.name: [needed.distribution for needed in provider.missing]
        for provider in providers
        if provider.missing
    }
    if arguments.json:
        print_json({"file": path, "providers": names, "missing": missing, "unused": unused})
        return
    lines = [
        f"{path or 'no tts.yaml, environment only'}: no mistakes",
        f"providers, in order: {', '.join(names) or 'none'}",
    ]
    lines += [
        f"{name} cannot speak yet: {', '.join(packages)} is missing; see ttskit doctor"
        for name, packages in missing.items()
    ]
    lines += [f"{key}: accepted, but this version does nothing with it yet" for key in unused]
    print("\n".join(lines))


def _show(arguments: Arguments) -> None:
    """Print the settings in force; secrets are masked."""
    settings = Registry().masked(load_settings(config_path(arguments)))
    if arguments.json:
        print_json(settings)
        return
    import yaml  # one of three actions needs it

    print(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), end="")


def _schema(arguments: Arguments) -> None:
    """Print the JSON Schema of tts.yaml, for an editor to check it while it is written."""
    del arguments
    print_json(Registry().schema())
