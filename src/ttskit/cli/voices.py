"""``ttskit voices``: who can speak now."""

from __future__ import annotations

import sys
from dataclasses import asdict

from ttskit.cli.config import open_service
from ttskit.cli.options import Arguments
from ttskit.cli.tables import print_json, print_table
from ttskit.voices import Voice


def run(arguments: Arguments) -> int:
    """Print the voices that the filters leave; return the exit code."""
    with open_service(arguments) as tts:
        found = tts.voices(
            language=arguments.language,
            gender=arguments.gender,
            provider=arguments.provider,
            style=arguments.style,
            text=arguments.search,
            refresh=arguments.refresh,
        )
    if arguments.json:
        print_json([asdict(voice) for voice in found])
    elif found:
        print_table(
            ("PROVIDER", "VOICE", "LANGUAGES", "GENDER", "NAME"), [_row(each) for each in found]
        )
    else:
        print("no voice is like that; ttskit doctor tells what is installed", file=sys.stderr)
    return 0


def _row(voice: Voice) -> tuple[str, ...]:
    first, *others = voice.languages or ("any",)
    languages = f"{first} +{len(others)}" if others else first
    about = f"{voice.name}: {voice.description}" if voice.description else voice.name
    return voice.provider, voice.id, languages, voice.gender, about
