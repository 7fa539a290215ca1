"""Coqui's models, of whichever kind. Read: coqui-tts 0.28.0."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import (
    NATIVE,
    AdapterOptions,
    Capabilities,
    Requirement,
)
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_files import encoder_of, is_hub_name, kind_of, local_files
from ttskit.adapters.coqui_kinds import YOUR_TTS, hub_kind, narrowed
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.options import CallOptions
from ttskit.errors import ModelLoadError
from ttskit.resources.engine import Recipe

_Scale = Annotated[float, Field(gt=0, le=10)]
_Noise = Annotated[float, Field(ge=0, le=10)]
_Share = Annotated[float, Field(gt=0, le=1)]


class CoquiCallOptions(CallOptions):
    """What one request may set; None leaves it to tts.yaml, and then to the model.

    A model that knows nothing of a setting refuses it.
    """

    length_scale: _Scale | None = None
    """VITS, Glow-TTS, FastPitch: above 1 is slower; ``speed`` comes on top."""
    noise_scale: _Noise | None = None
    """VITS, Glow-TTS: variation of the sound; 0 with ``noise_scale_dp`` 0 repeats itself."""
    noise_scale_dp: _Noise | None = None
    """VITS: variation of the rhythm."""
    temperature: Annotated[float, Field(gt=0, le=5)] | None = None
    """XTTS, Tortoise: how freely it chooses."""
    top_k: Annotated[int, Field(ge=1, le=1000)] | None = None
    """XTTS: among how many sounds."""
    top_p: _Share | None = None
    """XTTS, Tortoise: among sounds that are together this likely."""
    repetition_penalty: Annotated[float, Field(ge=1, le=50)] | None = None
    """XTTS, Tortoise: against sounds that come again and again."""


class CoquiOptions(AdapterOptions):
    """The adapter's section of tts.yaml."""

    model: str
    """A path to weights or their folder, or a name of Coqui's list:
    ``tts_models/en/ljspeech/vits``."""
    config: Path | None = None
    """The model's settings; else ``config.json`` beside the weights."""
    vocoder: str | None = None
    """For a spectrogram model or kNN-VC: a path or a name; else the list's, or for the former
    Griffin and Lim's way."""
    vocoder_config: Path | None = None
    """Its settings; else ``config.json`` beside its weights."""
    voice: str | None = None
    """The default speaker of a model with several; else the first."""
    language: str | None = None
    """Of a model with several, where a request names none."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """``auto``: a GPU where there is one; ``cpu``, ``cuda:N`` or ``mps``."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """XTTS: of the weights of the network that chooses sounds; Tortoise: what it reckons in.
    ``auto``: float16 on a CUDA GPU, else float32. The other kinds work in float32."""
    runtime: Literal["auto", "torch", "onnx"] = "auto"
    """What runs a VITS network; ``auto``: onnxruntime on a CPU where the model can be exported."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads within one sentence; 1 gives the most speech for the processor's time."""
    batch: Annotated[int, Field(ge=1, le=64)] = 1
    """VITS by torch: sentences of requests at the same time that are read in one go. Faster on a
    GPU, and slower on a CPU (0.6 x)."""
    agree_to_licence: bool = False
    """You have read the licence of a model that wants to be agreed to, such as XTTS, and agree."""
    length_scale: _Scale | None = None
    noise_scale: _Noise | None = None
    noise_scale_dp: _Noise | None = None
    temperature: Annotated[float, Field(gt=0, le=5)] | None = None
    top_k: Annotated[int, Field(ge=1, le=1000)] | None = None
    top_p: _Share | None = None
    repetition_penalty: Annotated[float, Field(ge=1, le=50)] | None = None


class CoquiAdapter(LocalAdapter[CoquiOptions]):
    """One model of Coqui; what it can do is narrowed to its kind where that is known."""

    name = "coqui"
    capabilities = Capabilities(
        formats=("f32",),
        streaming=NATIVE,
        word_timestamps=NATIVE,
        speed=NATIVE,
        speed_range=(0.25, 1.9),
        seed=NATIVE,
        cloning=NATIVE,
        conversion=NATIVE,
    )
    requires = (
        Requirement("TTS", "coqui-tts", "coqui"),
        Requirement("torch", "torch", "coqui"),
        Requirement("torchaudio", "torchaudio", "coqui"),
    )
    call_model = CoquiCallOptions
    isolation = "process"  # torch and onnxruntime

    def __init__(self, options: CoquiOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        kind, clones = _kind(options)
        able, language = type(self).capabilities, options.language
        self.capabilities = narrowed(able, kind, clones=clones, language=language)

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        options = self.options
        return Recipe(
            CoquiEngine,
            {
                "model": options.model,
                "config": _text(options.config),
                "vocoder": options.vocoder,
                "vocoder_config": _text(options.vocoder_config),
                "voice": options.voice,
                "language": options.language,
                "device": options.device,
                "dtype": options.dtype,
                "runtime": options.runtime,
                "threads": options.threads,
                "batch": options.batch,
                "agree_to_licence": options.agree_to_licence,
                "downloads": downloads,
                "defaults": options.model_dump(
                    include=set(CoquiCallOptions.model_fields), exclude_none=True
                ),
            },
            on_cpu=None if options.device == "cpu" else {"device": "cpu", "dtype": "auto"},
        )


def _kind(options: CoquiOptions) -> tuple[str | None, bool]:
    """Return a model's kind, where it is known, and whether it has a network for samples."""
    if is_hub_name(options.model):
        return hub_kind(options.model), options.model.endswith(f"/{YOUR_TTS}")
    with suppress(ModelLoadError):  # whoever loads it will say so
        config = local_files(options.model, config=_text(options.config)).config
        return kind_of(config), encoder_of(config) is not None
    return None, False


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
