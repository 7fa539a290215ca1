"""What a Wyoming server says that it can do, and which of its voices is meant.

Source: package wyoming 1.10.2, info.py and tts.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, Field

from ttskit.adapters.options import voice_not_found
from ttskit.adapters.replies import Shape
from ttskit.errors import ProviderUnavailableError, UnsupportedLanguageError
from ttskit.request import check_language
from ttskit.voices import Catalogue, Voice

SERVERS_OWN = "default"
"""The id of whatever voice the server takes where none is named: it does not tell which."""
SPEAKER_MARK = "#"
"""Between a voice's name and one of its speakers in an id: ``en_US-libritts-high#3922``."""


class _Speaker(BaseModel):
    name: str


class _Listed(BaseModel):
    """One voice."""

    name: str = Field(min_length=1)
    languages: list[str] = []
    installed: bool = True
    description: str | None = None
    speakers: list[_Speaker] | None = None

    def ids(self) -> list[str]:
        """Return the voice's id, and that of each of its speakers."""
        speakers = self.speakers or []
        return [self.name, *(f"{self.name}{SPEAKER_MARK}{one.name}" for one in speakers)]

    def voice(self, voice_id: str, provider: str) -> Voice:
        about = self.description or ""
        return Voice(
            voice_id,
            provider,
            voice_id.replace(SPEAKER_MARK, " "),
            languages=tuple(dict.fromkeys(tag for one in self.languages if (tag := _tag(one)))),
            description=about if self.installed else f"{about} (not installed yet)".strip(),
        )


class _Program(BaseModel):
    """One engine of the server."""

    name: str = ""
    installed: bool = True
    voices: list[_Listed] = []
    supports_synthesize_streaming: bool = False


class _Info(Shape):
    """The data of an ``info`` event, as far as speech is concerned."""

    tts: tuple[_Program, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is to speak; all None: the server decides."""

    name: str | None = None
    speaker: str | None = None
    language: str | None = None
    """Counts where no voice is named."""

    def data(self) -> dict[str, str] | None:
        """Return the voice as an event has it; None where there is nothing to say."""
        if self.name is None:
            return {"language": self.language} if self.language else None
        return {"name": self.name} | ({"speaker": self.speaker} if self.speaker else {})


class Offer:
    """The engines and voices of a server.

    Args:
        info: The data of its ``info`` event.

    Raises:
        InvalidResponseError: It is none.
        ProviderUnavailableError: The server cannot speak at all.
    """

    def __init__(self, info: Mapping[str, object]) -> None:
        programs = [one for one in _Info.take(info).tts if one.installed]
        if not programs:
            raise ProviderUnavailableError("the server has no engine that speaks")
        self._first = programs[0]
        pairs = [(voice, program) for program in programs for voice in program.voices]
        self._voices: dict[str, tuple[_Listed, _Program]] = {}
        for voice, program in sorted(pairs, key=lambda pair: not pair[0].installed):
            self._voices.setdefault(voice.name, (voice, program))

    def voices(self, provider: str) -> list[Voice]:
        """Return the voices, those that are installed before those that the server would fetch."""
        listed = [voice for voice, _ in self._voices.values()]
        return [voice.voice(one, provider) for voice in listed for one in voice.ids()]

    def choose(self, voice: str | None, *, speaker: str | None, language: str | None) -> Choice:
        """Return how to ask for a voice by its id, or else for one that speaks the language.

        Args:
            voice: An id, ``default`` or None.
            speaker: Of the voice, where the id names none.
            language: BCP 47; counts where no voice is named.

        Raises:
            VoiceNotFoundError: The server has no such voice or speaker; the nearest are given.
        """
        if voice is None or (voice == SERVERS_OWN and voice not in self._voices):
            return self._by_language(language) if language else Choice()
        name, own_speaker = self._split(voice)
        choice = Choice(name, own_speaker or speaker)
        if not self._has(choice):
            asked = f"{name}{SPEAKER_MARK}{choice.speaker}" if choice.speaker else name
            raise voice_not_found(asked, [one.id for one in self.voices("")])
        return choice

    def engine(self, choice: Choice) -> tuple[str | None, bool]:
        """Return the engine to select, and whether text may be sent to it as a stream.

        None where it is the first: that one answers by itself, on older servers as well.
        """
        _, program = self._voices.get(choice.name or "", (None, self._first))
        select = None if program is self._first else program.name
        return select, program.supports_synthesize_streaming

    def _has(self, choice: Choice) -> bool:
        """Whether the server may have the voice and the speaker; some servers list none."""
        if choice.name not in self._voices:
            return not self._voices
        listed, _ = self._voices[choice.name]
        names = {one.name for one in listed.speakers or ()}
        return not names or choice.speaker is None or choice.speaker in names

    def _split(self, voice: str) -> tuple[str, str | None]:
        name, _, speaker = voice.rpartition(SPEAKER_MARK)
        is_whole = voice in self._voices or not name or not speaker
        return (voice, None) if is_whole else (name, speaker)

    def _by_language(self, language: str) -> Choice:
        """Return a voice that speaks the language: not every server heeds a language alone."""
        listed = [voice for voice, _ in self._voices.values() if voice.installed]
        voices = [one.voice(one.name, "") for one in listed]
        able = [voice for voice in voices if voice.languages]
        nearest = Catalogue.nearest(None, language, able)
        return Choice(language=language) if nearest is None else Choice(nearest.id)


def _tag(language: str) -> str | None:
    """Return ``en_US`` as BCP 47; None where it is none."""
    try:
        return check_language(language.replace("_", "-"))
    except UnsupportedLanguageError:
        return None
