"""What can be set for Polly, in tts.yaml and for one request.

Source: botocore 1.44.5, service model polly 2016-06-10.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from ttskit.adapters.cloud import ApiKey, BaseURL, CloudOptions
from ttskit.adapters.options import CallOptions
from ttskit.adapters.polly_signer import REGION
from ttskit.adapters.polly_voices import Engine
from ttskit.resources.http.address import Address

DEFAULT_VOICE = "Joanna"

Format = Literal["pcm", "mp3", "ogg", "opus", "mulaw", "alaw"]
Lexicons = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,20}$")], ...], Field(max_length=5)
]

FORMATS: Mapping[Format, str] = MappingProxyType(
    {
        "pcm": "pcm",
        "mp3": "mp3",
        "ogg": "ogg_vorbis",
        "opus": "ogg_opus",
        "mulaw": "mulaw",
        "alaw": "alaw",
    }
)
_WIDE = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
_SAMPLE_RATES: Mapping[Format, tuple[int, ...]] = MappingProxyType(
    {
        "pcm": (8_000, 16_000),
        "mp3": _WIDE,
        "ogg": _WIDE,
        "opus": (48_000,),
        "mulaw": (8_000,),
        "alaw": (8_000,),
    }
)


class PollyOptions(CloudOptions):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(default="", description="None: the region's own.")
    region: Annotated[str, Field(pattern=rf"^{REGION.pattern}$")] | None = Field(
        default=None, description="Such as `eu-central-1`; None: where botocore finds it."
    )
    access_key_id: ApiKey | None = Field(
        default=None, description="None: credentials are found as every program of AWS does."
    )
    secret_access_key: ApiKey | None = Field(default=None, description="It never travels.")
    session_token: ApiKey | None = Field(default=None, description="Of temporary credentials.")
    profile: str | None = Field(
        default=None, min_length=1, description="A profile of AWS's own configuration files."
    )
    model: Engine | None = Field(
        default=None, description="The engine; None: the best each voice has, neural before all."
    )
    voice: str | None = Field(
        default=None, min_length=1, description=f"Such as `Amy`; None: `{DEFAULT_VOICE}`."
    )
    format: Format = Field(default="pcm", description="What Polly is asked for.")
    sample_rate: int | None = Field(
        default=None,
        description="Hz; None: 16000 of pcm, 8000 of mulaw and alaw, the engine's of others.",
    )
    lexicons: Lexicons = Field(default=(), description="Names of pronunciation lexicons.")

    @property
    @override
    def address(self) -> Address:
        return self.address_in(self.region or "us-east-1")

    def address_in(self, region: str) -> Address:
        """Return where requests go from a region."""
        end = ".cn" if region.startswith("cn-") else ""
        return Address.of(self.base_url or f"https://polly.{region}.amazonaws.com{end}")

    @model_validator(mode="after")
    def _keys_are_whole(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        if self.access_key_id is None and self.session_token is not None:
            raise ValueError("session_token needs access_key_id and secret_access_key")
        if self.access_key_id is not None and self.profile is not None:
            raise ValueError("give keys or a profile, not both")
        return self

    @model_validator(mode="after")
    def _format_has_its_rates(self) -> Self:
        rates = _SAMPLE_RATES[self.format]
        if self.sample_rate is not None and self.sample_rate not in rates:
            raise ValueError(f"sample_rate: {self.format} has {', '.join(map(str, rates))}")
        return self


class PollyCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"polly": {...}}``."""

    lexicons: Lexicons | None = None
