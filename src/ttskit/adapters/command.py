"""Any program that reads text and writes audio: run once an utterance, without a shell."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from typing_extensions import override

from ttskit.adapters.base import (
    NATIVE,
    UNSUPPORTED,
    Adapter,
    AdapterOptions,
    AudioSource,
    Capabilities,
    Support,
    Utterance,
)
from ttskit.adapters.command_line import OF_SPEED, Argument, Place, Template, without_words
from ttskit.adapters.options import voice_not_found
from ttskit.codecs.sniff import HEAD_BYTES, sniff
from ttskit.errors import (
    DependencyMissingError,
    GenerationError,
    InvalidResponseError,
    ServiceClosedError,
    TTSError,
)
from ttskit.files import read_whole
from ttskit.request import check_language
from ttskit.resources.programs import plain_environment, running
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ttskit.resources.host import Resources
    from ttskit.resources.programs import Program

TOLD_BY_CONTENT = ("wav", "flac", "ogg", "opus", "mp3", "aac")
RAW = ("pcm", "mulaw", "alaw")
LARGEST_FILE = 512 * 1024 * 1024
LONGEST_COMPLAINT = 200
ONLY_VOICE = "default"
_Id = Annotated[str, Field(pattern=r"^[^-\x00-\x20][^\x00-\x1f]*$", max_length=200)]
"""A value that begins with a dash would be an option."""


class CommandVoice(BaseModel):
    """A voice of the program. In settings its id alone will do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: _Id
    name: str | None = None
    languages: tuple[str, ...] = ()
    """BCP 47."""
    gender: Gender = Gender.UNKNOWN

    @field_validator("languages")
    @classmethod
    def _well_formed(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(check_language(language) for language in languages)
        except TTSError as error:
            raise ValueError(error.message) from None


class CommandOptions(AdapterOptions):
    """The adapter's section of tts.yaml."""

    command: list[Argument] = Field(
        description="The program and its arguments. Some may be a list of their own, to be left "
        "out together where nobody asks for what stands in them."
    )
    format: Literal["auto", "wav", "flac", "ogg", "opus", "mp3", "aac", "pcm", "mulaw", "alaw"] = (
        Field(
            default="auto",
            description="What it writes; `auto`: told by the first bytes, if not raw.",
        )
    )
    sample_rate: Annotated[int, Field(ge=1_000, le=384_000)] | None = Field(
        default=None,
        description="Hz of `pcm`, `mulaw` and `alaw`, which do not tell it themselves.",
    )
    channels: Annotated[int, Field(ge=1, le=8)] = Field(default=1, description="Of the same.")
    voices: list[_Id | CommandVoice] = Field(
        default_factory=list,
        description="What `{voice}` may be, the default first: ids, or mappings with `id`, `name`, "
        "`languages`, `gender`.",
    )
    words_per_minute: Annotated[int, Field(ge=20, le=1_000)] = Field(
        default=175, description="`{words_per_minute}` at speed 1."
    )
    speed_range: tuple[float, float] = Field(
        default=(0.5, 2.0), description="The slowest and the fastest that the program speaks."
    )
    replace: dict[str, str] = Field(
        default_factory=dict,
        description="What in the text would be a command to the program, and what to send instead.",
    )
    environment: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Variables for the program beside PATH, LANG, HOME and TMPDIR, which are all "
        "it gets of this process's.",
    )

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        places = self.template.places
        if self.format in RAW and self.sample_rate is None:
            raise ValueError(f"{self.format} does not tell its rate: sample_rate is missing")
        if Place.VOICE in places and not self.voices:
            raise ValueError("{voice} needs voices: requests choose among those only")
        if self.voices and Place.VOICE not in places:
            raise ValueError("there are voices, but no {voice} in the command")
        if not 0 < self.speed_range[0] <= 1 <= self.speed_range[1]:
            raise ValueError("speed_range must hold 1")
        return self

    @property
    def template(self) -> Template:
        """The command line."""
        return Template(self.command)

    @property
    def all_voices(self) -> list[CommandVoice]:
        """The voices, the default one first; never empty."""
        named = [CommandVoice(id=one) if isinstance(one, str) else one for one in self.voices]
        return named or [CommandVoice(id=ONLY_VOICE)]


class CommandAdapter(Adapter[CommandOptions]):
    """A process for each utterance: the text on its standard input, never among its arguments."""

    name = "command"
    capabilities = Capabilities(
        formats=(*TOLD_BY_CONTENT, *RAW),
        streaming=NATIVE,
        speed=NATIVE,
        seed=NATIVE,
        cloning=NATIVE,
    )

    def __init__(self, options: CommandOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self._template = options.template
        self.capabilities = _capabilities(options)
        self._running: set[Program] = set()
        self._is_closed = False

    @property
    @override
    def concurrency(self) -> int:
        return os.cpu_count() or 1

    @override
    async def open(self, resources: Resources) -> None:
        await self.check()

    @override
    async def voices(self) -> list[Voice]:
        return [
            Voice(
                id=voice.id,
                provider=self.provider,
                name=voice.name or voice.id,
                languages=voice.languages,
                gender=voice.gender,
            )
            for voice in self.options.all_voices
        ]

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        if self._is_closed:
            raise ServiceClosedError("the service was shut down", provider=self.provider)
        with self._file() as file:
            line = self._template.filled(self._values(utterance, file))
            given = self._given(utterance.text)
            async with running(line, given, environment=self._environment()) as program:
                self._running.add(program)
                try:
                    speech = _Speech(program, utterance.text, file)
                    yield await self._source(speech)
                finally:
                    self._running.discard(program)

    @override
    async def check(self) -> None:
        path = self._environment().get("PATH")
        if await to_thread.run_sync(shutil.which, self._template.program, os.X_OK, path) is None:
            raise DependencyMissingError(
                f"there is no program {self._template.program[:200]!r} that can be run",
                provider=self.provider,
            )

    @override
    async def close(self) -> None:
        self._is_closed = True
        for program in tuple(self._running):
            program.kill()

    async def _source(self, speech: _Speech) -> AudioSource:
        """Return the audio once its format is known."""
        options = self.options
        await speech.begin()
        if options.format in RAW:
            return AudioSource(speech, options.format, options.sample_rate or 0, options.channels)
        found = sniff(speech.head)
        told = found if options.format == "auto" else options.format
        if told is None or told not in TOLD_BY_CONTENT:
            raise InvalidResponseError(
                "the program wrote what is no audio that can be told by its content"
            )
        return AudioSource(speech, str(told), 0)

    def _values(self, utterance: Utterance, file: Path | None) -> Mapping[Place, str]:
        """Return what stands in the command line: of this process's or the settings' making."""
        options, speed = self.options, utterance.speed
        values = {
            Place.VOICE: self._voice(utterance.voice),
            Place.SPEED: f"{speed:.3f}",
            Place.LENGTH_SCALE: f"{1 / speed:.3f}",
            Place.WORDS_PER_MINUTE: str(round(options.words_per_minute * speed)),
        }
        if utterance.language is not None:
            values[Place.LANGUAGE] = check_language(utterance.language)
        if utterance.seed is not None:
            values[Place.SEED] = str(utterance.seed)
        if utterance.reference is not None:
            values[Place.REFERENCE] = str(utterance.reference.path)
        if file is not None:
            values[Place.OUTPUT] = str(file)
        return values

    def _voice(self, asked: str | None) -> str:
        known = [voice.id for voice in self.options.all_voices]
        if asked is not None and asked not in known:
            raise voice_not_found(asked, known)
        return asked or known[0]

    def _given(self, text: str) -> bytes:
        """Return the text as one line: many programs speak line by line."""
        for sign, other in self.options.replace.items():
            text = text.replace(sign, other)
        return " ".join(text.split("\n")).encode(errors="replace") + b"\n"

    def _environment(self) -> dict[str, str]:
        secrets = self.options.environment.items()
        return plain_environment({name: value.get_secret_value() for name, value in secrets})

    @contextmanager
    def _file(self) -> Iterator[Path | None]:
        """Give the file that the program is to write, where it writes to one."""
        if Place.OUTPUT not in self._template.places:
            yield None
            return
        suffix = "wav" if self.options.format == "auto" else self.options.format
        with tempfile.TemporaryDirectory(prefix="ttskit-") as folder:
            yield Path(folder) / f"speech.{suffix}"


class _Speech:
    """What a program writes, as it comes, and whether it ended well.

    Args:
        program: Just started.
        text: What it was given; it is in no message.
        file: What it writes to; None: its standard output.
    """

    def __init__(self, program: Program, text: str, file: Path | None) -> None:
        self._program = program
        self._text = text
        self._file = file
        self.head = b""
        """The first bytes, enough to tell what they are."""

    async def begin(self) -> None:
        """Wait for the first audio.

        Raises:
            GenerationError: The program failed.
            InvalidResponseError: It ended without a sound.
        """
        while len(self.head) < HEAD_BYTES and (data := await self._read()):
            self.head += data
        if not self.head:
            raise InvalidResponseError("the program wrote no audio")

    def __aiter__(self) -> _Speech:
        return self

    async def __anext__(self) -> bytes:
        head, self.head = self.head, b""
        data = head or await self._read()
        if not data:
            raise StopAsyncIteration
        return data

    async def _read(self) -> bytes:
        """Return what comes next; none: it has ended, and well."""
        if self._file is not None:
            return await self._read_file(self._file)
        data = await self._program.read()
        if not data:
            await self._ended()
        return data

    async def _read_file(self, file: Path) -> bytes:
        self._file = None
        while await self._program.read():  # it may chat
            pass
        await self._ended()
        return await to_thread.run_sync(_content, file)

    async def _ended(self) -> None:
        status = await self._program.wait()
        if status:
            told = without_words(self._program.complaint, self._text, longest=LONGEST_COMPLAINT)
            raise GenerationError(f"the program {_how(status)}{f': {told}' if told else ''}")


def _content(file: Path) -> bytes:
    try:
        return read_whole(file, max_bytes=LARGEST_FILE, within=[file.parent])
    except TTSError as error:
        raise InvalidResponseError("the program wrote no audio file", cause=error) from error


def _how(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _capabilities(options: CommandOptions) -> Capabilities:
    places = options.template.places
    spoken = [voice.languages for voice in options.all_voices]
    return Capabilities(
        languages=frozenset[str]().union(*spoken) if all(spoken) else frozenset(),
        formats=TOLD_BY_CONTENT if options.format == "auto" else (options.format,),
        streaming=_native(Place.OUTPUT not in places),
        speed=_native(bool(OF_SPEED & places)),
        speed_range=options.speed_range,
        seed=_native(Place.SEED in places),
        cloning=_native(Place.REFERENCE in places),
    )


def _native(is_there: bool) -> Support:  # noqa: FBT001 - its one argument
    return NATIVE if is_there else UNSUPPORTED
