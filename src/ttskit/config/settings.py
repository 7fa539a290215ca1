"""The schema of tts.yaml: every key, its type, its default and what it is for.

Keys marked ``not_used_yet`` are accepted and checked, so that one file serves this version and the
next; ``ttskit config check`` names those that are set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema

from ttskit.config.tree import KeyPath, Node, dotted
from ttskit.config.units import Budget, Seconds, Size
from ttskit.resilience.settings import (
    BreakerSettings,
    BudgetSettings,
    HedgeSettings,
    LimitSettings,
    RetrySettings,
    TimeoutSettings,
)

_NOT_USED_YET: JsonDict = {"not_used_yet": True}

ProviderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A colon would make ``provider:voice`` ambiguous."""


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_split)]
"""A list, or one string with commas, which is all that the environment can hold."""


class Section(BaseModel):
    """A part of tts.yaml. Unknown keys are errors; one with nothing under it keeps its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_defaults(cls, value: object) -> object:
        return {} if value is None else value


class Routing(Section):
    """Which providers speak, and in which order they are tried."""

    order: Names | None = Field(
        default=None,
        description="Providers in the order to try. One that is not here is used by name only.",
    )
    strategy: Literal["priority", "cheapest", "fastest", "sticky"] = Field(
        default="priority",
        description="How the next one is chosen: as ordered; by price; by time to first audio; "
        "as before in the conversation named by the tag `conversation`.",
    )
    hedge: HedgeSettings = Field(
        default=HedgeSettings(), description="Asking a second provider when the first is slow."
    )
    ask_others_when_rejected: bool = Field(
        default=False,
        description="Text that one provider refuses for its content goes to the next.",
    )


class ProviderSettings(Section):
    """One provider. Keys beside these belong to its adapter and are checked by it."""

    adapter: str | None = Field(default=None, description="The adapter, where the name is another.")
    enabled: bool = Field(default=True, description="false: as if the section were not there.")
    isolation: Literal["process", "thread"] | None = Field(
        default=None,
        description="Where a local engine runs: in worker processes, or in threads of the "
        "application. None: as its adapter prefers.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="Worker processes of a local engine, each with its own model."
    )
    worker_memory: Size | None = Field(
        default=None,
        description="What one worker process may take. None: as much as it can get.",
    )
    pinned: bool = Field(
        default=False,
        description="The model stays in memory once it is loaded, whoever else needs room.",
    )
    limits: LimitSettings = Field(
        default=LimitSettings(), description="What may be asked at a time."
    )
    timeouts: TimeoutSettings = Field(
        default=TimeoutSettings(), description="How long audio is waited for."
    )
    retry: RetrySettings = Field(
        default=RetrySettings(), description="How often a failed call is tried again here."
    )
    budget: BudgetSettings = Field(
        default=BudgetSettings(), description="How many extra calls retries may make."
    )
    breaker: BreakerSettings = Field(
        default=BreakerSettings(), description="When a failing provider is left alone."
    )
    price: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="US dollars for a million characters, for `cheapest` and for the "
        "cost on results. None: the list price, where it is known.",
    )
    voice: str | None = Field(
        default=None, min_length=1, description="The voice where none is asked for."
    )
    options: SkipJsonSchema[Mapping[str, object]] = Field(
        default_factory=dict, repr=False, exclude=True
    )
    """Everything else of the section, for the adapter. It may hold secrets: in no repr or dump."""

    @model_validator(mode="before")
    @classmethod
    def _set_options_apart(cls, section: object) -> object:
        if not isinstance(section, Mapping):
            return section
        own = cls.own_keys()
        options = {key: value for key, value in section.items() if key not in own}
        return {key: section[key] for key in section if key in own} | {"options": options}

    @classmethod
    def own_keys(cls) -> frozenset[str]:
        """Return the keys of a section that are not its adapter's."""
        return frozenset(cls.model_fields) - {"options"}


class TextSettings(Section):
    """How text is taken and cut."""

    max_characters: PositiveInt = Field(default=100_000, description="Longest text of one request.")
    utterance_characters: Annotated[int, Field(ge=40, le=5_000)] = Field(
        default=400, description="Longest piece sent to an engine in one go."
    )
    fast_start: bool = Field(
        default=True, description="Streams begin with a clause, so that sound comes early."
    )


class OutputSettings(Section):
    """Where audio may be saved."""

    directory: Path | None = Field(
        default=None, description="Files are saved within it only. None: wherever the caller says."
    )


class HTTPSettings(Section):
    """How servers are reached."""

    transport: Literal["auto", "httpx", "httpx2", "aiohttp"] = Field(
        default="auto",
        description="auto: the best that is installed: aiohttp on asyncio, else httpx2's or "
        "httpx's engine.",
    )
    proxy: SecretStr | None = Field(
        default=None,
        description="The proxy's URL, for every server but this machine's. None: as HTTP_PROXY, "
        "HTTPS_PROXY, ALL_PROXY and NO_PROXY say.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates of authorities. None: those of SSL_CERT_FILE or SSL_CERT_DIR, "
        "else certifi's.",
    )
    trust_env: bool = Field(
        default=True, description="Proxies and certificates may come from the environment."
    )
    connect: Seconds = Field(default=5.0, description="How long connecting may take.")
    silence: Seconds = Field(
        default=60.0,
        description="How long a server may send nothing where no shorter clock runs.",
    )

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, proxy: SecretStr | None) -> SecretStr | None:
        schemes = ("http://", "https://", "socks5://", "socks5h://")
        if proxy is not None and not proxy.get_secret_value().startswith(schemes):
            raise ValueError("should be a URL such as http://proxy.example:3128")
        return proxy


class ResourceSettings(Section):
    """What engines on this machine may take, and how others are reached."""

    memory: Budget | None = Field(
        default=None,
        description="For models in worker processes together: a size, or a share of what the "
        "machine or its container has. None: as much as they take.",
    )
    gpu_memory: Budget | None = Field(default=None, description="The same on each GPU.")
    idle_unload: Seconds | None = Field(
        default=300.0,
        description="A model in worker processes that nobody used for so long leaves. None: never.",
    )
    stream_idle: Seconds | None = Field(
        default=600.0,
        description="A stream whose chunks nobody takes for so long is ended. None: never.",
    )
    threads: PositiveInt | None = Field(
        default=None,
        description="Utterances that one local engine makes at a time. None: one for each core.",
    )
    downloads: bool = Field(default=False, description="Engines may fetch models and voices.")
    voices_max_age: Seconds | None = Field(
        default=86_400.0,
        description="Clouds' lists of voices are kept on disk for so long. None: in memory only.",
    )
    reference_directories: list[Path] | None = Field(
        default=None,
        description="Files of voices to clone are read from within these only. None: from "
        "wherever the caller says.",
    )
    reference_shortest: Seconds = Field(
        default=1.0, description="Sound that a sample of a voice must hold, without silent ends."
    )
    reference_longest: Annotated[Seconds, Field(le=600)] = Field(
        default=120.0, description="Sound that it may hold."
    )
    reference_cache: Size = Field(
        default=256 * 1024 * 1024,
        description="Samples are kept on disk, checked and normalised, up to so much.",
    )
    http: HTTPSettings = Field(default=HTTPSettings(), description="How servers are reached.")


class CacheSettings(Section):
    """How much finished speech is kept."""

    memory: Size | None = Field(
        default=None, description="In this process.", json_schema_extra=_NOT_USED_YET
    )
    disk: Size | None = Field(default=None, description="On disk.", json_schema_extra=_NOT_USED_YET)


@dataclass(frozen=True, slots=True, repr=False)
class Sources:
    """What settings were made from, to name the place of a mistake that shows later.

    It may hold secrets, and does not count when settings are compared.
    """

    written: Node = field(compare=False)
    environ: Mapping[str, str] = field(default_factory=dict, compare=False)
    names_providers: bool = field(default=False, compare=False)
    """Whether the file or the arguments say who speaks, so that nobody needs to be found."""

    def variable(self, name: str) -> str | None:
        """Return an environment variable as it was on loading; None where unset or empty."""
        return self.environ.get(name) or None


class Settings(Section):
    """One validated configuration: tts.yaml, the environment and the arguments together."""

    routing: Routing = Field(default=Routing())
    providers: dict[ProviderName, ProviderSettings] = Field(
        default_factory=dict, description="By the name of your choice; see each adapter's keys."
    )
    voices: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Alias: {provider: that provider's voice id}."
    )
    text: TextSettings = Field(default=TextSettings())
    output: OutputSettings = Field(default=OutputSettings())
    resources: ResourceSettings = Field(default=ResourceSettings())
    cache: CacheSettings = Field(default=CacheSettings())

    _sources: Sources = PrivateAttr(default_factory=lambda: Sources(Node("argument", keys={})))

    @model_validator(mode="before")
    @classmethod
    def _empty_maps(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        maps = ("providers", "voices")
        return {key: {} if key in maps and part is None else part for key, part in value.items()}

    @property
    def sources(self) -> Sources:
        """What the settings were made from; empty where they were made by hand."""
        return self._sources

    def made_from(self, sources: Sources) -> Self:
        """Return these settings, which remember ``sources``."""
        self._sources = sources
        return self


def unused_settings(settings: Settings) -> list[str]:
    """Return the keys that are set although this version does nothing with them, dotted."""
    return [dotted(path) for path in _unused(settings, ())]


def _unused(section: BaseModel, path: KeyPath) -> Iterator[KeyPath]:
    for name in sorted(section.model_fields_set):
        schema = type(section).model_fields[name].json_schema_extra
        here: KeyPath = (*path, name)
        value = dict(section)[name]
        if schema == _NOT_USED_YET and value is not None:
            yield here
        parts = value if isinstance(value, dict) else {None: value}
        for key, part in parts.items():
            if isinstance(part, BaseModel):
                yield from _unused(part, here if key is None else (*here, key))
