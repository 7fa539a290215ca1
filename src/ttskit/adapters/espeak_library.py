"""libespeak-ng by ctypes: its one voice, its settings and its events, behind one lock.

Read: espeak-ng 1.52 ``speak_lib.h``; the library comes in the wheel espeakng-loader 0.2.4.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

from ttskit.errors import GenerationError, ModelLoadError

if TYPE_CHECKING:
    from ctypes import _Pointer

    # The parametrised pointer types exist for the type checker only.
    _Frames = _Pointer[ctypes.c_short]
    _Events = _Pointer["_Event"]

BUFFER_MS = 100
"""Audio per callback, and so how finely a job can be stopped."""
_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
"""Audio is handed over within the call: with a thread of its own the library answers 20 ms late."""
_POS_CHARACTER, _CHARS_UTF8, _SSML = 1, 1, 0x10
_IPA = 2
"""Phoneme mode: IPA, and nothing between the phonemes."""
_END_OF_EVENTS, _WORD = 0, 1
_CARRY_ON, _STOP = 0, 1


class Parameter(IntEnum):
    """``espeak_PARAMETER``."""

    RATE = 1
    """Words a minute, 80 to 450; beyond it the library speeds the audio up."""
    VOLUME = 2
    """Percent; above 100 it clips."""
    PITCH = 3
    """0 to 99; 50 is the voice's own."""
    RANGE = 4
    """How far the pitch moves; 50 is the voice's own."""
    PUNCTUATION = 5
    CAPITALS = 6
    WORDGAP = 7
    """Units of 10 ms."""


DEFAULTS = {
    Parameter.RATE: 175,
    Parameter.VOLUME: 100,
    Parameter.PITCH: 50,
    Parameter.RANGE: 50,
    Parameter.PUNCTUATION: 0,
    Parameter.CAPITALS: 0,
    Parameter.WORDGAP: 0,
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A voice as the library lists it."""

    name: str
    identifier: str
    """Its file below ``voices`` or ``lang``: unique, and accepted as a name."""
    tags: tuple[tuple[int, str], ...]
    """Priority (lower is better) and language tag, espeak's own, its first tag first."""
    gender: int
    """0 unknown, 1 male, 2 female."""


@dataclass(slots=True)
class Recording:
    """What one call of the library made."""

    pcm: bytearray = field(default_factory=bytearray)
    """16-bit in the machine's own byte order, mono."""
    words: list[tuple[int, int]] = field(default_factory=list)
    """For each word spoken: its first character, counted from 0, and its first frame."""
    failure: BaseException | None = None


class _EventId(ctypes.Union):
    _fields_: ClassVar = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]
    type: int
    text_position: int
    sample: int


class _Voice(ctypes.Structure):
    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]
    name: bytes
    languages: int
    identifier: bytes
    gender: int


_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_PhonemeCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p)


class EspeakLibrary:
    """The library's global state: one voice, one set of parameters, one callback per process.

    Every call holds the lock for the milliseconds that an utterance takes, and never while anyone
    listens to it. Each job sets all that it depends on, so none inherits another's settings.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library: ctypes.CDLL | None = None
        self._callback = _SynthCallback(self._receive)  # kept: the library holds only its address
        self._null: ctypes.c_void_p | None = None
        self._listed: tuple[Listed, ...] = ()
        self._recording = Recording()
        self._is_stopped: Callable[[], bool] = threading.Event().is_set
        self.sample_rate = 0
        """Hz, once anything was called."""

    def voices(self) -> tuple[Listed, ...]:
        """Return every voice the library lists, in its order."""
        if not self._listed:
            with self._lock:
                self._listed = tuple(_listing(self._ready()))
        return self._listed

    def speak(
        self,
        text: str,
        *,
        voice: str,
        parameters: dict[Parameter, int],
        is_ssml: bool,
        is_stopped: Callable[[], bool],
    ) -> Recording:
        """Return the audio of ``text`` and when its words begin.

        Args:
            text: Plain, or a whole SSML document.
            voice: ``Listed.identifier``, with ``+variant`` where one is wanted.
            parameters: Those that differ from ``DEFAULTS``.
            is_ssml: How to read ``text``.
            is_stopped: Asked about every ``BUFFER_MS`` of audio; the rest is not made.

        Raises:
            GenerationError: The library refused the voice or the text.
        """
        # The library would take the first NUL for the end of the text.
        encoded = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        flags = _CHARS_UTF8 | (_SSML if is_ssml else 0)
        with self._lock:
            library = self._ready()
            self._recording, self._is_stopped = Recording(), is_stopped
            if is_stopped():
                return self._recording
            _prepare(library, voice, DEFAULTS | parameters)
            status = library.espeak_Synth(
                encoded, len(encoded), 0, _POS_CHARACTER, 0, flags, None, None
            )
            library.espeak_Synchronize()
            recording, self._recording = self._recording, Recording()
        if recording.failure is not None:
            raise recording.failure
        if status:
            raise GenerationError(f"espeak-ng did not take the text (status {status})")
        return recording

    def phonemes(self, text: str, *, voice: str) -> list[str]:
        """Return the IPA of each clause, as ``espeak-ng -q --ipa`` prints it a line each.

        The text is spoken for it, unheard, in some milliseconds: ``espeak_TextToPhonemes`` comes
        before the melody, which moves the stress of words that stand alone. On Windows, where the
        library's files are of another runtime than ctypes', it has to do.

        Args:
            text: Plain; what stands in double brackets is text, too.
            voice: ``Listed.identifier`` or a language tag of the library's own.

        Raises:
            GenerationError: The library refused the voice.
        """
        encoded = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        clauses: list[str] = []
        with self._lock:
            library = self._ready()
            _prepare(library, voice, DEFAULTS)
            if sys.platform == "win32":
                return list(_read_only(library, encoded))

            def take(clause: bytes) -> int:
                clauses.append(clause.decode())
                return _CARRY_ON

            hear = _PhonemeCallback(take)
            library.espeak_SetPhonemeTrace(_IPA, self._nowhere())
            library.espeak_SetPhonemeCallback(hear)
            try:
                library.espeak_Synth(
                    encoded, len(encoded), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
                )
                library.espeak_Synchronize()
            finally:
                library.espeak_SetPhonemeCallback(_PhonemeCallback())
                library.espeak_SetPhonemeTrace(0, self._nowhere())
                self._recording = Recording()
        return clauses

    def _nowhere(self) -> ctypes.c_void_p:
        """Return a C stream that swallows what is written: the library writes phonemes, too."""
        if self._null is None:
            libc = ctypes.CDLL(None)
            libc.fopen.restype = ctypes.c_void_p
            self._null = ctypes.c_void_p(libc.fopen(os.devnull.encode(), b"w"))
        return self._null

    def _ready(self) -> ctypes.CDLL:
        """Return the library, initialised; the lock is held."""
        if self._library is None:
            import espeakng_loader  # optional

            library = ctypes.CDLL(espeakng_loader.get_library_path())
            library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
            library.espeak_ListVoices.argtypes = [ctypes.c_void_p]
            library.espeak_Synth.argtypes = _SYNTH_ARGUMENTS
            library.espeak_SetPhonemeTrace.argtypes = [ctypes.c_int, ctypes.c_void_p]
            library.espeak_TextToPhonemes.restype = ctypes.c_char_p
            library.espeak_TextToPhonemes.argtypes = [
                ctypes.POINTER(ctypes.c_void_p),
                ctypes.c_int,
                ctypes.c_int,
            ]
            data = str(espeakng_loader.get_data_path()).encode()
            rate = library.espeak_Initialize(_SYNCHRONOUS, BUFFER_MS, data, _DONT_EXIT)
            if rate <= 0:
                raise ModelLoadError("espeak-ng cannot read its data")
            library.espeak_SetSynthCallback(self._callback)
            self._library, self.sample_rate = library, rate
        return self._library

    def _receive(self, frames: _Frames, count: int, events: _Events) -> int:
        """Take a buffer of audio and its events; called within ``espeak_Synth``."""
        try:
            return self._take(frames, count, events)
        except BaseException as error:  # noqa: BLE001 - ctypes would print it and go on
            self._recording.failure = error
            return _STOP

    def _take(self, frames: _Frames, count: int, events: _Events) -> int:
        if self._is_stopped():
            return _STOP
        if count > 0:
            self._recording.pcm += ctypes.string_at(frames, 2 * count)
        index = 0
        while events[index].type != _END_OF_EVENTS:
            event = events[index]
            if event.type == _WORD:
                self._recording.words.append((event.text_position - 1, event.sample))
            index += 1
        return _CARRY_ON


_SYNTH_ARGUMENTS: list[Any] = [  # ctypes' simple types have no common public base
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_uint,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_void_p,
    ctypes.c_void_p,
]


def _read_only(library: ctypes.CDLL, encoded: bytes) -> Iterator[str]:
    """Yield the IPA of each clause before its melody is made."""
    text = ctypes.create_string_buffer(encoded)
    rest = ctypes.c_void_p(ctypes.addressof(text))
    while rest.value:
        clause = library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, _IPA)
        yield (clause or b"").decode()


def _prepare(library: ctypes.CDLL, voice: str, parameters: dict[Parameter, int]) -> None:
    if library.espeak_SetVoiceByName(voice.encode()):
        raise GenerationError(f"espeak-ng cannot load its voice {voice[:60]!r}")
    for parameter, value in parameters.items():
        library.espeak_SetParameter(int(parameter), value, 0)


def _listing(library: ctypes.CDLL) -> list[Listed]:
    found = library.espeak_ListVoices(None)
    listed: list[Listed] = []
    while found[len(listed)]:
        voice = found[len(listed)].contents
        listed.append(
            Listed(
                name=voice.name.decode().strip(),
                identifier=voice.identifier.decode(),
                tags=tuple(_tags(voice.languages)),
                gender=voice.gender,
            )
        )
    return listed


def _tags(address: int) -> list[tuple[int, str]]:
    """Read ``{priority byte, tag, NUL}`` until a priority of 0."""
    tags = []
    while priority := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        tags.append((priority, tag.decode()))
        address += len(tag) + 2
    return tags


LIBRARY = EspeakLibrary()
"""The process's one libespeak-ng. Services meet here and nowhere else: the library keeps its voice,
parameters and callback in global variables, so a lock per service would guard nothing."""
