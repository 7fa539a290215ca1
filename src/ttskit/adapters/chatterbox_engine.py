"""The engine behind the adapter ``chatterbox``: one model, loaded once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.adapters.chatterbox_files import find_files
from ttskit.adapters.chatterbox_kinds import BUILT_IN, KINDS, LANGUAGES
from ttskit.adapters.options import voice_not_found
from ttskit.errors import (
    DependencyMissingError,
    InvalidParameterError,
    ModelLoadError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.languages import nearest
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, JsonValue
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.adapters.chatterbox_model import ChatterboxModel

SAMPLE_RATE = 24_000
"""Hz, of all its models. Source: chatterbox-tts 0.1.7, ``S3GEN_SR``."""
DEFAULT = "default"
"""The voice that comes with a model."""
_OTHER_NAMES = {"nn": "no"}
"""Of languages that the model reads as a kindred one."""


class ChatterboxEngine(Engine):
    """One model of Chatterbox.

    Args:
        kind: ``english``, ``multilingual`` or ``turbo``.
        model: A folder with its files; None: the hub's.
        language: Of the multilingual model, where a job names none.
        device: ``auto``, ``cpu``, ``cuda:N`` or ``mps``.
        seed: Where a job brings none.
        downloads: Files that are not on disk may be fetched.
        defaults: Call options where a job does not set them.
    """

    stop_s = 15.0  # a step of the decoder on a slow CPU takes seconds

    def __init__(  # noqa: PLR0913 - the plain, keyword-only settings of one engine
        self,
        *,
        kind: str = "english",
        model: str | None = None,
        language: str = "en",
        device: str = "auto",
        seed: int | None = None,
        downloads: bool = False,
        defaults: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self._kind = KINDS[kind]
        self._folder = None if model is None else Path(model)
        self._language = language
        self._device = device
        self._seed = seed
        self._downloads = downloads
        self._defaults = defaults or {}
        self._model: ChatterboxModel | None = None

    @override
    def load(self) -> None:
        self._loaded()

    @override
    def voices(self) -> list[Voice]:
        if self._folder is not None and not (self._folder / BUILT_IN).is_file():
            return []  # it speaks like a sample only
        languages = tuple(sorted(self._kind.languages))
        return [Voice(DEFAULT, "", "Default", languages, sample_rate=SAMPLE_RATE)]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        settings = self._settings(job)
        language = self._language_of(job)
        self._check_voice(job)
        seed = self._seed if job.seed is None else job.seed
        said = self._loaded().speak(
            job.text,
            language=language,
            settings=settings,
            reference=job.reference,
            seed=seed,
            stop=stop,
        )
        if said is not None:
            yield EngineChunk(said, SAMPLE_RATE)

    @override
    def convert(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        assert job.recording is not None  # noqa: S101 - hosts see to it
        if job.options:
            raise InvalidParameterError("a conversion has no settings")
        self._check_voice(job)
        said = self._loaded().convert(
            job.recording, reference=job.reference, seed=self._seed, stop=stop
        )
        for samples in said:
            yield EngineChunk(samples, SAMPLE_RATE)

    @override
    def clear_caches(self) -> None:
        if self._model is not None:
            self._model.clear_caches()

    @override
    def close(self) -> None:
        self._model = None

    def _loaded(self) -> ChatterboxModel:
        if self._model is None:
            with importing():
                files = find_files(self._kind, self._folder, downloads=self._downloads)
                from ttskit.adapters.chatterbox_loading import load_model
            self._model = load_model(
                self._kind, files, device=self._device, downloads=self._downloads
            )
        return self._model

    def _settings(self, job: EngineJob) -> dict[str, float]:
        both = {**self._defaults, **job.options}
        chosen = {name: value for name, value in both.items() if isinstance(value, int | float)}
        for name in chosen:
            if name not in self._kind.settings:
                raise InvalidParameterError(f"a model of this kind knows no {name}")
        return chosen

    def _language_of(self, job: EngineJob) -> str | None:
        """Return what the model calls the job's language; None: it knows one only."""
        if self._kind.languages is not LANGUAGES:
            return None
        primary = (job.language or self._language).partition("-")[0].lower()
        language = nearest(_OTHER_NAMES.get(primary, primary), LANGUAGES)
        if language is None:
            known = " ".join(sorted(LANGUAGES))
            raise UnsupportedLanguageError(f"Chatterbox speaks {known}, not {primary[:20]!r}")
        return language

    def _check_voice(self, job: EngineJob) -> None:
        if job.reference is not None:
            return
        known = [voice.id for voice in self.voices()]
        if job.voice is not None and job.voice not in known:
            raise voice_not_found(job.voice, known)
        if not known:
            raise VoiceNotFoundError(
                f"the model's folder has no voice, {BUILT_IN}: bring a sample as reference"
            )


@contextmanager
def importing() -> Iterator[None]:
    """Say what is to be done where Chatterbox cannot be imported.

    Raises:
        DependencyMissingError: A package is missing, or does not fit the others.
    """
    try:
        yield
    except ImportError as error:
        what = f"the package {error.name!r}" if error.name else "other packages than those here"
        raise DependencyMissingError(
            f"Chatterbox needs {what} in the environment of {sys.executable}; "
            'run there: pip install "ttskit[chatterbox]"'
        ) from error
    except OSError as error:
        raise ModelLoadError(
            "torchaudio was built for another torch than the one installed; install the pair "
            "from the same index, as pytorch.org says"
        ) from error
