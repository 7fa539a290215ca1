from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ttskit.config import Settings, load_settings, masked, settings_schema, unused_settings
from ttskit.config.units import MemoryLimit
from ttskit.config.yaml_source import read_yaml
from ttskit.errors import ConfigurationError

Load = Callable[..., Settings]

FULL = """
routing: {order: [elevenlabs, openai, coqui], strategy: priority}
providers:
  elevenlabs:
    api_key: ${ELEVENLABS_API_KEY}
    limits: {concurrency: 5, characters_per_minute: 10000}
  coqui: {model: tts_models/en/ljspeech/vits, device: auto, workers: 1}
  home: {adapter: openai, base_url: http://localhost:8880/v1}
voices:
  narrator: {elevenlabs: JBFqnCBsd6RMkjVDRZzb, openai: nova, coqui: default}
cache: {memory: 64 MiB, disk: 1 GiB}
resources: {memory: 4 GiB, gpu_memory: 80%, idle_unload: 10 min}
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a tts.yaml of the text given, in an empty environment."""

    def load(text: str, **arguments: object) -> Settings:
        path = tmp_path / "tts.yaml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path, **{"environ": {}, **arguments})  # type: ignore[arg-type]

    return load


def complaint(load: Load, text: str, **arguments: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text, **arguments)
    return str(caught.value).rpartition("/")[2]


def test_the_file_of_the_design_is_read_whole(load: Load) -> None:
    settings = load(FULL, environ={"ELEVENLABS_API_KEY": "sk-1"})
    assert settings.routing.order == ["elevenlabs", "openai", "coqui"]
    assert settings.providers["elevenlabs"].options == {"api_key": "sk-1"}
    assert settings.providers["elevenlabs"].limits.concurrency == 5
    assert settings.providers["home"].adapter == "openai"
    assert settings.voices["narrator"]["openai"] == "nova"
    assert settings.cache.memory == 64 * 2**20
    assert settings.resources.gpu_memory == MemoryLimit(share=0.8)
    assert settings.resources.idle_unload == 600


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(environ={})
    assert settings.providers == {}
    assert settings.text.max_characters == 100_000
    assert settings.resources.downloads is False


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "providers:\ntext:\nvoices:\n"])
def test_empty_files_and_sections_leave_the_defaults(load: Load, text: str) -> None:
    assert load(text).text == Settings().text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("providrs: {}", "tts.yaml:1: providrs: unknown key; did you mean 'providers'?"),
        ("text:\n\n  fast-start: true", "tts.yaml:3: text.fast-start: unknown key; did you mean"),
        (
            "providers:\n  x:\n    limits:\n      concurency: 3",
            "tts.yaml:4: providers.x.limits.concurency: unknown key; did you mean 'concurrency'?",
        ),
        ("cache:\n  zzz: 1", "tts.yaml:2: cache.zzz: unknown key; known: disk, memory"),
    ],
    ids=["top", "dash for underscore", "deep", "nothing near"],
)
def test_an_unknown_key_names_file_line_and_the_nearest_key(
    load: Load, text: str, expected: str
) -> None:
    assert complaint(load, text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text:\n  max_characters: many", "2: text.max_characters: should be a valid integer"),
        ("text:\n  max_characters: 0", "2: text.max_characters: should be greater than 0"),
        ("cache:\n  memory: lots", "2: cache.memory: should be a size such as '64 MiB'"),
        ("resources: {idle_unload: 1 fortnight}", "1: resources.idle_unload: should be a time"),
        ("routing:\n  order:\n    - [a]", "3: routing.order[0]: should be a valid string"),
        ("providers:\n  x: 5", "2: providers.x: should be a mapping"),
        ("providers:\n  a:b: {}", "2: providers.a:b: is no name"),
        ("providers:\n  x: {isolation: no}", "2: providers.x.isolation: should be 'process' or"),
        ("voices:\n  n:\n    espeak: 5", "3: voices.n.espeak: should be a valid string"),
    ],
    ids=lambda text: text.splitlines()[-1].strip(),
)
def test_a_wrong_value_names_file_line_and_key(load: Load, text: str, expected: str) -> None:
    assert complaint(load, text).startswith(f"tts.yaml:{expected}")


def test_further_mistakes_are_counted_and_noted(load: Load) -> None:
    with pytest.raises(ConfigurationError, match=r"and 1 more") as caught:
        load("cache: {memory: lots}\ntext: {fast: 1}")
    assert "tts.yaml:1: cache.memory" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2", "1: did not find expected ',' or ']'"),
        ("a:\n\tb: 1", "2: a tab indents this line"),
        ("a: 1\nb: 2\na: 3", "3: the key 'a' stands here twice"),
        ("- a\n- b", "1: the top level must be a mapping"),
        ("hello", "1: the top level must be a mapping"),
        ("a: 1\n---\nb: 2", "2: a second document"),
        ("a: !!python/object:os.system {}", "1: a tag"),
        ("a: 1\n\nb: *nobody", "3: an alias to an anchor"),
        ("? [a, b]\n: 1", "1: a key must be a plain word"),
        ("a: 1\nb: \x07", "2: a control character"),
        ("a: &loop [*loop]", "1: an alias"),
        ("[" * 10_000, "1: nested deeper"),
        ("text: {fast_start: ${YES}}", "1: did not find"),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_broken_yaml_is_an_error_with_its_line(load: Load, text: str, expected: str) -> None:
    assert complaint(load, text).startswith(f"tts.yaml:{expected}")


def test_aliases_repeat_values_but_not_without_end(load: Load) -> None:
    shared = "providers:\n  a: &both {adapter: mock, seed: 3}\n  b: *both"
    assert load(shared).providers["b"].options == {"seed": 3}
    doubled = "\n".join(f"x{n + 1}: &x{n + 1} [*x{n}, *x{n}]" for n in range(60))
    assert "more than 10000 values" in complaint(load, f"x0: &x0 [1]\n{doubled}")


def test_a_file_that_cannot_be_settings_is_not_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * 300_000)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    refused: list[tuple[str | Path, str]] = [
        (huge, "larger than 256 KiB"),
        (latin, "latin.yaml:2: the file is not UTF-8"),
        (tmp_path, "no such file"),
        (tmp_path / "missing.yaml", "no such file"),
        (f"{tmp_path}/\0", "no such file"),
    ]
    for path, words in refused:
        with pytest.raises(ConfigurationError, match=words):
            load_settings(path, environ={})


def test_plain_words_mean_what_they_say() -> None:
    """YAML 1.1 reads a falsehood, eight and a clock's time here."""
    tree = read_yaml("{language: no, number: 010, time: 12:30, on: on}", "t", {}).plain()
    assert tree == {"language": "no", "number": 10, "time": "12:30", "on": "on"}


@given(
    st.dictionaries(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="$"),
            min_size=1,
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text("abc :{}'\"#-é"),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_whatever_a_yaml_writer_writes_is_read_back(data: dict[str, object]) -> None:
    assert read_yaml(yaml.safe_dump(data, allow_unicode=True), "t", {}).plain() == data


@given(st.text("a${}:-"))
def test_an_escaped_text_is_read_back(text: str) -> None:
    written = yaml.safe_dump({"key": text.replace("${", "$${")})
    assert read_yaml(written, "t", {}).plain() == {"key": text}


@given(st.text(max_size=60))
def test_any_text_is_settings_or_a_typed_error(text: str) -> None:
    with suppress(ConfigurationError):
        assert isinstance(read_yaml(text, "t", {}).plain(), dict)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${NAME}", "value"),
        ("'a-${NAME}-b'", "a-value-b"),
        ("${OTHER:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY}", ""),
        ("${OTHER:-}", ""),
        ("$${NAME}", "${NAME}"),
        ("$NAME $5 $", "$NAME $5 $"),
    ],
)
def test_variables_are_filled_in(written: str, meant: str) -> None:
    environ = {"NAME": "value", "EMPTY": ""}
    assert read_yaml(f"key: {written}", "t", environ).plain() == {"key": meant}


def test_a_variable_that_is_not_set_is_named_with_its_line(load: Load) -> None:
    message = complaint(load, "providers:\n  x:\n    api_key: ${NOBODY_SET_ME}")
    assert message.startswith("tts.yaml:3: the environment variable NOBODY_SET_ME is not set")


@pytest.mark.parametrize("text", ["a: ${", "a: ${}", "a: ${1}", "a: ${A:?no}", "a: '${A B}'"])
def test_a_broken_reference_is_an_error(load: Load, text: str) -> None:
    assert "'${' needs a name" in complaint(load, text)


def test_a_variables_value_is_never_read_as_yaml(load: Load) -> None:
    settings = load("providers: {x: {key: '${KEY}'}}", environ={"KEY": "0123\nevil: true"})
    assert settings.providers["x"].options == {"key": "0123\nevil: true"}


def test_the_environment_overrides_the_file_and_arguments_override_both(load: Load) -> None:
    text = "text: {max_characters: 1, utterance_characters: 41, fast_start: true}"
    environ = {
        "TTSKIT_TEXT__MAX_CHARACTERS": "2",
        "TTSKIT_TEXT__UTTERANCE_CHARACTERS": "42",
        "TTSKIT_TEXT__FAST_START": "no",
    }
    overrides = {"text": {"max_characters": 3}}
    settings = load(text, environ=environ, overrides=overrides)
    assert settings.text.max_characters == 3
    assert settings.text.utterance_characters == 42
    assert settings.text.fast_start is False


@pytest.mark.parametrize(
    "variable",
    ["TTSKIT_PROVIDERS__MY_HOME__API_KEY", "ttskit_providers__my_home__api_key"],
)
def test_a_variable_meets_the_section_whatever_its_case(load: Load, variable: str) -> None:
    settings = load("providers: {My-Home: {adapter: openai}}", environ={variable: "007"})
    assert settings.providers["My-Home"].options == {"api_key": "007"}
    assert settings.sources.written.nearest(("providers", "My-Home", "api_key")).origin == variable


def test_a_variable_may_hold_a_list_or_a_whole_section() -> None:
    environ = {
        "TTSKIT_ROUTING__ORDER": "piper, espeak",
        "TTSKIT_CACHE": '{"memory": "1 MiB"}',
        "TTSKIT_VOICES__NARRATOR__ESPEAK": "en-gb",
        "TTSKIT_PROVIDERS__X__LIMITS__CONCURRENCY": "3",
        "TTSKIT_PROVIDERS__X__STYLES": '["calm"]',
    }
    settings = load_settings(environ=environ)
    assert settings.routing.order == ["piper", "espeak"]
    assert settings.cache.memory == 2**20
    assert settings.voices == {"narrator": {"espeak": "en-gb"}}
    assert settings.providers["x"].limits.concurrency == 3
    assert settings.providers["x"].options == {"styles": ["calm"]}


@pytest.mark.parametrize("value", ["007", "1e5", "true", "null", "{", "[x", "sk-é"])
def test_a_key_from_the_environment_arrives_as_it_was_written(value: str) -> None:
    settings = load_settings(environ={"TTSKIT_PROVIDERS__X__API_KEY": value})
    assert settings.providers["x"].options == {"api_key": value}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TTSKIT_PROVIDRS__X__Y", "TTSKIT_PROVIDRS__X__Y: no section .* 'providers'"),
        ("TTSKIT_TEXT__MAX_CHARACTER", "TTSKIT_TEXT__MAX_CHARACTER: .* 'max_characters'"),
        ("TTSKIT_CACHE__MEMORY", "TTSKIT_CACHE__MEMORY: cache.memory: should be a size"),
        ("TTSKIT_CACHE", "TTSKIT_CACHE: cache: should be a mapping"),
    ],
)
def test_a_wrong_variable_is_named(name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_settings(environ={name: "nonsense"})


def test_variables_of_other_purpose_and_empty_ones_are_left_alone() -> None:
    environ = {"TTSKIT_REQUIRE_ENGINES": "1", "TTSKIT_TEXT__MAX_CHARACTERS": ""}
    assert load_settings(environ=environ) == Settings()


def test_a_mapping_and_settings_serve_as_a_file_does() -> None:
    first = load_settings({"text": {"max_characters": 7}}, environ={})
    assert load_settings(first) is first
    second = load_settings(first, overrides={"text": {"fast_start": False}})
    assert (second.text.max_characters, second.text.fast_start) == (7, False)


def test_settings_made_by_hand_are_not_overridden_in_part() -> None:
    with pytest.raises(ConfigurationError, match="use load_settings"):
        load_settings(Settings(voices={}), overrides={"text": None})


def test_arguments_name_themselves_in_errors() -> None:
    with pytest.raises(ConfigurationError, match=r"argument: routng: .* 'routing'"):
        load_settings(overrides={"routng": {}}, environ={})
    with pytest.raises(ConfigurationError, match="keys must be strings"):
        load_settings({"voices": {1: {}}}, environ={})


def test_providers_given_as_arguments_are_laid_over_the_file(load: Load) -> None:
    settings = load("providers: {x: {a: 1, b: 2}}", providers={"x": {"b": 3}, "y": {}})
    assert settings.providers["x"].options == {"a": 1, "b": 3}
    assert list(settings.providers) == ["x", "y"]


def test_no_secret_shows_in_any_view_of_the_settings(load: Load) -> None:
    environ = {"KEY": "s3cret", "TTSKIT_PROVIDERS__B__TOKEN": "s3cret"}
    settings = load("providers: {a: {api_key: '${KEY}'}, b: {}}", environ=environ)
    views = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.sources)]
    views += [json.dumps(masked(settings)), repr(settings.providers["a"])]
    assert not any("s3cret" in view for view in views)
    assert masked(settings)["providers"]["a"]["api_key"] == "**********"  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        "providers: {a: {limits: s3cret}}",
        "providers: {a: {limits: {concurrency: s3cret}}}",
        "cache: {memory: s3cret}",
        "text: s3cret",
        "key: 's3cret\n",
        "key: s3cret: x",
        "routing: {strategy: s3cret}",
    ],
)
def test_no_value_is_repeated_in_an_error(load: Load, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    error = caught.value
    assert "s3cret" not in f"{error} {error!r} {error.__cause__} {error.to_dict()}"


def test_settings_without_effect_are_told(load: Load) -> None:
    settings = load(FULL, environ={"ELEVENLABS_API_KEY": "k"})
    assert unused_settings(settings) == [
        "cache.disk",
        "cache.memory",
    ]
    assert unused_settings(load_settings(environ={})) == []


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().routing.order = ["x"]


def test_the_schema_describes_every_section() -> None:
    schema = settings_schema()
    properties = schema["properties"]
    assert isinstance(properties, Mapping)
    assert set(properties) == set(Settings.model_fields)
    assert "api_key" not in json.dumps(schema)


@given(
    memory=st.integers(0, 2**50),
    share=st.integers(1, 100),
    idle=st.integers(0, 10**6),
    order=st.lists(st.text("abc", min_size=1), max_size=3),
)
def test_dumped_settings_load_to_the_same(
    memory: int, share: int, idle: int, order: list[str]
) -> None:
    given_settings = {
        "cache": {"memory": memory},
        "resources": {"gpu_memory": f"{share}%", "idle_unload": idle},
        "routing": {"order": order},
    }
    settings = load_settings(given_settings, environ={})
    assert load_settings(settings.model_dump(mode="json"), environ={}) == settings


def test_the_example_at_the_top_of_the_tree_loads_without_any_key() -> None:
    settings = load_settings(Path(__file__).parents[2] / "tts.yaml", environ={})
    assert settings.routing.order == ["hibari", "piper", "espeak"]
    assert unused_settings(settings) == []


def test_the_working_directory_is_never_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tts.yaml").write_text("nonsense: true")
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}) == Settings()
