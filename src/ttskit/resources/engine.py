"""The contract of a local engine: blocking code behind plain values.

An engine is written once and hosted anywhere: in a thread of this process, or in a worker process
that receives the same jobs over a pipe. So everything that crosses its border is plain data.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from ttskit.errors import UnsupportedFeatureError

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples
    from ttskit.voices import Voice

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True)
class EngineJob:
    """What an engine is to say. Every field survives a trip through JSON."""

    text: str
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    pitch: float = 0.0
    """Semitones."""
    volume: float = 0.0
    """dB."""
    seed: int | None = None
    want_words: bool = False
    is_ssml: bool = False
    """``text`` is a whole SSML document."""
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    lane: str | None = None
    """Jobs of the same lane run one after the other, in the order they came."""
    is_live: bool = False
    """Sound is heard as it comes: a small first piece is worth what it costs."""
    reference: str | None = None
    """Path of a normalised WAV file: the sample of a voice to speak like."""
    request_id: str = ""
    """ttskit's own id of the request, for logs."""
    relieve: bool = True
    """Where memory runs out, what can be done where the engine runs is done; else it was before."""
    recording: str | None = None
    """Path of a normalised WAV file: what is to be said in another voice, in place of ``text``."""


@dataclass(frozen=True, slots=True)
class EngineWord:
    """A word of the job's text with its times in seconds from the start of the job's audio."""

    start: float
    end: float
    span: tuple[int, int]
    """Characters of the job's ``text``."""


@dataclass(frozen=True, slots=True)
class EngineChunk:
    """Audio as the engine makes it: float32, shape (frames,), mono."""

    samples: Samples
    sample_rate: int
    words: tuple[EngineWord, ...] = ()


class Engine(ABC):
    """A speech engine that blocks. One instance is loaded once and serves many jobs.

    Constructors take plain keyword values only and do nothing heavy: ``load`` does the work, in
    the thread or process that will run the engine.
    """

    concurrent: ClassVar[bool] = False
    """Whether several threads may call ``synthesize`` on one instance at the same time."""
    together: int = 1
    """Jobs at a time that a worker process gives it, because it makes them in batches faster than
    one by one. Set by ``load``, which knows the device."""
    stop_s: ClassVar[float] = 2.0
    """Seconds within which a job that was told to stop has ended. A worker process whose engine
    takes longer is killed and replaced, so say more where one step of the model takes more."""

    @abstractmethod
    def load(self) -> None:
        """Load libraries and weights.

        Raises:
            DependencyMissingError: A package is not installed.
            ModelLoadError: The weights cannot be read.
        """

    @abstractmethod
    def voices(self) -> list[Voice]:
        """Return the voices that can speak now, the default one first.

        May be called before ``load`` and while jobs run; ``provider`` may be left empty.
        """

    @abstractmethod
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        """Yield the job's audio as it is made, and end early once ``stop`` is set.

        Raises:
            GenerationError: The engine failed.
        """

    def convert(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        """Yield the job's ``recording`` in another voice, and end early once ``stop`` is set.

        Raises:
            UnsupportedFeatureError: The engine converts no voices.
            GenerationError: It failed.
        """
        del job, stop
        raise UnsupportedFeatureError("the engine converts no voices")

    def work(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        """Yield what a job asks for: what hosts call."""
        return (self.synthesize if job.recording is None else self.convert)(job, stop)

    def clear_caches(self) -> None:  # noqa: B027 - most engines keep nothing
        """Give back memory that is kept only to be faster.

        Called when memory ran out, between two tries. What torch keeps of a GPU is given back
        without it.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Let go of what ``load`` took."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an engine is made: here, or in a worker process, which gets it as plain data.

    A worker process finds the class by its module and name, so it must be importable there: not
    defined in a function, nor in the script that is run.
    """

    engine: Callable[..., Engine]
    """A class; anything else that makes an engine serves threads only."""
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)
    """Keyword arguments of the constructor."""
    on_cpu: Mapping[str, JsonValue] | None = None
    """What is other among the arguments where a GPU has no memory left; None: it needs none."""
    python: str | None = None
    """Another interpreter to run the engine, with ttskit and all it needs; None: this one."""

    def make(self) -> Engine:
        """Return a new engine, not loaded."""
        return self.engine(**self.arguments)
