"""Kokoro-82M through kokoro-onnx: small, neural, nine languages. Read: kokoro-onnx 0.6.1."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, cast
from zipfile import BadZipFile

from pydantic import Field, field_validator
from typing_extensions import override

from ttskit.adapters.base import NATIVE, AdapterOptions, Capabilities, Requirement
from ttskit.adapters.kokoro_voices import (
    SAMPLE_RATE,
    Tongue,
    described,
    mixed,
    shares,
    tongue_for,
    tongue_of,
)
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.onnx import quiet_session
from ttskit.adapters.options import CallOptions
from ttskit.adapters.piper_words import TimedPhoneme, time_words
from ttskit.errors import ModelLoadError, TTSError, UnsupportedFeatureError
from ttskit.request import check_language
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, EngineWord, Recipe
from ttskit.text.segment import Segment, segment
from ttskit.voices import Catalogue, Voice

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

DEFAULT_VOICE = "af_heart"
"""The best of v1.0, by its makers' own grades."""

_ABBREVIATED = re.compile(r"(?<!\.)\.(?= )")
"""The period of "Mr." within a sentence: the network would take it for the sentence's end."""
_Pause = Annotated[float, Field(ge=0, le=5)]


class KokoroCallOptions(CallOptions):
    """What one request may set."""

    sentence_pause: _Pause | None = None
    """Seconds of silence after a sentence, at least."""
    clause_pause: _Pause | None = None
    """Seconds after a comma; only models that time their phonemes keep it."""


class KokoroOptions(AdapterOptions):
    """The adapter's section of tts.yaml."""

    model: Path
    """The network, an ``.onnx`` file."""
    voices: Path
    """The styles of the voices, such as ``voices-v1.0.bin``."""
    voice: str | None = None
    """A voice, a mix such as ``af_bella(2)+af_sky``, or the name of one; else ``af_heart``."""
    language: str | None = None
    """What is read (BCP 47), where it is not what the voice is known for."""
    mixes: dict[str, str] = Field(default_factory=dict)
    """Voices of your own by name: ``{narrator: af_bella(2)+af_sky}``."""
    sentence_pause: _Pause = 0.25
    clause_pause: _Pause = 0.1
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads within one sentence; 1 gives the most speech for the processor's time."""

    @field_validator("language")
    @classmethod
    def _known(cls, language: str | None) -> str | None:
        try:
            return language if language is None else tongue_for(check_language(language)).tag
        except TTSError as error:
            raise ValueError(error.message) from error

    @field_validator("mixes")
    @classmethod
    def _mixable(cls, mixes: dict[str, str]) -> dict[str, str]:
        try:
            return {name: recipe for name, recipe in mixes.items() if shares(recipe)}
        except TTSError as error:
            raise ValueError(error.message) from error


class KokoroAdapter(LocalAdapter[KokoroOptions]):
    """A Kokoro model and its voices; words are timed where the model tells its durations."""

    name = "kokoro"
    isolation = "process"  # onnxruntime
    capabilities = Capabilities(
        languages=frozenset({"en", "es", "fr", "hi", "it", "ja", "pt", "zh"}),
        formats=("f32",),
        word_timestamps=NATIVE,
        speed=NATIVE,
        speed_range=(0.5, 2.0),
    )
    requires = (Requirement("kokoro_onnx", "kokoro-onnx", "kokoro"),)
    call_model = KokoroCallOptions

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        del downloads  # the user brings the model
        options = self.options
        return Recipe(
            KokoroEngine,
            {
                "model": str(options.model.absolute()),
                "voices": str(options.voices.absolute()),
                "voice": options.voice,
                "language": options.language,
                "mixes": dict(options.mixes),
                "pauses": {"sentence": options.sentence_pause, "clause": options.clause_pause},
                "threads": options.threads,
            },
        )


class _Timing(Protocol):
    """``kokoro_onnx.sliding.Timing``."""

    phoneme: str
    start: float
    end: float


class _Tokenizer(Protocol):
    """``kokoro_onnx.tokenizer.Tokenizer``; it locks the espeak-ng within."""

    def phonemize(self, text: str, lang: str) -> str:
        """Return the phonemes that the model knows."""


class _Kokoro(Protocol):
    """What is used of ``kokoro_onnx.Kokoro``."""

    voices: Mapping[str, Samples]
    """Styles, shape (510, 1, 256): one for each number of phonemes."""
    tokenizer: _Tokenizer
    has_timings: bool

    def create_timed(  # noqa: PLR0913 - the package's own
        self,
        text: str,
        voice: Samples,
        speed: float,
        lang: str,
        is_phonemes: bool,  # noqa: FBT001 - the package's own
        *,
        sentence_pause: float,
        clause_pause: float,
    ) -> tuple[Samples, int, Sequence[_Timing]]:
        """Return the audio, its rate and the times of its phonemes in seconds."""


class KokoroEngine(Engine):
    """One model with its voices.

    Args:
        model: A path to the network.
        voices: A path to the styles.
        voice: The default one: a voice, a mix, or a mix's name.
        language: BCP 47; None: what the voice is known for.
        mixes: Recipes by name.
        pauses: Seconds after a ``sentence`` and after a ``clause``.
        threads: Of onnxruntime, in one session.
    """

    concurrent = True
    stop_s = 10.0
    """It cannot be stopped within a sentence."""

    def __init__(  # noqa: PLR0913 - keyword-only, plain, for a worker process
        self,
        *,
        model: str,
        voices: str,
        voice: str | None = None,
        language: str | None = None,
        mixes: dict[str, str] | None = None,
        pauses: dict[str, float] | None = None,
        threads: int = 1,
    ) -> None:
        self._path = Path(model)
        self._voices_path = Path(voices)
        self._voice = voice
        self._language = language
        self._mixes = mixes or {}
        self._pauses = pauses or {"sentence": 0.25, "clause": 0.1}
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: _Kokoro | None = None
        self._is_whole_speed = False

    @override
    def load(self) -> None:
        kokoro = self._kokoro()
        shares(self._recipe(self._default(list(kokoro.voices))), list(kokoro.voices))

    @override
    def voices(self) -> list[Voice]:
        ids = self._ids()
        named = [mixed(name, recipe) for name, recipe in self._mixes.items()]
        listed = [*named, *map(described, ids)]
        default = self._default(ids)
        if default not in {*self._mixes, *ids}:
            listed.append(mixed(default, default))
        return sorted(listed, key=lambda voice: voice.id != default)

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        kokoro = self._kokoro()
        self._check_speed(job.speed)
        voice = self._voice_of(job, list(kokoro.voices))
        style = _style(kokoro, self._recipe(voice))
        tongue = self._tongue(job, voice)
        pauses = {kind: self._pause(kind, job) for kind in ("sentence", "clause")}
        spoken = 0
        for sentence in segment(job.text, language=tongue.tag):
            if stop.is_set():
                return
            phonemes = kokoro.tokenizer.phonemize(sentence.text, tongue.espeak)
            phonemes = _ABBREVIATED.sub("", phonemes)
            if not any(map(str.isalpha, phonemes)):
                continue
            samples, rate, timings = kokoro.create_timed(
                phonemes,
                style,
                job.speed,
                tongue.espeak,
                True,  # noqa: FBT003 - they are phonemes
                sentence_pause=pauses["sentence"],
                clause_pause=pauses["clause"],
            )
            silence = round(pauses["sentence"] * rate) if spoken else 0
            words = (
                _words(kokoro, sentence, timings, tongue, (spoken + silence) / rate)
                if job.want_words
                else ()
            )
            spoken += silence + len(samples)
            yield EngineChunk(_after(silence, samples), rate, words)

    @override
    def close(self) -> None:
        self._loaded = None

    def _kokoro(self) -> _Kokoro:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> _Kokoro:
        from kokoro_onnx import Kokoro  # optional, and slow to import

        for path in (self._path, self._voices_path):
            if not path.is_file():
                raise ModelLoadError(f"there is no file {str(path)[-80:]!r} for Kokoro")
        self._ids()  # names a damaged file
        try:
            # Kokoro() would make a session with a thread for every core, each of them spinning.
            session = quiet_session(str(self._path), threads=self._threads)
            self._is_whole_speed = any(
                one.name == "speed" and "int" in one.type for one in session.get_inputs()
            )
            kokoro = cast("_Kokoro", Kokoro.from_session(session, str(self._voices_path)))
            # A file that stays open, and that only one thread can read at a time.
            with kokoro.voices as styles:  # type: ignore[attr-defined] # numpy's NpzFile
                kokoro.voices = dict(styles)
        except TTSError:
            raise
        except Exception as error:  # onnxruntime's errors have no base that is public
            raise ModelLoadError(f"{self._path.name} is no model of Kokoro's") from error
        return kokoro

    def _ids(self) -> list[str]:
        """Return the voices of the file; nothing of the model is loaded."""
        import numpy as np  # an adapter is imported long before it speaks

        try:
            with self._voices_path.open("rb") as file, np.load(file) as styles:
                return sorted(styles.keys())
        # A file of one array has no keys; a pickle is refused.
        except (OSError, EOFError, ValueError, AttributeError, TypeError, BadZipFile) as error:
            raise ModelLoadError(f"{self._voices_path.name} holds no voices for Kokoro") from error

    def _default(self, ids: list[str]) -> str:
        return self._voice or (DEFAULT_VOICE if DEFAULT_VOICE in ids else next(iter(ids), ""))

    def _recipe(self, voice: str) -> str:
        return self._mixes.get(voice, voice)

    def _voice_of(self, job: EngineJob, ids: list[str]) -> str:
        if job.voice is None and self._voice is None and job.language is not None:
            telling = [voice for voice in self.voices() if voice.languages]
            fitting = Catalogue.nearest(None, job.language, telling)
            return self._default(ids) if fitting is None else fitting.id
        voice = job.voice or self._default(ids)
        shares(self._recipe(voice), ids)
        return voice

    def _tongue(self, job: EngineJob, voice: str) -> Tongue:
        own = tongue_of(shares(self._recipe(voice))[0].voice)
        language = job.language or self._language
        return own if language is None else tongue_for(language, own)

    def _pause(self, kind: str, job: EngineJob) -> float:
        asked = job.options.get(f"{kind}_pause")
        return float(asked) if isinstance(asked, int | float) else self._pauses[kind]

    def _check_speed(self, speed: float) -> None:
        if self._is_whole_speed and speed != round(speed):
            raise UnsupportedFeatureError("this export of Kokoro has whole speeds only")


def _style(kokoro: _Kokoro, recipe: str) -> Samples:
    """Return the style of a voice, or the mean of those of a mix."""
    style: Samples = sum(share.weight * kokoro.voices[share.voice] for share in shares(recipe))  # type: ignore[assignment] # there is one at least
    return style


def _after(silence: int, samples: Samples) -> Samples:
    """Return the samples after so many frames of silence."""
    import numpy as np  # an adapter is imported long before it speaks

    sounded = np.clip(np.asarray(samples, np.float32), -1, 1)
    return np.concatenate([np.zeros(silence, np.float32), sounded]) if silence else sounded


def _words(
    kokoro: _Kokoro, sentence: Segment, timings: Sequence[_Timing], tongue: Tongue, start: float
) -> tuple[EngineWord, ...]:
    """Return the sentence's words, in the whole text and its audio; none where none are told."""
    sounds = [
        TimedPhoneme(one.phoneme, round(one.start * SAMPLE_RATE), round(one.end * SAMPLE_RATE))
        for one in timings
    ]
    words = time_words(
        sentence.text,
        sounds,
        sample_rate=SAMPLE_RATE,
        phonemize=lambda word: kokoro.tokenizer.phonemize(word, tongue.espeak),
    )
    return tuple(
        EngineWord(
            word.start + start,
            word.end + start,
            (word.span[0] + sentence.start, word.span[1] + sentence.start),
        )
        for word in words
    )
