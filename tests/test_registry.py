from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from typing_extensions import override

from ttskit.adapters.base import (
    Adapter,
    AdapterOptions,
    AudioSource,
    Capabilities,
    Requirement,
    Runs,
    Utterance,
)
from ttskit.config import load_settings
from ttskit.errors import AdapterNotFoundError, ConfigurationError, DependencyMissingError
from ttskit.registry import ENTRY_POINTS, NEVER_FOUND, ConfiguredProvider, Registry
from ttskit.resources.host import Resources
from ttskit.voices import Voice

OWN = [
    "azure", "cartesia", "chatterbox", "command", "coqui", "deepgram", "edge", "elevenlabs",
    "espeak", "gemini", "google", "hibari", "hume", "kokoro", "lmnt", "mock", "openai", "piper",
    "polly", "transformers", "wyoming",
]  # fmt: skip


class Tuning(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stability: float = 0.5


class AcmeOptions(AdapterOptions):
    api_key: SecretStr
    base_url: str = "https://api.acme.example"
    voice: str = "ann"
    tuning: Tuning | None = None
    tunings: dict[str, Tuning] = Field(default_factory=dict)


class Acme(Adapter[AcmeOptions]):
    """A cloud provider that is configured in these tests and never opened."""

    name = "acme"
    capabilities = Capabilities(runs=Runs.CLOUD)
    secrets: ClassVar[Mapping[str, str]] = {"api_key": "ACME_API_KEY"}

    @override
    async def open(self, resources: Resources) -> None:
        raise NotImplementedError

    @override
    async def voices(self) -> list[Voice]:
        raise NotImplementedError

    @override
    def synthesize(self, utterance: Utterance) -> AbstractAsyncContextManager[AudioSource]:
        raise NotImplementedError

    @override
    async def check(self) -> None:
        raise NotImplementedError


class Lacking(Acme):
    name = "lacking"
    requires = (
        Requirement("no_such_module", "no-such-package", "acme"),
        Requirement("no_such.parent", "no-such-package", "acme"),
        Requirement("json", "python", "acme"),
    )
    secrets: ClassVar[Mapping[str, str]] = {}


def build(
    settings: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None
) -> list[ConfiguredProvider]:
    registry = Registry([Acme, Lacking])
    return registry.build(load_settings(settings, environ=environ or {}))


def names(providers: list[ConfiguredProvider]) -> list[str]:
    return [provider.name for provider in providers]


def loaded_after(code: str) -> set[str]:
    """Return the modules that a fresh process has imported after the code."""
    script = f"{code}\nimport sys, json; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return set(json.loads(done.stdout))


def install(folder: Path, package: str, entry_points: str, code: str = "") -> None:
    """Put a package with entry points on disk, as pip would."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ttskit.adapters]\n{entry_points}\n")
    (folder / f"{package}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_every_adapter_of_ours_is_known_by_name() -> None:
    assert Registry().names() == OWN


def test_names_are_listed_without_importing_an_adapter() -> None:
    loaded = loaded_after("from ttskit.registry import Registry; Registry().names()")
    assert not loaded & {f"ttskit.adapters.{name}" for name in OWN}


def test_an_adapter_is_imported_alone_and_only_when_it_is_asked_for() -> None:
    loaded = loaded_after("from ttskit.registry import Registry; Registry().find('espeak')")
    assert "ttskit.adapters.espeak" in loaded
    assert not loaded & {"ttskit.adapters.hibari", "ttskit.adapters.piper", "ttskit.testing.mock"}
    assert not loaded & {"numpy", "espeakng_loader", "soundfile", "httpx", "onnxruntime"}


def test_finding_providers_loads_no_engine_and_nothing_of_the_tests() -> None:
    loaded = loaded_after(
        "from ttskit.registry import Registry; from ttskit.config import load_settings\n"
        "Registry().build(load_settings(environ={}))"
    )
    assert not loaded & {"numpy", "hibari", "piper", "onnxruntime", "ttskit.testing"}
    assert "pydantic_settings" not in loaded


def test_an_unknown_adapter_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(AdapterNotFoundError, match="no adapter 'pipr'; did you mean 'piper'"):
        Registry().find("pipr")
    with pytest.raises(AdapterNotFoundError) as caught:
        Registry().find("x" * 10_000)
    assert len(str(caught.value)) < 200


def test_an_adapter_without_its_key_is_not_imported_to_be_found() -> None:
    loaded = loaded_after(
        "from ttskit.registry import Registry; from ttskit.config import load_settings\n"
        "Registry().build(load_settings(environ={'OPENAI_API_KEY': 'sk-1'}))"
    )
    clouds = {name for name in OWN if f"ttskit.adapters.{name}" in loaded}
    assert clouds & {"openai", "elevenlabs", "azure", "google", "hume"} == {"openai"}


def test_the_keys_an_entry_point_names_are_those_of_its_adapter() -> None:
    for point in entry_points(group=ENTRY_POINTS):
        secrets = Registry().find(point.name).secrets
        assert not point.extras or point.extras == list(secrets.values()), point.name
        assert point.extras or not secrets or point.name in NEVER_FOUND, point.name


def test_what_an_adapter_lacks_is_told_without_importing_it() -> None:
    missing = Registry.missing(Lacking)
    assert [needed.module for needed in missing] == ["no_such_module", "no_such.parent"]
    assert Registry.missing(Acme) == []


def test_a_registered_adapter_is_found_and_its_name_is_taken() -> None:
    registry = Registry([Acme])
    registry.register(Acme)
    assert registry.find("acme") is Acme
    with pytest.raises(ConfigurationError, match="an adapter 'acme' already"):
        registry.register(type("Other", (Acme,), {}))
    with pytest.raises(ConfigurationError, match="an adapter 'piper' already"):
        registry.register(type("Other", (Acme,), {"name": "piper"}))


def test_a_third_partys_adapter_is_found_through_its_entry_point(site: Path) -> None:
    code = "from ttskit.testing.mock import MockAdapter\nclass Bell(MockAdapter): name = 'bell'"
    install(site, "bell_adapter", "bell = bell_adapter:Bell", code)
    registry = Registry()
    assert registry.names() == sorted(["bell", *OWN])
    assert registry.find("bell").__name__ == "Bell"


def test_two_packages_that_bring_the_same_name_are_an_error_naming_both(site: Path) -> None:
    install(site, "first_one", "piper = first_one:Piper")
    with pytest.raises(
        ConfigurationError, match=r"two packages bring an adapter 'piper'"
    ) as caught:
        Registry().names()
    assert "first_one" in str(caught.value)
    assert "ttskit" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import no_such_module", DependencyMissingError, "needs the module 'no_such_module'"),
        ("", ConfigurationError, "cannot be imported"),
        ("Odd = 5", ConfigurationError, "is no adapter class"),
        ("from ttskit.testing.mock import MockAdapter as Odd", ConfigurationError, "'mock'"),
    ],
    ids=["module missing", "class missing", "no class", "another name"],
)
def test_a_broken_adapter_of_a_third_party_is_a_typed_error(
    site: Path, code: str, kind: type[ConfigurationError], words: str
) -> None:
    package = f"odd_{abs(hash(code))}"
    install(site, package, f"odd = {package}:Odd", code)
    registry = Registry()
    with pytest.raises(kind, match=words) as caught:
        registry.find("odd")
    assert package in str(caught.value)
    assert "odd" not in names(registry.build(load_settings(environ={})))


@pytest.mark.engine("hibari", "espeak", "piper")
def test_with_nothing_configured_what_is_installed_is_found_and_the_embedded_voice_is_last() -> (
    None
):
    assert names(build()) == ["piper", "espeak", "hibari"]


@pytest.mark.engine("hibari")
def test_a_key_in_the_environment_brings_its_service_in_before_the_engines() -> None:
    found = names(build(environ={"ACME_API_KEY": "k"}))
    assert found[0] == "acme"
    assert found[-1] == "hibari"
    assert "acme" not in names(build(environ={"ACME_API_KEY": ""}))


def test_an_adapter_without_its_packages_is_never_found() -> None:
    assert "lacking" not in names(build())


@pytest.mark.parametrize("name", ["edge", "mock", "wyoming"])
def test_what_nobody_gets_unasked_is_never_found(name: str) -> None:
    assert name in Registry().names()
    assert name not in names(build())
    assert name in names(build({"providers": {name: {}}}))


@pytest.mark.engine("hibari", "espeak")
def test_the_environment_configures_what_is_found_and_switches_it_off() -> None:
    environ = {
        "TTSKIT_PROVIDERS__ESPEAK__ENABLED": "false",
        "TTSKIT_PROVIDERS__HIBARI__THREADS": "2",
    }
    found = {provider.name: provider for provider in build(environ=environ)}
    assert "espeak" not in found
    assert dict(found["hibari"].options)["threads"] == 2


@pytest.mark.engine("hibari")
def test_a_file_without_providers_leaves_them_to_be_found() -> None:
    settings = {"voices": {"n": {"hibari": "heart"}}, "routing": {"strategy": "priority"}}
    assert "hibari" in names(build(settings))


@pytest.mark.engine("hibari", "espeak")
def test_a_file_that_only_switches_off_leaves_the_others_to_be_found() -> None:
    found = names(build({"providers": {"espeak": {"enabled": False}}}))
    assert "espeak" not in found
    assert "hibari" in found


def test_a_file_that_names_providers_is_the_whole_list() -> None:
    assert names(build({"providers": {"piper": None, "espeak": {}}})) == ["piper", "espeak"]


def test_the_order_decides_and_those_it_leaves_out_are_used_by_name_only() -> None:
    sections = {"home": {"adapter": "acme", "api_key": "k"}, "piper": {}}
    providers = build({"providers": sections, "routing": {"order": ["espeak", "piper"]}})
    assert names(providers) == ["espeak", "piper", "home"]
    assert [provider.is_routed for provider in providers] == [True, True, False]


def test_the_order_alone_may_come_from_the_environment() -> None:
    assert names(build(environ={"TTSKIT_ROUTING__ORDER": "espeak,hibari"})) == ["espeak", "hibari"]


def test_one_adapter_serves_several_providers_under_their_own_names() -> None:
    section = {"adapter": "acme", "api_key": "k"}
    providers = build({"providers": {"home": section, "away": {**section, "base_url": "u"}}})
    adapters = [provider.create() for provider in providers]
    assert [adapter.provider for adapter in adapters] == ["home", "away"]
    assert [dict(adapter.options)["base_url"] for adapter in adapters] == [
        "https://api.acme.example",
        "u",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"providers": {"acm": {}}}, "providers.acm: there is no adapter 'acm'; .* 'acme'"),
        (
            {"providers": {"x": {"adapter": "acm"}}},
            "providers.x.adapter: there is no adapter 'acm'; .* 'acme'",
        ),
        (
            {"routing": {"order": ["espeak", "hibary"]}},
            r"routing.order\[1\]: there is no provider 'hibary'; .* 'hibari'",
        ),
        ({"voices": {"n": {"espek": "en"}}}, "voices.n.espek: there is no provider 'espek'"),
    ],
    ids=["section", "adapter", "order", "alias"],
)
def test_a_provider_that_does_not_exist_is_named_with_the_nearest(
    settings: Mapping[str, object], message: str
) -> None:
    with pytest.raises(AdapterNotFoundError, match=message):
        build(settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("base_ulr: x", "tts.yaml:3: providers.acme.base_ulr: unknown key; .* 'base_url'"),
        ("lmits: {}", "tts.yaml:3: providers.acme.lmits: unknown key; .* 'limits'"),
        ("tuning: {stabilty: 1}", "tts.yaml:3: providers.acme.tuning.stabilty: .* 'stability'"),
        (
            "tunings: {a: {stabilty: 1}}",
            "tts.yaml:3: providers.acme.tunings.a.stabilty: .* 'stability'",
        ),
        ("base_url: 5", "tts.yaml:3: providers.acme.base_url: should be a valid string"),
        ("tuning: high", "tts.yaml:3: providers.acme.tuning: should be a mapping"),
    ],
    ids=["option", "setting", "deep", "deeper", "type", "section"],
)
def test_an_adapters_own_section_is_checked_as_strictly(
    tmp_path: Path, options: str, message: str
) -> None:
    file = tmp_path / "tts.yaml"
    file.write_text(f"providers:\n  acme:\n    {options}\n    api_key: k\n")
    with pytest.raises(ConfigurationError, match=message):
        Registry([Acme]).build(load_settings(file, environ={}))


@pytest.mark.parametrize("section", [{}, {"api_key": ""}, {"api_key": None}], ids=str)
def test_a_key_that_is_not_configured_comes_from_its_customary_variable(
    section: Mapping[str, object],
) -> None:
    (provider,) = build({"providers": {"acme": section}}, environ={"ACME_API_KEY": "k-env"})
    key = dict(provider.options)["api_key"]
    assert isinstance(key, SecretStr)
    assert key.get_secret_value() == "k-env"


def test_a_configured_key_wins_over_the_customary_variable() -> None:
    section = {"acme": {"api_key": "k-file"}}
    (provider,) = build({"providers": section}, environ={"ACME_API_KEY": "k-env"})
    key = dict(provider.options)["api_key"]
    assert isinstance(key, SecretStr)
    assert key.get_secret_value() == "k-file"


def test_a_key_that_is_nowhere_is_asked_for_by_both_names() -> None:
    with pytest.raises(
        ConfigurationError, match=r"acme\.api_key: must be given, here or as ACME_API_KEY"
    ):
        build({"providers": {"acme": {}}})


def test_the_default_voice_reaches_an_adapter_that_takes_one() -> None:
    (provider,) = build({"providers": {"acme": {"api_key": "k", "voice": "bob"}}})
    assert provider.settings.voice == "bob"
    assert dict(provider.options)["voice"] == "bob"


def test_a_section_that_is_switched_off_needs_neither_key_nor_adapter() -> None:
    sections = {"gone": {"enabled": False, "anything": 1}, "espeak": {}}
    assert names(build({"providers": sections})) == ["espeak"]


@pytest.mark.parametrize(
    "render",
    [
        lambda registry, settings: repr(registry.build(settings)),
        lambda registry, settings: json.dumps(registry.masked(settings)),
    ],
    ids=["repr", "masked"],
)
def test_keys_are_masked_wherever_providers_are_shown(
    render: Callable[..., str],
) -> None:
    sections = {"acme": {"api_key": "s3cret"}, "off": {"enabled": False, "api_key": "s3cret"}}
    shown = render(Registry([Acme]), load_settings({"providers": sections}, environ={}))
    assert "s3cret" not in shown
    assert "**********" in shown
    assert "https://api.acme.example" in shown


def test_a_wrong_key_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        build({"providers": {"acme": {"api_key": ["s3cret"], "tuning": "s3cret"}}})
    error = caught.value
    assert "s3cret" not in f"{error}{error.__notes__}{error.__cause__!r}{error.to_dict()}"


def test_the_schema_holds_every_installed_adapters_section() -> None:
    text = json.dumps(Registry([Acme]).schema())
    schema = json.loads(text)
    sections = schema["properties"]["providers"]["properties"]
    assert set(sections) == {"acme", *OWN}
    assert {"api_key", "tuning", "limits", "enabled"} <= set(sections["acme"]["properties"])
    assert schema["$defs"]["Tuning"]["properties"]["stability"]["default"] == 0.5
    assert sections["acme"]["additionalProperties"] is False


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = Registry([Acme]).schema()
    text = json.dumps(schema)
    referred = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    defined = schema["$defs"]
    assert isinstance(defined, dict)
    assert referred <= set(defined)


@pytest.mark.engine("hibari", "espeak", "piper")
def test_the_example_file_gives_working_providers() -> None:
    settings = load_settings(Path(__file__).parents[1] / "tts.yaml", environ={})
    providers = Registry().build(settings)
    assert names(providers) == ["hibari", "piper", "espeak", "whisperer"]
    assert not any(Registry.missing(provider.adapter_class) for provider in providers)
