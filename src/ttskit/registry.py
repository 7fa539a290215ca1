"""Adapters by name: found through entry points, imported one at a time, and only when used."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pydantic

from ttskit.adapters.base import Adapter, AdapterOptions, Requirement, Runs
from ttskit.config import masked, masked_section, settings_schema
from ttskit.config.complaints import Checked, complain, near
from ttskit.config.settings import ProviderSettings, Settings, Sources
from ttskit.config.tree import KeyPath, Node, as_node, dotted
from ttskit.errors import AdapterNotFoundError, ConfigurationError, DependencyMissingError

ENTRY_POINTS = "ttskit.adapters"
"""The group in which a package names its adapters: ``name = "module:Class"``.

Where it is followed by ``[ACME_API_KEY]``, the adapter is not even imported to be found while that
environment variable is not set.
"""

FOUND_LAST = ("espeak", "hibari")
"""Of those that are found: a voice that sounds made, then the embedded one, behind all others."""

FOR_TESTS = "mock"
"""Speaks tones."""

NEVER_FOUND = (
    "chatterbox", "command", "edge", "kokoro", FOR_TESTS, "polly", "transformers", "wyoming",
)  # fmt: skip
"""Only who names them gets them: a service that was meant for others, engines that speak by a model
of the user's or fetch gigabytes, what is for tests, whose keys are there for others, servers
that nobody knows to be there, and programs."""

_ACCOUNT = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
"""Keys that Polly finds, whose entry point names none. Source: botocore's EnvProvider."""

AdapterClass: TypeAlias = type[Adapter[AdapterOptions]]

_SHORTEST_KEY = 8
"""Characters; what is shorter stands in many a harmless value."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConfiguredProvider:
    """A provider that is ready to be made: its adapter, validated options and settings."""

    name: str
    adapter_class: AdapterClass
    options: AdapterOptions
    settings: ProviderSettings
    is_routed: bool = True
    """Whether it is tried without being named: False where ``routing.order`` leaves it out."""

    def create(self) -> Adapter[AdapterOptions]:
        """Return a new adapter; it is not open yet."""
        return self.adapter_class(self.options, provider=self.name)


@dataclass(frozen=True, slots=True)
class Seat:
    """A provider that was made: its adapter and its section of the settings."""

    adapter: Adapter[AdapterOptions]
    settings: ProviderSettings
    is_routed: bool = True
    """Asked without being named."""


class Registry:
    """All adapters that are installed or registered; entry points are read on first use.

    Args:
        adapters: Further classes, known under their own names.
    """

    def __init__(self, adapters: Iterable[AdapterClass] = ()) -> None:
        self._classes: dict[str, AdapterClass] = {}
        self._points: dict[str, importlib.metadata.EntryPoint] | None = None
        for adapter_class in adapters:
            self.register(adapter_class)

    def names(self) -> list[str]:
        """Return every adapter's name, sorted, without importing one."""
        return sorted({*self._entry_points(), *self._classes})

    def register(self, adapter_class: AdapterClass) -> None:
        """Make an adapter known without an entry point.

        Raises:
            ConfigurationError: Another adapter has the name.
        """
        name = adapter_class.name
        if name in self._entry_points() or self._classes.get(name, adapter_class) != adapter_class:
            raise ConfigurationError(f"there is an adapter {name!r} already; give yours a new name")
        self._classes[name] = adapter_class

    def find(self, name: str) -> AdapterClass:
        """Import and return the adapter.

        Raises:
            AdapterNotFoundError: None has the name; the nearest ones are given.
            DependencyMissingError: Its module needs a package that is not installed.
            ConfigurationError: The entry point leads to something else than an adapter.
        """
        if name not in self._classes:
            point = self._entry_points().get(name)
            if point is None:
                hint = near(name, self.names())
                raise AdapterNotFoundError(f"there is no adapter {name[:60]!r}{hint}")
            self._classes[name] = _loaded(point)
        return self._classes[name]

    @staticmethod
    def missing(adapter: AdapterClass | Adapter[AdapterOptions]) -> list[Requirement]:
        """Return the packages that the adapter needs and that are not installed; imports none."""
        return [needed for needed in adapter.requires if not _is_installed(needed.module)]

    def secret_variables(self) -> frozenset[str]:
        """Return the environment variables that hold keys of providers; imports none."""
        declared = (point.extras for point in self._entry_points().values())
        imported = (found.secrets.values() for found in self._classes.values())
        return _ACCOUNT.union(*declared, *imported)

    def build(self, settings: Settings) -> list[ConfiguredProvider]:
        """Return the providers in the order to try; those used by name only come last.

        Where neither file nor arguments name any, they are found: whose keys are in the
        environment or whose packages are installed, services before engines of this machine, the
        embedded voice last. The list may be empty.

        Raises:
            ConfigurationError: A provider, its options or an alias cannot work; the message names
                file, line and key.
        """
        self._check_aliases(settings)
        if not settings.sources.names_providers:
            return self._found(settings)
        order = settings.routing.order
        named = order or list(settings.providers)
        for place, name in enumerate(named):
            self._require_known(name, ("routing", "order", place), settings)
        providers = [self._configured(name, settings) for name in dict.fromkeys(named)]
        unrouted = [name for name in settings.providers if name not in named]
        providers += [self._configured(name, settings, is_routed=False) for name in unrouted]
        return [provider for provider in providers if provider is not None]

    def masked(self, settings: Settings) -> dict[str, object]:
        """Return the settings in force as plain data: found providers too, secrets masked."""
        plain = masked(settings)
        sections: dict[str, object] = {
            name: masked_section(section)
            for name, section in settings.providers.items()
            if not section.enabled
        }
        for provider in self.build(settings):
            own = provider.settings.model_dump(mode="json", exclude_none=True)
            options = provider.options.model_dump(mode="json", exclude_none=True)
            sections[provider.name] = {**own, **options}
        return plain | {"providers": sections}

    def schema(self) -> dict[str, object]:
        """Return the JSON schema of tts.yaml with every adapter's section; imports them all."""
        return settings_schema({name: self.find(name).options_model for name in self.names()})

    def _entry_points(self) -> Mapping[str, importlib.metadata.EntryPoint]:
        if self._points is None:
            self._points = _by_name(importlib.metadata.entry_points(group=ENTRY_POINTS))
        return self._points

    def _configured(
        self, name: str, settings: Settings, *, is_routed: bool = True
    ) -> ConfiguredProvider | None:
        section = settings.providers.get(name, ProviderSettings())
        if not section.enabled:
            return None
        adapter_name = section.adapter or name
        if adapter_name not in self.names():
            path = ("providers", name, "adapter") if section.adapter else ("providers", name)
            raise _unknown("adapter", adapter_name, path, settings, self.names())
        adapter_class = self.find(adapter_name)
        options = _options(name, section, adapter_class, settings.sources)
        return ConfiguredProvider(name, adapter_class, options, section, is_routed)

    def _require_known(self, name: str, path: KeyPath, settings: Settings) -> None:
        """Refuse a provider that is neither configured nor an adapter's own name."""
        if name not in settings.providers and name not in self.names():
            known = [*settings.providers, *self.names()]
            raise _unknown("provider", name, path, settings, known)

    def _check_aliases(self, settings: Settings) -> None:
        for alias, bindings in settings.voices.items():
            for provider in bindings:
                self._require_known(provider, ("voices", alias, provider), settings)

    def _found(self, settings: Settings) -> list[ConfiguredProvider]:
        sections = settings.providers
        unnamed = [
            name for name in self.names() if name not in sections and name not in NEVER_FOUND
        ]
        providers = [self._configured(name, settings) for name in sections]
        providers += [self._discovered(name, settings) for name in unnamed]
        return sorted((one for one in providers if one is not None), key=_preference)

    def _discovered(self, name: str, settings: Settings) -> ConfiguredProvider | None:
        """Return the provider if it could speak as things are; why not is in the debug log."""
        point = self._entry_points().get(name)
        if point is not None and not all(map(settings.sources.variable, point.extras)):
            return None
        try:
            adapter_class = self.find(name)
            keys = adapter_class.secrets.values()
            if self.missing(adapter_class) or not all(map(settings.sources.variable, keys)):
                return None
            return self._configured(name, settings)
        except ConfigurationError as error:
            _logger.debug("adapter %s is left out: %s", name, error)
            return None


def secret_values(options: pydantic.BaseModel) -> frozenset[str]:
    """Return the keys within validated options, as they are: for what must not give them away."""
    found: list[str] = []
    waiting: list[object] = [options]
    while waiting:
        value = waiting.pop()
        if isinstance(value, pydantic.SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, pydantic.BaseModel):
            waiting += dict(value).values()
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return frozenset(key for key in found if len(key) >= _SHORTEST_KEY)


def _preference(provider: ConfiguredProvider) -> tuple[int, bool, str]:
    adapter = provider.adapter_class
    last = FOUND_LAST.index(adapter.name) + 1 if adapter.name in FOUND_LAST else 0
    return last, adapter.capabilities.runs is Runs.LOCAL, provider.name


def _unknown(
    kind: str, name: str, path: KeyPath, settings: Settings, known: Iterable[str]
) -> AdapterNotFoundError:
    """Return the error for a name that was written at ``path``."""
    origin = settings.sources.written.nearest(path).origin
    hint = near(name, known)
    return AdapterNotFoundError(f"{origin}: {dotted(path)}: there is no {kind} {name[:60]!r}{hint}")


def _options(
    name: str, section: ProviderSettings, adapter_class: AdapterClass, sources: Sources
) -> AdapterOptions:
    """Return the section's options, validated by the adapter, with keys from their variables."""
    secrets = adapter_class.variables(section.options)
    lacking = [option for option in secrets if not section.options.get(option)]
    filled = {option: value for option in lacking if (value := sources.variable(secrets[option]))}
    model = adapter_class.options_model
    own = section.model_fields_set & model.model_fields.keys()  # such as voice, which both have
    given = {key: value for key, value in section.options.items() if key not in lacking}
    given |= {key: value for key, value in section if key in own} | filled
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        checked = Checked(
            model,
            _written(name, filled, secrets, sources),
            path=("providers", name),
            also=ProviderSettings.own_keys(),
            variables=secrets,
        )
        # Not chained: what it keeps may hold a key.
        raise complain(error, checked) from None


def _written(
    name: str, filled: Mapping[str, str], variables: Mapping[str, str], sources: Sources
) -> Node:
    """Return what was written, and by which variable each key was filled in."""
    if not filled:
        return sources.written
    tree = {"providers": {name: filled}}
    return sources.written.under(
        as_node(tree, lambda path: variables.get("".join(map(str, path[-1:])), "the environment"))
    )


def _by_name(points: importlib.metadata.EntryPoints) -> dict[str, importlib.metadata.EntryPoint]:
    by_name: dict[str, importlib.metadata.EntryPoint] = {}
    for point in points:
        first = by_name.setdefault(point.name, point)
        if first.value != point.value:
            raise ConfigurationError(
                f"two packages bring an adapter {point.name!r}: {_package(first)} and "
                f"{_package(point)}; uninstall one of them"
            )
    return by_name


def _package(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _loaded(point: importlib.metadata.EntryPoint) -> AdapterClass:
    try:
        loaded = point.load()
    except ModuleNotFoundError as error:
        raise DependencyMissingError(
            f"adapter {point.name!r} of {_package(point)} needs the module {error.name!r}, which is"
            " not installed"
        ) from error
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"adapter {point.name!r} of {_package(point)} cannot be imported: {error}"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise ConfigurationError(f"{point.value} of {_package(point)} is no adapter class")
    if loaded.name != point.name:
        raise ConfigurationError(
            f"{_package(point)} calls its adapter {point.name!r} and {loaded.name!r}"
        )
    return loaded


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a parent that is missing, or a module without a spec
        return False
