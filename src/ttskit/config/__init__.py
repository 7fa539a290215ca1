"""tts.yaml, the environment and the arguments become one validated ``Settings``."""

from ttskit.config.loading import (
    load_settings,
    masked,
    masked_section,
    settings_schema,
)
from ttskit.config.settings import (
    CacheSettings,
    OutputSettings,
    ProviderSettings,
    ResourceSettings,
    Routing,
    Settings,
    TextSettings,
    unused_settings,
)

__all__ = [
    "CacheSettings",
    "OutputSettings",
    "ProviderSettings",
    "ResourceSettings",
    "Routing",
    "Settings",
    "TextSettings",
    "load_settings",
    "masked",
    "masked_section",
    "settings_schema",
    "unused_settings",
]
