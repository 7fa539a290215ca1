"""tts.yaml, the environment and the arguments become one validated ``Settings``.

Later ones win: defaults, then the file, then ``TTSKIT_...`` variables, then arguments. This is the
only module that reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pydantic
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ttskit.config.complaints import Checked, complain
from ttskit.config.settings import ProviderSettings, Settings, Sources
from ttskit.config.tree import KeyPath, Node, as_node
from ttskit.errors import ConfigurationError

_MASK = "**********"
"""As pydantic shows a SecretStr."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def load_settings(
    source: str | Path | Mapping[str, object] | Settings | None = None,
    *,
    providers: Mapping[str, Mapping[str, object]] | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings of a file (or a mapping of its shape), the environment and arguments.

    Args:
        source: The path of tts.yaml, or its content as a mapping. None: no file is looked for.
            Settings that are loaded already come back as they are, unless something is laid over.
        providers: Short for ``overrides={"providers": ...}``.
        overrides: Laid over all else, section by section.
        environ: In place of the process's environment.

    Raises:
        ConfigurationError: Something cannot work; file, line and key are named.
    """
    over = as_node(overrides or {}, _argument)
    if providers:
        over = over.under(as_node({"providers": providers}, _argument))
    if isinstance(source, Settings):
        return _again(source, over) if over.keys else source
    variables = dict(os.environ if environ is None else environ)
    base = _base(source, variables)
    written = base.under(_environment(variables)).under(over)
    # The environment configures providers, or switches them off; it need not say who speaks.
    names_providers = _names_providers(base.under(over)) or _has_order(written)
    return _validated(Sources(written, variables, names_providers))


def masked(settings: Settings) -> dict[str, object]:
    """Return the settings as plain data; of an adapter's own options, only the names.

    ``Registry.masked`` knows which of them are secret, and shows the others.
    """
    plain: dict[str, object] = settings.model_dump(mode="json", exclude_none=True)
    providers = {name: masked_section(one) for name, one in settings.providers.items()}
    return plain | {"providers": providers}


def masked_section(section: ProviderSettings) -> dict[str, object]:
    """Return one provider's section as plain data, with every option masked."""
    own: dict[str, object] = section.model_dump(mode="json", exclude_none=True)
    return own | dict.fromkeys(section.options, _MASK)


def settings_schema(sections: Mapping[str, type[BaseModel]] | None = None) -> dict[str, object]:
    """Return the JSON schema of tts.yaml, for editors and docs.

    No key is required there, as the environment may give any of them.

    Args:
        sections: Adapter name -> the model of its own keys; ``Registry.schema`` fills them in.
    """
    models: dict[str, type[BaseModel]] = {"": ProviderSettings, **(sections or {})}
    wanted: list[type[BaseModel]] = [Settings, *models.values()]
    named, schema = models_json_schema([(model, "validation") for model in wanted])
    definitions = schema["$defs"]
    bodies = {
        name: definitions[named[model, "validation"]["$ref"].rpartition("/")[2]]
        for name, model in models.items()
    }
    shared = bodies.pop("")
    shared["additionalProperties"] = True  # an adapter's keys, under a name of the user's choice
    top = definitions.pop("Settings")
    top["properties"]["providers"]["properties"] = {
        name: {
            "type": ["object", "null"],
            "description": body.get("description", ""),
            "properties": shared["properties"] | body.get("properties", {}),
            "additionalProperties": False,
        }
        for name, body in bodies.items()
    }
    return {"$schema": _DIALECT, "$defs": definitions, **top, "title": "tts.yaml"}


def _base(source: str | Path | Mapping[str, object] | None, variables: Mapping[str, str]) -> Node:
    if source is None:
        return Node("settings", keys={})
    if isinstance(source, Mapping):
        return as_node(source, _argument)
    # libyaml costs a service without a file nothing.
    from ttskit.config.yaml_source import read_yaml_file

    return read_yaml_file(source, variables)


def _environment(variables: Mapping[str, str]) -> Node:
    sections = {f"TTSKIT_{name}".upper() for name in Settings.model_fields}
    ours = {
        name: value
        for name, value in variables.items()
        if name.upper() in sections or (name.upper().startswith("TTSKIT_") and "__" in name)
    }
    if not ours:
        return Node("the environment", keys={})
    # pydantic-settings would take as long to import as all the rest of a service.
    from ttskit.config.environment import read_environment

    return read_environment(ours)


def _argument(path: KeyPath) -> str:
    del path
    return "argument"


def _names_providers(written: Node) -> bool:
    providers = written.find(("providers",))
    sections = (providers.keys if providers else None) or {}
    return not all(map(_is_switched_off, sections.values()))


def _is_switched_off(section: Node) -> bool:
    switch = section.child("enabled")
    return switch is not None and switch.value is False


def _has_order(written: Node) -> bool:
    order = written.find(("routing", "order"))
    return order is not None and bool(order.plain())


def _again(settings: Settings, over: Node) -> Settings:
    before = settings.sources
    if settings.model_fields_set and not before.written.keys:
        raise ConfigurationError("settings made by hand take no overrides; use load_settings")
    names_providers = before.names_providers or _names_providers(over)
    names_providers = names_providers or _has_order(over)
    written = before.written.under(over)
    return _validated(replace(before, written=written, names_providers=names_providers))


def _validated(sources: Sources) -> Settings:
    try:
        settings = Settings.model_validate(sources.written.plain())
    except pydantic.ValidationError as error:
        # Not chained: adapters' values, secrets among them, are in what it keeps.
        raise complain(error, Checked(Settings, sources.written)) from None
    return settings.made_from(sources)
