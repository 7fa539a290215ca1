"""What can be set for ElevenLabs, in tts.yaml and for one request.

Source: ElevenLabs API reference, text to speech; Python SDK 2.78.0, ``types/*output_format.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ttskit.adapters.cloud import ApiKey, BaseURL
from ttskit.adapters.options import CallOptions
from ttskit.adapters.streamed import StreamedOptions

DEFAULT_VOICE = "JBFqnCBsd6RMkjVDRZzb"
"""George, the voice of ElevenLabs' own examples."""

Format = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_32000", "pcm_44100", "pcm_48000",
    "mp3_22050_32", "mp3_24000_48", "mp3_44100_32", "mp3_44100_64", "mp3_44100_96",
    "mp3_44100_128", "mp3_44100_192",
    "opus_48000_32", "opus_48000_64", "opus_48000_96", "opus_48000_128", "opus_48000_192",
    "wav_8000", "wav_16000", "wav_22050", "wav_24000", "wav_32000", "wav_44100", "wav_48000",
    "ulaw_8000", "alaw_8000",
]  # fmt: skip
"""Codec, Hz and kbit/s."""
RAW = frozenset({"pcm", "mulaw", "alaw"})
"""Formats without a header."""
_VOICE_SETTINGS = {"stability", "similarity_boost", "style", "use_speaker_boost", "clone_strength"}
_IN_QUERY = {"enable_logging", "optimize_streaming_latency"}

Part = Annotated[float, Field(ge=0, le=1)]
RequestIds = Annotated[tuple[str, ...], Field(max_length=3)]


class Dictionary(BaseModel):
    """A pronunciation dictionary of the account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pronunciation_dictionary_id: str = Field(min_length=1)
    version_id: str | None = Field(default=None, description="None: the latest.")


class Effects(BaseModel):
    """What is done to the finished speech."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter_preset_id: str | None = Field(default=None, description="Such as `phone`.")
    distance: Part | None = Field(default=None, description="0 close, 1 far.")
    environment_id: str | None = Field(default=None, description="A room's reverb.")
    background_noise_id: str | None = Field(default=None, description="Such as `cafe`.")
    send_level: Part | None = Field(default=None, description="How much goes into the reverb.")
    pan: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        default=None, description="-1 left, 1 right."
    )

    @property
    def is_stereo(self) -> bool:
        """Whether the result has two channels, for which raw formats are refused."""
        has_reverb = self.environment_id is not None and self.send_level != 0
        return has_reverb or bool(self.pan)


class Knobs(BaseModel):
    """What both a section of tts.yaml and one request may set; what is not set is not sent."""

    stability: Part | None = Field(
        default=None, description="Low: more expression. `eleven_v3` has 0, 0.5 and 1 only."
    )
    similarity_boost: Part | None = Field(
        default=None, description="How close it keeps to the original speaker."
    )
    style: Part | None = Field(default=None, description="Exaggeration of the speaker's style.")
    use_speaker_boost: bool | None = Field(
        default=None, description="More like the speaker, and slower to come."
    )
    clone_strength: Part | None = Field(
        default=None, description="Professional clones on v4 models: closeness to the samples."
    )
    apply_text_normalization: Literal["auto", "on", "off"] | None = Field(
        default=None, description="Whether numbers and the like are spelt out."
    )
    apply_language_text_normalization: bool | None = Field(
        default=None, description="The same for Japanese; slow."
    )
    use_pvc_as_ivc: bool | None = Field(
        default=None, description="The instant version of a professional clone: sooner there."
    )
    pronunciation_dictionary_locators: (
        Annotated[tuple[Dictionary, ...], Field(max_length=3)] | None
    ) = Field(
        default=None,
        description="Up to 3 dictionaries of the account: `pronunciation_dictionary_id` and, "
        "for other than the latest, `version_id`.",
    )
    audio_effects: Effects | None = Field(
        default=None,
        description="`filter_preset_id`, `distance`, `environment_id`, `background_noise_id`, "
        "`send_level`, `pan`.",
    )
    enable_logging: bool | None = Field(
        default=None, description="false: nothing is kept of the text (enterprise accounts)."
    )
    optimize_streaming_latency: Annotated[int, Field(ge=0, le=4)] | None = Field(
        default=None, description="Deprecated by ElevenLabs. Higher: sooner there, worse."
    )

    def voice_settings(self) -> dict[str, object]:
        """Return what was set of the voice, as JSON."""
        return self.model_dump(include=_VOICE_SETTINGS, exclude_none=True)

    def members(self) -> dict[str, object]:
        """Return what else of the body was set, as JSON."""
        others = set(Knobs.model_fields) - _VOICE_SETTINGS - _IN_QUERY
        return self.model_dump(mode="json", include=others, exclude_none=True)


class ElevenLabsOptions(StreamedOptions, Knobs):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(
        default="https://api.elevenlabs.io",
        description="Or `https://api.us.elevenlabs.io`, "
        "`https://api.eu.residency.elevenlabs.io` (`in`, `sg`).",
    )
    api_key: ApiKey = Field(description="Of your account; customarily in `ELEVENLABS_API_KEY`.")
    model: str | None = Field(
        default=None,
        min_length=1,
        description="Where none is asked for; None: ElevenLabs' own, `eleven_multilingual_v2`.",
    )
    voice: str = Field(
        default=DEFAULT_VOICE, min_length=1, description="The id where no voice is asked for."
    )
    format: Format = Field(
        default="pcm_24000",
        description="What ElevenLabs sends: codec, Hz, kbit/s. Some need a higher plan.",
    )
    max_characters: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Of one request, where it is not the model's known limit."
    )
    websocket: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="`auto`: streams of models that are made for agents go over a socket that "
        "stays open, and all else over HTTP.",
    )
    usd_per_million_credits: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="What your plan pays, to count costs by the credits that were really billed.",
    )

    @model_validator(mode="after")
    def _stereo_needs_a_container(self) -> Self:
        is_stereo = self.audio_effects is not None and self.audio_effects.is_stereo
        if is_stereo and self.codec in RAW:
            raise ValueError("audio_effects with reverb or pan need an mp3, opus or wav format")
        return self

    @property
    def codec(self) -> str:
        """What ttskit calls the format."""
        codec = self.format.partition("_")[0]
        return "mulaw" if codec == "ulaw" else codec

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.format.split("_")[1])


class ElevenLabsCallOptions(CallOptions, Knobs):
    """What one request may set, as ``provider_options={"elevenlabs": {...}}``."""

    previous_request_ids: RequestIds | None = Field(
        default=None, description="Of up to 3 earlier requests that this one goes on from."
    )
    next_request_ids: RequestIds | None = Field(
        default=None, description="Of up to 3 requests that come after this one."
    )
