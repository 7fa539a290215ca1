"""Recordings said again in the voice of a sample, by Coqui's voice conversion models.

Imports Coqui: import it where it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
from typing_extensions import override

from ttskit.adapters.coqui_converters import load_converter
from ttskit.adapters.coqui_engine import CoquiModel
from ttskit.adapters.quiet_pieces import pieces
from ttskit.adapters.sample_voices import SampleVoices
from ttskit.adapters.torch_device import choose_device
from ttskit.codecs.resample import resample
from ttskit.errors import ModelLoadError, UnsupportedFeatureError
from ttskit.resources.engine import EngineChunk

if TYPE_CHECKING:
    from ttskit.adapters.coqui_converters import Converter
    from ttskit.adapters.coqui_engine import CoquiSettings
    from ttskit.adapters.coqui_files import CoquiFiles
    from ttskit.codecs.pcm import Samples
    from ttskit.resources.engine import EngineJob
    from ttskit.voices import Voice

SHORTEST_S, LONGEST_S = 5.0, 8.0
"""Of a piece that is converted at a time: memory grows with its square, and between pieces a job
can be stopped."""
_MARGIN_S = 0.25
"""What a piece hears of its neighbours, so that no seam is heard."""
_STEP_S = 0.02
_KEPT = 4
"""Voices that are kept once they were taken from their samples."""


class ConversionModel(CoquiModel):
    """A model that changes voices; it has none of its own and reads no text.

    Args:
        files: Of a kind in ``CONVERTERS``.
        settings: How to run it.
    """

    def __init__(self, files: CoquiFiles, settings: CoquiSettings) -> None:
        self._files = files
        self._settings = settings
        self._loaded: tuple[Converter, torch.device] | None = None
        self._targets = SampleVoices(self._target, most=_KEPT)

    @override
    def voices(self) -> list[Voice]:
        return []

    @override
    def load(self) -> None:
        torch.set_num_threads(self._settings.threads)
        device = choose_device(self._settings.device)
        self._targets.clear()
        downloads = self._settings.downloads
        self._loaded = load_converter(self._files, device, downloads=downloads), device

    @override
    def speak(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        del job, stop
        raise UnsupportedFeatureError("this model speaks no text; it converts recordings")

    @override
    def convert(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        if job.reference is None:
            raise UnsupportedFeatureError(
                "this model has no voice of its own; convert needs a reference"
            )
        if self._loaded is None or job.recording is None:
            raise ModelLoadError("the model is not loaded")
        converter, device = self._loaded
        heard = _read(job.recording, converter.rate_in)
        with torch.inference_mode():
            target = self._targets.voice(job.reference)
            source = converter.source(_tensor(heard, device))
        margin = round(_MARGIN_S * converter.rate_in)
        padded = np.pad(heard, margin)
        scale = converter.rate_out / converter.rate_in
        limits = {"shortest_s": SHORTEST_S, "longest_s": LONGEST_S, "step_s": _STEP_S}
        for start, end in pieces(heard, converter.rate_in, **limits):
            if stop.is_set():
                return
            with torch.inference_mode():
                piece = _tensor(padded[start : end + 2 * margin], device)
                made: Samples = converter.convert(piece, source, target).float().cpu().numpy()
            # Where pieces join is reckoned from the start, so that no time is lost or won.
            frames = round(end * scale) - round(start * scale)
            lead = round(margin * scale)
            samples = np.zeros(frames, np.float32)
            part = made[lead : lead + frames]
            samples[: len(part)] = np.clip(part, -1, 1)
            yield EngineChunk(samples, converter.rate_out)

    def _target(self, reference: str) -> torch.Tensor:
        """Return what the network knows a voice by."""
        assert self._loaded is not None  # noqa: S101 - ``convert`` sees to it
        converter, device = self._loaded
        return converter.target(_tensor(_read(reference, converter.rate_in), device))


def _read(path: str, sample_rate: int) -> Samples:
    samples, rate = soundfile.read(path, dtype="float32")
    return resample(samples, source_rate=rate, target_rate=sample_rate)


def _tensor(samples: Samples, device: torch.device) -> torch.Tensor:
    return torch.tensor(samples, device=device).unsqueeze(0)
