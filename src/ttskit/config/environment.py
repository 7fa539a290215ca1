"""``TTSKIT_PROVIDERS__ELEVENLABS__API_KEY`` and the like: any setting, from the environment.

Imported only where such a variable is set, as pydantic-settings costs as much as all else here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from typing_extensions import override

from ttskit.config.complaints import near
from ttskit.config.settings import Settings
from ttskit.config.tree import KeyPath, Node, as_node
from ttskit.errors import ConfigurationError

PREFIX = "TTSKIT_"
DELIMITER = "__"


class _EnvironmentSettings(Settings, BaseSettings):
    """The same schema, for pydantic-settings to find its way; it is never made."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=DELIMITER, env_ignore_empty=True
    )


class _Source(EnvSettingsSource):
    """Reads the variables handed to it, and takes for JSON only what is a list or mapping."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(_EnvironmentSettings)
        self.env_vars = {name.lower(): value for name, value in variables.items() if value}

    @override
    def decode_complex_value(
        self, field_name: str, field: FieldInfo | None, value: object
    ) -> object:
        # Adapters' options have no type here: a key of digits only must not become a number.
        if str(value).lstrip()[:1] not in ("{", "["):
            return value
        try:
            decoded: object = json.loads(str(value))
        except ValueError:
            return value
        return decoded


def read_environment(variables: Mapping[str, str]) -> Node:
    """Return the tree that the variables ``TTSKIT_SECTION__KEY`` make; empty ones are left out.

    Raises:
        ConfigurationError: A variable's first key is no section of tts.yaml.
    """
    names = {name.upper(): name for name in variables if variables[name]}
    for folded, name in names.items():
        section, nested, _ = folded.removeprefix(PREFIX).partition(DELIMITER)
        if nested and section.lower() not in Settings.model_fields:
            hint = near(section.lower(), Settings.model_fields)
            raise ConfigurationError(f"{name[:100]}: no section of tts.yaml{hint}")
    return as_node(_Source(variables)(), lambda path: _origin(path, names))


def _origin(path: KeyPath, names: Mapping[str, str]) -> str:
    """Return the variable that set the value at ``path``: its own, or one that holds it as JSON."""
    for length in range(len(path), 0, -1):
        name = PREFIX + DELIMITER.join(str(part) for part in path[:length]).upper()
        if name in names:
            return names[name]
    return "the environment"
