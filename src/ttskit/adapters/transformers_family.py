"""What the engine asks of a family of models, and what a family is given to say."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from ttskit.adapters.options import CallOptions, voice_not_found
from ttskit.adapters.transformers_checkpoint import Checkpoint
from ttskit.errors import InvalidParameterError
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

Torch = Any
"""Tensors, modules and processors: neither torch nor transformers is imported to check types."""

_SPEAKER = re.compile(r"\[S(\d{1,2})\]\s*")
_Tokens = Annotated[int, Field(ge=1, le=100_000)]


class TransformersCallOptions(CallOptions):
    """What one request may set; None leaves it to tts.yaml, and then to the checkpoint."""

    noise_scale: Annotated[float, Field(ge=0, le=10)] | None = None
    """VITS: variation of the sound."""
    noise_scale_duration: Annotated[float, Field(ge=0, le=10)] | None = None
    """VITS: variation of the rhythm."""
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """SpeechT5: how sure it must be that it is at the end."""
    max_length_ratio: Annotated[float, Field(gt=0, le=100)] | None = None
    """SpeechT5: spectrogram frames for each letter at most."""
    temperature: Annotated[float, Field(gt=0, le=10)] | None = None
    """Bark, Dia, CSM, Higgs Audio, Pocket TTS: variation; small is steady."""
    top_k: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Bark, Dia, CSM, Higgs Audio: only so many likely tokens are drawn from."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Bark, Dia, CSM, Higgs Audio: only tokens that together are so likely."""
    guidance_scale: Annotated[float, Field(ge=1, le=20)] | None = None
    """Dia, VibeVoice: how closely it keeps to the text."""
    max_new_tokens: _Tokens | None = None
    """Bark, Dia, CSM, Higgs Audio, VibeVoice: steps at most; speech that is longer is cut off."""
    diffusion_steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    """VibeVoice: more are slower and finer."""
    flow_steps: Annotated[int, Field(ge=1, le=100)] | None = None
    """Pocket TTS: more are slower and finer."""
    eos_threshold: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Pocket TTS: how sure it must be that it is at the end."""
    system: Annotated[str, Field(max_length=4000)] | None = None
    """Higgs Audio: what it is told to do."""
    scene: Annotated[str, Field(max_length=4000)] | None = None
    """Higgs Audio: where it is heard, and who the speakers are."""
    reference_text: Annotated[str, Field(min_length=1, max_length=4000)] | None = None
    """Dia, CSM, Higgs Audio: what is said in the sample of a voice to clone."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says before the next one does."""

    speaker: int
    """1 and up."""
    text: str


@dataclass(frozen=True, slots=True)
class Script:
    """All that a family needs to know to say something."""

    text: str
    voice: str
    """One of its voices' ids."""
    settings: TransformersCallOptions
    speed: float = 1.0
    sample: Path | None = None
    """A recording of the voice to speak with."""

    def turns(self) -> list[Turn]:
        """Return the text by speakers; ``[S2]`` in it gives the second one the word."""
        number = re.fullmatch(r"S(\d{1,2})", self.voice)
        before, *pairs = _SPEAKER.split(self.text)
        speakers = [int(number[1]) if number else 1, *map(int, pairs[::2])]
        texts = [before.strip(), *(text.strip() for text in pairs[1::2])]
        spoken = zip(speakers, texts, strict=True)
        return [Turn(speaker, text) for speaker, text in spoken if text]


class Stopped(Exception):  # noqa: N818 - no error: the listener has left
    """Ends a generation from within."""


class Watch:
    """Ends what a model is at when its job is stopped: asked before each of its steps."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def follow(self, stop: threading.Event) -> None:
        """Take the stop of the job that runs from here on; a model does one at a time."""
        self._stop = stop

    def over(self, module: Torch) -> None:
        """Ask before each call of a torch module. A stopping criterion is not heeded by all."""
        module.register_forward_pre_hook(self._ask)

    def _ask(self, *_: object) -> None:
        if self._stop.is_set():
            raise Stopped


class Family(ABC):
    """Models of one kind: how they are loaded, who speaks and how speech is made.

    Args:
        checkpoint: Where the files are and how they are to be loaded.
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    """Names of ``TransformersCallOptions`` that it heeds."""
    speed: ClassVar[bool] = False
    clones: ClassVar[bool] = False
    speakers: ClassVar[int] = 0
    """That take turns within one text; 0: it has no such markup."""
    halves: ClassVar[bool] = True
    """Works in half precision."""
    max_characters: ClassVar[int | None] = None
    """Of one utterance; the rest would be cut off without a word."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.sample_rate = 0
        """Hz, once it is loaded."""

    @abstractmethod
    def load(self, watch: Watch) -> None:
        """Load the weights; ``watch`` is to be asked at each step of a generation."""

    def voices(self) -> list[Voice]:
        """Return who can speak, by the files alone; the order is that of preference."""
        samples = [described(name, "a recording") for name in self.checkpoint.samples()]
        numbers = range(1, self.speakers + 1)
        return [*samples, *(described(f"S{number}", "of the model's own") for number in numbers)]

    @abstractmethod
    def generate(self, script: Script) -> Iterator[Torch]:
        """Yield the speech in pieces, each a tensor of samples, made when it is asked for."""

    def check(self, script: Script) -> None:  # noqa: B027 - most say whatever there is
        """Raise where the script cannot be said; the engine has seen to voice and settings."""

    def _too_many(self, turns: Iterable[Turn]) -> None:
        """Raise where somebody has a word who is not there."""
        highest = max((turn.speaker for turn in turns), default=1)
        lowest = min((turn.speaker for turn in turns), default=1)
        if not 1 <= lowest <= highest <= self.speakers:
            known = [f"S{number}" for number in range(1, self.speakers + 1)]
            raise voice_not_found(f"S{highest if lowest else lowest}", known)


def described(name: str, description: str, *languages: str) -> Voice:
    """Return a voice of the family; the engine adds what tts.yaml says."""
    return Voice(name, "", name, languages=languages, description=description)


def needs_transcript(script: Script) -> str | None:
    """Return what is said in the voice's sample; None where there is no sample.

    Raises:
        InvalidParameterError: There is one, and nobody told what it says.
    """
    if script.sample is None:
        return None
    if script.settings.reference_text:
        return script.settings.reference_text
    beside = script.sample.with_suffix(".txt")
    if beside.is_file():
        return beside.read_text("utf-8").strip()
    raise InvalidParameterError(
        "this model clones a voice from a sample and what is said in it: give 'reference_text'"
    )


def read_sample(path: Path, sample_rate: int) -> Samples:
    """Return a recording as mono at the rate a model takes."""
    import soundfile  # an adapter is imported long before it speaks

    from ttskit.codecs.resample import resample

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return resample(samples.mean(axis=1), source_rate=rate, target_rate=sample_rate)
