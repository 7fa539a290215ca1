"""The engine over the library: which family a checkpoint is of, its randomness and its failures."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.adapters.options import voice_not_found
from ttskit.adapters.transformers_checkpoint import Checkpoint, Hub, read_settings
from ttskit.adapters.transformers_dialogue import Csm, Dia, Higgs, VibeVoice
from ttskit.adapters.transformers_family import (
    Family,
    Script,
    Stopped,
    Torch,
    TransformersCallOptions,
    Watch,
)
from ttskit.adapters.transformers_pocket import Phonon, PocketTTS
from ttskit.adapters.transformers_single import Bark, SpeechT5, Vits
from ttskit.errors import (
    InvalidParameterError,
    ModelLoadError,
    TextTooLongError,
    UnsupportedFeatureError,
)
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, JsonValue
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

FAMILIES: dict[str, type[Family]] = {
    "bark": Bark,
    "csm": Csm,
    "dia": Dia,
    "gradium_phonon_tts": Phonon,
    "higgs_audio_v2": Higgs,
    "pocket_tts": PocketTTS,
    "speecht5": SpeechT5,
    "vibevoice": VibeVoice,
    "vits": Vits,
}
"""By ``model_type`` of a checkpoint's ``config.json``."""


class TransformersEngine(Engine):
    """One checkpoint of a text-to-speech model.

    Args:
        model: A directory, or a name on the hub.
        family: Its ``model_type``; None: as the checkpoint says.
        revision: Of the checkpoint on the hub.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        dtype: ``auto``, ``float32``, ``float16`` or ``bfloat16``.
        threads: Of torch, in the whole process; None: as it is.
        voice: The default one; None: the family's first.
        language: BCP 47, of all its voices; None: what the checkpoint's voices say.
        vocoder: SpeechT5's second half, a directory or a name on the hub.
        samples: A directory with recordings of voices, or with speakers' vectors.
        downloads: What is not on disk may be fetched.
        defaults: Settings where a job does not set them.
    """

    stop_s = 10.0
    """A step of a large model on a processor takes some, and to load it anew takes longer."""

    def __init__(  # noqa: PLR0913 - keyword-only, plain, for a worker process
        self,
        *,
        model: str,
        family: str | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        voice: str | None = None,
        language: str | None = None,
        vocoder: str = "",
        samples: str | None = None,
        downloads: bool = False,
        defaults: dict[str, JsonValue] | None = None,
    ) -> None:
        self._model = model
        self._kind = family
        self._revision = revision
        self._settings_of_checkpoint = {"device": device, "dtype": dtype, "vocoder": vocoder}
        self._threads = threads
        self._voice = voice
        self._language = language
        self._samples = Path(samples) if samples else None
        self._hub = Hub(downloads=downloads)
        self._defaults = TransformersCallOptions.model_validate(defaults or {})
        self._watch = Watch()
        self._lock = threading.Lock()
        self._family: Family | None = None
        self._is_loaded = False

    @override
    def load(self) -> None:
        family = self._found()
        self._check_settings(family, self._defaults)
        _quieten()
        if self._threads is not None:
            import torch  # optional, and slow to import

            torch.set_num_threads(self._threads)
        family.load(self._watch)
        self._is_loaded = True

    @override
    def voices(self) -> list[Voice]:
        voices = sorted(self._found().voices(), key=lambda voice: voice.id != self._voice)
        if self._language is None:
            return voices
        return [replace(voice, languages=(self._language,)) for voice in voices]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        if not self._is_loaded:
            self.load()
        family = self._found()
        script = self._script(family, job)
        seed = secrets.randbits(31) if job.seed is None else job.seed
        pieces = family.generate(script)
        for number in count():
            samples = self._piece(pieces, seed + number, stop)
            if samples is None or stop.is_set():
                return
            yield EngineChunk(samples, family.sample_rate)

    @override
    def close(self) -> None:
        self._family = None
        self._is_loaded = False

    def _found(self) -> Family:
        """Return the family, by the checkpoint's own settings; nothing heavy is loaded."""
        with self._lock:
            if self._family is None:
                self._family = self._find()
            return self._family

    def _find(self) -> Family:
        directory = self._hub.directory(self._model, revision=self._revision)
        config = read_settings(directory / "config.json")
        kind = str(config.get("model_type"))
        if self._kind not in {None, kind}:
            raise ModelLoadError(f"the checkpoint is of the family {kind}, not {self._kind}")
        if kind not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise ModelLoadError(f"no text-to-speech family {kind[:40]!r} here; there are {known}")
        return FAMILIES[kind](
            Checkpoint(
                directory, self._hub, recordings=self._samples, **self._settings_of_checkpoint
            )
        )

    def _script(self, family: Family, job: EngineJob) -> Script:
        """Return what is to be said and how.

        Raises:
            InvalidParameterError: This family does not take one of the settings.
            TextTooLongError: Its end would be cut off.
            UnsupportedFeatureError: The family has no speed, or clones no voices.
            VoiceNotFoundError: It has no such voice.
        """
        asked = TransformersCallOptions.model_validate(dict(job.options))
        self._check_settings(family, asked)
        if job.speed != 1 and not family.speed:
            raise UnsupportedFeatureError("this model has one speed only")
        if job.reference is not None and not family.clones:
            raise UnsupportedFeatureError("this model speaks like nobody else")
        if len(job.text) > (family.max_characters or len(job.text)):
            raise TextTooLongError(f"this model takes {family.max_characters} characters at a time")
        voice = self._voice_of(job)
        sample = family.checkpoint.samples().get(voice)
        script = Script(
            text=job.text,
            voice=voice,
            settings=self._defaults.model_copy(update=asked.model_dump(exclude_none=True)),
            speed=job.speed,
            sample=Path(job.reference) if job.reference is not None else sample,
        )
        family.check(script)
        return script

    def _voice_of(self, job: EngineJob) -> str:
        known = [voice.id for voice in self.voices()]
        wanted = job.voice or self._voice
        if wanted in known:
            return wanted
        if wanted is None and (known or job.reference is not None):
            return known[0] if known else ""
        why = "" if known else ": none is there, set samples to a directory of them"
        raise voice_not_found(wanted or "default", known, why=why)

    @staticmethod
    def _check_settings(family: Family, settings: TransformersCallOptions) -> None:
        for name in settings.model_dump(exclude_none=True):
            if name not in family.takes:
                takes = ", ".join(sorted(family.takes))
                raise InvalidParameterError(f"this model has no {name!r}; it takes {takes}")

    def _piece(self, pieces: Iterator[Torch], seed: int, stop: threading.Event) -> Samples | None:
        """Return the next piece of speech; None where there is none, or nobody listens."""
        import torch  # optional, and slow to import

        from ttskit.adapters.torch_seed import Dice  # it imports torch

        self._watch.follow(stop)
        try:
            with torch.inference_mode(), Dice(seed, torch.device("cpu")):
                piece = next(pieces, None)
        except Stopped:
            return None
        return None if piece is None else _samples(piece)


def _samples(piece: Torch) -> Samples:
    """Return a tensor as samples in [-1, 1]."""
    samples: Samples = piece.detach().float().cpu().reshape(-1).clamp(-1, 1).numpy()
    return samples


def _quieten() -> None:
    """Keep the library's bars and warnings, which may quote a text, from the terminal."""
    from transformers.utils import logging  # optional, and slow to import

    logging.set_verbosity_error()
    logging.disable_progress_bar()
