"""How a stretch of text is to be spoken: voice, language, prosody and reading hints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """The wish of a ``voice`` element: a name, or what the voice should be like."""

    name: str | None = None
    """As the caller wrote it: an alias of tts.yaml, a voice id, or ``provider:id``."""
    languages: tuple[str, ...] = ()
    """BCP 47, the most wanted first."""
    gender: str | None = None
    """``female``, ``male`` or ``neutral``."""


@dataclass(frozen=True, slots=True)
class SayAs:
    """What kind of text this is, in the words of ``say-as``."""

    interpret_as: str
    format: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Phoneme:
    """How the text is pronounced."""

    phonemes: str
    alphabet: str = "ipa"
    """``ipa`` or ``x-sampa``."""


@dataclass(frozen=True, slots=True)
class Style:
    """The settings in force for a stretch of text; the defaults leave everything as it is."""

    voice: VoiceChoice | None = None
    language: str | None = None
    """BCP 47; None: the request's."""
    speed: float = 1.0
    """Factor, to 4 decimals: 1 as is, 2 twice as fast."""
    pitch: float = 0.0
    """Semitones, to 3 decimals."""
    volume: float = 0.0
    """dB, to 3 decimals."""
    emphasis: str | None = None
    """``strong``, ``moderate``, ``reduced`` or ``none``."""
    say_as: SayAs | None = None
    phoneme: Phoneme | None = None
    written: str | None = None
    """What the caller wrote, where the text to speak is a substitute for it (``sub``)."""

    @property
    def is_whole(self) -> bool:
        """Whether text of this style is one thing that must not be split or joined to another."""
        return self.say_as is not None or self.phoneme is not None or self.written is not None


PLAIN = Style()
"""Text without any markup."""
