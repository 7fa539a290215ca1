"""A model of Chatterbox in memory: it speaks, converts, and keeps nothing of one job for the next.

Imports Chatterbox and torch: import it where it is used. Read: chatterbox-tts 0.1.7.
"""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import torch
from chatterbox.models.t3.inference import alignment_stream_analyzer
from chatterbox.vc import ChatterboxVC

from ttskit.adapters.quiet_pieces import pieces
from ttskit.adapters.sample_voices import SampleVoices
from ttskit.adapters.torch_seed import Dice
from ttskit.errors import GenerationError, InvalidVoiceReferenceError, TextTooLongError

if TYPE_CHECKING:
    from ttskit.adapters.chatterbox_kinds import Kind
    from ttskit.codecs.pcm import Samples

KEPT_REFERENCES = 32
"""Samples whose voice is not worked out again; each takes some 300 kB."""
LONGEST_S = 20.0
"""Of a piece of a recording: a decoder's memory grows with the square of the length."""
STEP_S = 0.04
"""Speech tokens are that long, and so are pieces a multiple of it: what is made keeps time."""
MOST_STEPS = 1_000
"""Speech tokens of one call, 40 s. Source: ``ChatterboxTTS.generate``, ``T3.inference_turbo``."""
SHORT = 150
"""Characters that nobody takes 40 s to say."""
_LEAST_GUIDANCE = 1e-6
"""For none at all: the English model doubles its batch only where there is some, and then fails.
What this much changes is below a float's resolution."""
_SPIES = alignment_stream_analyzer.__name__


class ChatterboxModel:
    """One loaded model.

    Args:
        kind: Which.
        loaded: An instance of its class. Its voice is taken from it, and lent to it for each job.
    """

    def __init__(self, kind: Kind, loaded: Any) -> None:  # noqa: ANN401 - one of three, untyped
        self._kind = kind
        self._loaded = loaded
        self._built_in, loaded.conds = loaded.conds, None
        self._references = SampleVoices(self._of_reference, most=KEPT_REFERENCES)
        self._converter: Any = None

    def speak(
        self,
        text: str,
        *,
        language: str | None,
        settings: Mapping[str, float],
        reference: str | None,
        seed: int | None,
        stop: threading.Event,
    ) -> Samples | None:
        """Return the speech at 24 kHz; None where it was stopped.

        Args:
            text: Not blank.
            language: As the model calls it; None: it knows one.
            settings: For ``generate``, where the model's own are not to do.
            reference: A sample's WAV file, named by its content; None: the model's own voice.
            seed: Repeats what was drawn.
            stop: Looked at in every step.

        Raises:
            InvalidVoiceReferenceError: The sample is too short.
            TextTooLongError: It is more than one call can say.
            GenerationError: It would not end.
        """
        given: dict[str, float | str] = dict(settings)
        if "cfg_weight" in settings:
            given["cfg_weight"] = max(settings["cfg_weight"], _LEAST_GUIDANCE)
        if language is not None:
            given["language_id"] = language
        model = self._loaded
        try:
            with torch.inference_mode(), self._watching(stop) as watch, self._dice(seed):
                model.conds = self._voice(reference)
                sound = model.generate(text, **given)
        except _Stopped:
            return None
        finally:
            model.conds = None
            self._dismiss_spies()
        if watch.steps > MOST_STEPS:
            raise _endless(text)
        return _samples(sound)

    def convert(
        self, recording: str, *, reference: str | None, seed: int | None, stop: threading.Event
    ) -> Iterator[Samples]:
        """Yield the recording in another voice at 24 kHz, piece by piece; it keeps its time.

        Args:
            recording: A WAV file, mono.
            reference: As for ``speak``.
            seed: Repeats what was drawn.
            stop: Looked at in every step.

        Raises:
            InvalidVoiceReferenceError: The sample is too short.
        """
        samples, rate = soundfile.read(recording, dtype="float32")
        limits = {"shortest_s": LONGEST_S / 2, "longest_s": LONGEST_S, "step_s": STEP_S}
        for start, end in pieces(samples, rate, **limits):
            piece = samples[start:end]
            try:
                with torch.inference_mode(), self._watching(stop), self._dice(seed):
                    sound = _samples(self._converted(piece, rate, reference))
            except _Stopped:
                return
            yield _fitted(sound, round(len(piece) * self._loaded.sr / rate))

    def clear_caches(self) -> None:
        """Forget the voices of samples."""
        self._references.clear()

    def _converted(self, piece: Samples, rate: int, reference: str | None) -> torch.Tensor:
        model = self._loaded
        if self._converter is None:
            self._converter = ChatterboxVC(model.s3gen, model.device)
        file = io.BytesIO()
        soundfile.write(file, piece, rate, format="WAV", subtype="FLOAT")
        file.seek(0)
        try:
            self._converter.ref_dict = self._voice(reference).gen
            return self._converter.generate(file)
        finally:
            self._converter.ref_dict = None

    def _voice(self, reference: str | None) -> Any:  # noqa: ANN401 - Conditionals, untyped
        """Return a voice for one job: what that writes into it is not in the next one's."""
        kept = self._built_in if reference is None else self._references.voice(reference)
        return type(kept)(copy.copy(kept.t3), dict(kept.gen))

    def _of_reference(self, reference: str) -> Any:  # noqa: ANN401 - Conditionals, untyped
        seconds = soundfile.info(reference).duration
        if seconds <= self._kind.shortest_reference_s:
            raise InvalidVoiceReferenceError(
                f"the sample of the voice lasts {seconds:.1f} s: this model needs more than "
                f"{self._kind.shortest_reference_s:g} s"
            )
        self._loaded.prepare_conditionals(reference)
        found, self._loaded.conds = self._loaded.conds, None
        return found

    @contextmanager
    def _watching(self, stop: threading.Event) -> Iterator[_Watch]:
        """Count the steps in which speech is chosen, and leave at any step once ``stop`` is set."""
        watch = _Watch(stop)
        model = self._loaded
        decoding = model.s3gen.flow.decoder.estimator.time_mlp  # once in each of its steps
        hooks = [
            model.t3.tfmr.register_forward_pre_hook(watch.step),
            decoding.register_forward_pre_hook(watch.look),
        ]
        try:
            yield watch
        finally:
            for hook in hooks:
                hook.remove()

    def _dismiss_spies(self) -> None:
        """Take away what the multilingual model hangs on its layers in each call, and leaves."""
        for layer in getattr(self._loaded.t3.tfmr, "layers", ()):
            hooks = layer.self_attn._forward_hooks  # noqa: SLF001 - its handles are thrown away
            for key in [key for key, hook in hooks.items() if hook.__module__ == _SPIES]:
                del hooks[key]

    def _dice(self, seed: int | None) -> AbstractContextManager[object]:
        return nullcontext() if seed is None else Dice(seed, torch.device(self._loaded.device))


class _Stopped(Exception):  # noqa: N818 - no error
    """Nobody listens any more."""


class _Watch:
    """Stands at the model's steps."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.steps = 0

    def step(self, *_: object) -> None:
        self.steps += 1
        self.look()

    def look(self, *_: object) -> None:
        if self._stop.is_set():
            raise _Stopped


def _endless(text: str) -> GenerationError | TextTooLongError:
    if len(text) > SHORT:
        return TextTooLongError("the text is more than the model can say in 40 s")
    return GenerationError("the model did not come to the end of a short text within 40 s")


def _samples(sound: torch.Tensor) -> Samples:
    samples: Samples = sound.flatten().float().cpu().numpy()
    return samples


def _fitted(samples: Samples, frames: int) -> Samples:
    """Return so many frames, silence for what is missing."""
    return np.pad(samples[:frames], (0, max(0, frames - len(samples))))
