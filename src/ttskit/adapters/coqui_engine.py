"""The engine behind the adapter ``coqui``: one model, loaded once, whatever its kind."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from typing_extensions import override

from ttskit.adapters.coqui_files import (
    FAIRSEQ,
    TORTOISE,
    CoquiFiles,
    is_hub_name,
    kind_of,
    local_files,
)
from ttskit.adapters.coqui_kinds import CONVERTERS, REFUSED, SPECTROGRAM, VITS, XTTS, hub_kind
from ttskit.errors import (
    ConfigurationError,
    DependencyMissingError,
    InvalidParameterError,
    ModelLoadError,
    UnsupportedFeatureError,
)
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, JsonValue
from ttskit.voices import Voice


@dataclass(frozen=True, slots=True)
class CoquiSettings:
    """How a model is to be run."""

    voice: str | None = None
    language: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    runtime: str = "auto"
    threads: int = 1
    batch: int = 1
    defaults: Mapping[str, JsonValue] = field(default_factory=dict)
    """Call options where a job does not set them."""
    downloads: bool = False
    """``load`` may fetch what a model needs besides its own files."""


class CoquiModel(ABC):
    """A model of some kind, in memory or about to be."""

    together: int = 1
    """Jobs at a time that it reads in one go; known once it is loaded."""

    @abstractmethod
    def voices(self) -> list[Voice]:
        """Return who can speak, the default one first; works before ``load``."""

    @abstractmethod
    def load(self) -> None:
        """Bring the weights into memory."""

    @abstractmethod
    def speak(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        """Yield the job's audio as it is made."""

    def convert(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        """Yield the job's recording in the voice of its sample.

        Raises:
            UnsupportedFeatureError: It speaks, and converts no voices.
        """
        del job, stop
        raise UnsupportedFeatureError("this model converts no voices")


def call_options(
    job: EngineJob, defaults: Mapping[str, JsonValue], known: Sequence[str]
) -> dict[str, float]:
    """Return the job's own options over the configured ones; those left to the model are absent.

    Raises:
        InvalidParameterError: A model of this kind knows nothing of one.
    """
    both = {**defaults, **job.options}
    chosen = {name: float(value) for name, value in both.items() if isinstance(value, int | float)}
    for name in chosen:
        if name not in known:
            raise InvalidParameterError(f"a model of this kind knows no {name}")
    return chosen


class CoquiEngine(Engine):
    """One model of Coqui.

    Args:
        model: A path or a name of Coqui's list.
        config: The settings' path.
        vocoder: Path or name of what makes sound of spectrograms.
        vocoder_config: Its settings' path.
        voice: The default speaker.
        language: Where a job names none.
        device: ``auto``, ``cpu``, ``cuda:N`` or ``mps``.
        dtype: ``auto``, ``float32``, ``float16`` or ``bfloat16``.
        runtime: ``auto``, ``torch`` or ``onnx``.
        threads: Within one sentence; torch's number is the process's.
        batch: Sentences of several jobs that are read in one go, by torch.
        agree_to_licence: The user has agreed.
        downloads: A model that is not on disk may be fetched.
        defaults: Call options where a job does not set them.
    """

    stop_s = 5.0  # XTTS has a second of sound made in one step, which takes a CPU two

    def __init__(  # noqa: PLR0913 - the plain, keyword-only settings of one engine
        self,
        *,
        model: str,
        config: str | None = None,
        vocoder: str | None = None,
        vocoder_config: str | None = None,
        voice: str | None = None,
        language: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        runtime: str = "auto",
        threads: int = 1,
        batch: int = 1,
        agree_to_licence: bool = False,
        downloads: bool = False,
        defaults: dict[str, JsonValue] | None = None,
    ) -> None:
        self._place = (model, config, vocoder, vocoder_config)
        self._agrees = agree_to_licence
        self._downloads = downloads
        self._settings = CoquiSettings(
            voice, language, device, dtype, runtime, threads, batch, defaults or {}, downloads
        )
        self._made: CoquiModel | None = None
        self._making = threading.Lock()

    @override
    def load(self) -> None:
        model = self._model(downloads=self._downloads)
        model.load()
        self.together = model.together

    @override
    def voices(self) -> list[Voice]:
        return self._model(downloads=False).voices()

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        yield from self._model(downloads=self._downloads).speak(job, stop)

    @override
    def convert(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        yield from self._model(downloads=self._downloads).convert(job, stop)

    @override
    def close(self) -> None:
        self._made = None

    def _model(self, *, downloads: bool) -> CoquiModel:
        with self._making:
            if self._made is None:
                self._made = _made(self._files(downloads=downloads), self._settings)
            return self._made

    def _files(self, *, downloads: bool) -> CoquiFiles:
        model, config, vocoder, vocoder_config = self._place
        if is_hub_name(model):
            _check_runs(hub_kind(model))  # before gigabytes are fetched
            with importing():
                from ttskit.adapters.coqui_hub import hub_files

            return hub_files(model, vocoder=vocoder, downloads=downloads, agreed=self._agrees)
        return local_files(model, config=config, vocoder=vocoder, vocoder_config=vocoder_config)


def _made(files: CoquiFiles, settings: CoquiSettings) -> CoquiModel:
    """Return the model for its kind, not loaded yet."""
    kind = kind_of(files.config)
    made = _class_for(kind)
    if kind not in (XTTS, TORTOISE) and settings.dtype not in ("auto", "float32"):
        raise ModelLoadError(f"this model does not work in {settings.dtype}; use float32")
    return made(files, settings)


def _class_for(kind: str) -> Callable[[CoquiFiles, CoquiSettings], CoquiModel]:
    _check_runs(kind)
    # Each imports Coqui, which is optional and takes two seconds.
    with importing():
        if kind == VITS:
            from ttskit.adapters.coqui_vits_model import VitsModel

            return VitsModel
        if kind == FAIRSEQ:
            from ttskit.adapters.coqui_fairseq import FairseqModel

            return FairseqModel
        if kind in SPECTROGRAM:
            from ttskit.adapters.coqui_spectrogram import SpectrogramModel

            return SpectrogramModel
        if kind in CONVERTERS:
            from ttskit.adapters.coqui_conversion import ConversionModel

            return ConversionModel
        if kind == TORTOISE:
            from ttskit.adapters.coqui_tortoise import TortoiseModel

            return TortoiseModel
        if kind == XTTS:
            from ttskit.adapters.coqui_xtts import XttsModel

            return XttsModel
    raise ModelLoadError(f"a model of the kind {kind[:40]!r} cannot be run")


def _check_runs(kind: str | None) -> None:
    if kind in REFUSED:
        raise ConfigurationError(REFUSED[kind])


@contextmanager
def importing() -> Iterator[None]:
    """Say what is to be done where Coqui cannot be imported.

    Raises:
        DependencyMissingError: A package is missing, or does not fit the others.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise DependencyMissingError(
            f'Coqui needs the package {error.name!r}; run: pip install "ttskit[coqui]"'
        ) from error
    except ImportError as error:
        raise DependencyMissingError(
            'Coqui needs torch, torchaudio and torchcodec; run: pip install "ttskit[coqui]"'
        ) from error
    except OSError as error:
        raise DependencyMissingError(
            "torchaudio was built for another torch than the one installed; install the pair "
            "from the same index, as pytorch.org says"
        ) from error
