"""The command line: every subcommand and option, and what ``--help`` says of them.

Only argparse is imported, so that help comes at once; the library judges the values.
"""

from __future__ import annotations

import argparse

# Type checkers take it for true; typing itself would slow down --help.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeVar

    from typing_extensions import override

    _Method = TypeVar("_Method", bound=Callable[..., object])
else:

    def override(method: _Method) -> _Method:
        """Return the method."""
        return method


FORMATS = ("wav", "flac", "ogg", "opus", "mp3", "aac", "m4a", "pcm", "mulaw", "alaw")
"""The names of ``AudioFormat``, which is too heavy to import for a help text."""

_EPILOG = """\
exit codes:
  0    done
  1    a bug in ttskit
  2    the command or the request is wrong; no provider was asked
  3    the configuration cannot work, or a package is missing
  4    every provider that was asked failed, or time was up
  5    this machine ran out of something, such as disk space
  130  interrupted; nothing half-written is left
  141  whoever read the output went away

errors are one line on stderr; with --json, one JSON object on stderr.
"""
_SAY = """\
Speak a text. TEXT is what to say; - reads it from stdin; a sole argument that
names a .txt, .md, .ssml or .xml file reads that file (--text and --file decide
otherwise). Text is UTF-8. Files and stdin may be of any length.

Without -o and --play the speech is played where stdout is a terminal, and
written to stdout (as WAV, unless --format says otherwise) where it is not."""


class UsageError(Exception):
    """The command line makes no sense; the message says what is wrong with it."""


class Arguments(argparse.Namespace):
    """What the command line said; each subcommand sets its own."""

    command: str | None
    action: str
    config: str | None
    json: bool
    verbose: int
    version: bool

    words: list[str]
    text: str | None
    file: str | None
    ssml: bool
    output: str | None
    play: bool
    format: str | None
    sample_rate: int | None
    subtitles: str | None
    quiet: bool
    voice: str | None
    provider: str | None
    model: str | None
    language: str | None
    speed: float | None
    pitch: float | None
    volume: float | None
    timestamps: str | None
    seed: int | None
    deadline: float | None
    strict: bool

    gender: str | None
    style: str | None
    search: str | None
    refresh: bool
    speak: bool


class Parser(argparse.ArgumentParser):
    """Raises what argparse would print over several lines."""

    @override
    def error(self, message: str) -> NoReturn:
        """Raise the complaint as a UsageError."""
        raise UsageError(f"{message}; see '{self.prog} --help'")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows ``-o, --output FILE``, as Python does from 3.13 on, whatever the version."""

    @override
    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def build_parser() -> Parser:
    """Return the parser of the whole command."""
    parser = Parser(
        prog="ttskit",
        description="Text to speech through one command, whoever speaks.",
        epilog=_EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    parser.set_defaults(config=None, json=False, verbose=0)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    _add_say(commands)
    _add_voices(commands)
    _add_command(commands, "providers", "list the configured providers and what they can do")
    _add_doctor(commands)
    _add_config(commands)
    for each in (parser, *commands.choices.values()):
        _add_common(each)
    return parser


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Parser]  # noqa: SLF001 - its type has no other name


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add what every subcommand takes; it may stand before or after the subcommand's name."""
    group = parser.add_argument_group("general")
    hidden = argparse.SUPPRESS  # as a default: an option that is absent leaves no mark
    group.add_argument(
        "--config",
        metavar="FILE",
        default=hidden,
        help="settings (default: $TTSKIT_CONFIG, else ./tts.yaml where it exists)",
    )
    group.add_argument(
        "--json", action="store_true", default=hidden, help="print the result as JSON"
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=hidden,
        help="log to stderr what happens; -vv logs more, and tracebacks",
    )


def _add_command(
    commands: Commands, name: str, summary: str, description: str | None = None
) -> Parser:
    return commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        formatter_class=_Help,
        allow_abbrev=False,
    )


def _add_say(commands: Commands) -> None:
    say = _add_command(commands, "say", "speak a text, into a file or aloud", _SAY)
    say.usage = "ttskit say [TEXT|-|FILE] [-o FILE] [options]"
    say.add_argument("words", nargs="*", metavar="TEXT|-|FILE", help="what to say")
    _add_input(say)
    _add_output(say)
    _add_manner(say)


def _add_input(say: Parser) -> None:
    group = say.add_argument_group("input")
    group.add_argument("-t", "--text", metavar="TEXT", help="the text, even if a file is named so")
    group.add_argument("-f", "--file", metavar="FILE", help="read the text from this file")
    group.add_argument(
        "--ssml", action="store_true", help="the text is an SSML document (as in a .ssml file)"
    )


def _add_output(say: Parser) -> None:
    group = say.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FILE", help="write to this file, or to stdout (-)"
    )
    group.add_argument("--play", action="store_true", help="play it, beside any -o")
    group.add_argument(
        "--format", metavar="NAME", help=f"{' '.join(FORMATS)} (default: by FILE's suffix)"
    )
    group.add_argument("--sample-rate", type=int, metavar="HZ", help="8000 to 192000")
    group.add_argument(
        "--subtitles",
        nargs="?",
        const="srt",
        metavar="FILE",
        help="write FILE.srt or FILE.vtt; srt, vtt or nothing: beside the output",
    )
    group.add_argument(
        "--timestamps", metavar="UNIT", help="time each word or character (in --json's result)"
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", help="no progress, no summary, no warnings"
    )


def _add_manner(say: Parser) -> None:
    group = say.add_argument_group("voice and manner")
    group.add_argument("--voice", help="an alias of the settings, an id, or provider:id")
    group.add_argument("--provider", metavar="NAME[,NAME]", help="who speaks, in order")
    group.add_argument("--model", help="one of the provider's models")
    group.add_argument("--language", metavar="TAG", help="BCP 47, such as en-GB")
    group.add_argument("--speed", type=float, metavar="X", help="0.25 to 4; 2 is twice as fast")
    group.add_argument("--pitch", type=float, metavar="ST", help="semitones, -12 to 12")
    group.add_argument("--volume", type=float, metavar="DB", help="decibels, -40 to 20")
    group.add_argument("--seed", type=int, metavar="N", help="the same speech again, if possible")
    group.add_argument("--deadline", type=float, metavar="S", help="seconds for all of it")
    group.add_argument(
        "--strict", action="store_true", help="what cannot be honoured is an error, no warning"
    )


def _add_voices(commands: Commands) -> None:
    voices = _add_command(commands, "voices", "list the voices that can speak now")
    group = voices.add_argument_group("filters")
    group.add_argument("--language", metavar="TAG", help="BCP 47; en finds en-GB, en-GB finds en")
    group.add_argument("--gender", help="female, male or neutral")
    group.add_argument("--provider", metavar="NAME", help="one provider's only")
    group.add_argument("--style", help="a manner that the voice has, such as cheerful")
    group.add_argument("--search", metavar="WORDS", help="words of its name or description")
    voices.add_argument(
        "--refresh", action="store_true", help="ask the clouds, however new their lists are"
    )


def _add_doctor(commands: Commands) -> None:
    doctor = _add_command(commands, "doctor", "tell what is installed, and how to get the rest")
    doctor.add_argument(
        "--speak", action="store_true", help="have every provider say a word, and time it"
    )


def _add_config(commands: Commands) -> None:
    config = _add_command(commands, "config", "check, show or describe the settings")
    config.add_argument(
        "action",
        choices=("check", "show", "schema"),
        help="check: find mistakes; show: the settings in force, keys masked; "
        "schema: the JSON Schema of tts.yaml",
    )
