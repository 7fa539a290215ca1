"""Kokoro through the real kokoro-onnx and its espeak-ng, over a network made on the spot.

``tiny_kokoro`` tells what the network does; ``tests/hearing`` listens to the real one.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.engines import tiny_kokoro
from tests.resources.workers.conftest import workers
from ttskit.adapters.kokoro import KokoroAdapter, KokoroEngine, KokoroOptions
from ttskit.adapters.kokoro_voices import shares, tongue_for
from ttskit.codecs.pcm import Samples
from ttskit.errors import (
    InvalidParameterError,
    InvalidResponseError,
    ModelLoadError,
    UnsupportedFeatureError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.resources.engine import EngineChunk, EngineJob
from ttskit.voices import Gender

from .conftest import Booth, LentKokoro

pytestmark = [pytest.mark.anyio, pytest.mark.engine("kokoro")]

SENTENCE = "The train to Oxford leaves at half past nine."
PARAGRAPH = "First comes one. Then comes another. At last there is a third."
RATE = 24_000

Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return tiny_kokoro.make(tmp_path_factory.mktemp("kokoro"))


@pytest.fixture(scope="module")
def engine(files: Files) -> KokoroEngine:
    return make(files)


@pytest.fixture
async def adapter(booth: Booth, files: Files, engine: KokoroEngine) -> LentKokoro:
    adapter = LentKokoro(KokoroOptions(model=files[0], voices=files[1]))
    adapter.lent = engine
    await booth.open(adapter)
    return adapter


def make(files: Files, **more: object) -> KokoroEngine:
    return KokoroEngine(model=str(files[0]), voices=str(files[1]), **more)  # type: ignore[arg-type]


def chunks(engine: KokoroEngine, text: str = SENTENCE, **more: object) -> list[EngineChunk]:
    job = EngineJob(text, **more)  # type: ignore[arg-type]
    return list(engine.synthesize(job, threading.Event()))


def say(engine: KokoroEngine, text: str = SENTENCE, **more: object) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks(engine, text, **more)])


async def test_a_sentence_lasts_as_long_as_its_phonemes(booth: Booth, adapter: LentKokoro) -> None:
    heard = await booth.hear(adapter, SENTENCE)
    assert heard.sample_rate == RATE
    assert 2 < heard.duration < 6
    assert 0.1 < np.abs(heard.samples).max() <= 1


async def test_ttskit_adds_nothing_to_what_the_package_says(
    booth: Booth, adapter: LentKokoro, files: Files
) -> None:
    from kokoro_onnx import Kokoro

    direct, _ = Kokoro(*map(str, files)).create(SENTENCE, "af_heart")
    heard = await booth.hear(adapter, SENTENCE)
    assert np.array_equal(heard.samples, direct)


@pytest.mark.parametrize("speed", [0.5, 0.8, 2.0])
def test_speed_changes_the_duration(engine: KokoroEngine, speed: float) -> None:
    plain, heard = [say(engine, speed=one) for one in (1.0, speed)]
    assert len(plain) / len(heard) == pytest.approx(speed, rel=0.15)


def test_a_model_of_whole_speeds_refuses_others(tmp_path: Path) -> None:
    engine = make(tiny_kokoro.make(tmp_path, speed="INT32"))
    assert len(say(engine, speed=2.0)) < len(say(engine, speed=1.0))
    with pytest.raises(UnsupportedFeatureError, match="whole speeds"):
        say(engine, speed=1.5)


# Sentences and pauses


def test_audio_comes_sentence_by_sentence(engine: KokoroEngine) -> None:
    assert len(chunks(engine, PARAGRAPH)) == 3


@pytest.mark.parametrize("pause", [0.0, 0.1, 1.5])
def test_there_is_a_pause_between_sentences(engine: KokoroEngine, pause: float) -> None:
    first, second, _ = chunks(engine, PARAGRAPH, options={"sentence_pause": pause})
    silence = round(pause * RATE)
    assert not first.samples[:silence].any() if pause == 0 else first.samples[:RATE].any()
    assert not second.samples[:silence].any()
    assert second.samples[silence : silence + RATE].any()


def test_a_request_may_pause_longer_than_tts_yaml_says(files: Files) -> None:
    short = make(files, pauses={"sentence": 0.0, "clause": 0.0})
    own, asked = [say(short, PARAGRAPH, options=o) for o in ({}, {"sentence_pause": 1.0})]
    assert len(asked) - len(own) >= 2 * RATE


def test_a_clause_is_followed_by_its_pause(engine: KokoroEngine) -> None:
    lengths = [
        len(say(engine, "One day, in spring.", options={"clause_pause": pause}))
        for pause in (0.0, 2.0)
    ]
    assert lengths[1] - lengths[0] > 1.5 * RATE


def test_an_abbreviation_ends_no_sentence(engine: KokoroEngine) -> None:
    text, spelled = "Here is Mr. Smith.", "Here is mister Smith."
    assert len(chunks(engine, text)) == 1
    assert np.array_equal(say(engine, text), say(engine, spelled))


def test_no_sentence_is_begun_after_it_was_told_to_stop(engine: KokoroEngine) -> None:
    stop = threading.Event()
    made = engine.synthesize(EngineJob(PARAGRAPH), stop)
    next(made)
    stop.set()
    assert list(made) == []


def test_a_text_longer_than_the_network_takes_is_said_whole(engine: KokoroEngine) -> None:
    once = len(say(engine, "and on and on it goes"))
    assert len(say(engine, " ".join(["and on and on it goes"] * 40))) > 35 * once


@pytest.mark.parametrize("text", ["...", "\u200b"])
async def test_text_without_a_word_is_refused(booth: Booth, adapter: LentKokoro, text: str) -> None:
    with pytest.raises(InvalidResponseError, match="no audio"):
        await booth.hear(adapter, text)


def test_requests_at_a_time_never_mix(engine: KokoroEngine) -> None:
    texts = [f"This is the sentence with the number {number}." for number in range(4)]
    alone = [say(engine, text) for text in texts]
    together: dict[int, list[Samples]] = {number: [] for number in range(4)}

    def speak(number: int) -> None:
        together[number] += [say(engine, texts[number]) for _ in range(5)]

    threads = [threading.Thread(target=speak, args=(number,)) for number in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, heard in together.items():
        assert all(np.array_equal(samples, alone[number]) for samples in heard)


# Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, big world.", ["Hello", "big", "world"]),
        ("It's 1,234 e-mails!", ["It's", "1,234", "e-mails"]),
        ("One here. Two - there?", ["One", "here", "Two", "there"]),
    ],
)
async def test_words_are_timed_one_after_the_other(
    booth: Booth, adapter: LentKokoro, text: str, words: list[str]
) -> None:
    heard = await booth.hear(adapter, text, timestamps=Timestamps.WORD)
    assert [text[slice(*word.span)] for word in heard.words] == words
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= heard.duration


def test_a_word_sounds_when_it_is_said_to(engine: KokoroEngine) -> None:
    text = "Hello there. World."
    made = chunks(engine, text, want_words=True, options={"sentence_pause": 1.0})
    audio = np.concatenate([chunk.samples for chunk in made])
    start, end = next((w.start, w.end) for c in made for w in c.words if w.span[0] == 13)
    assert not audio[round((start - 0.9) * RATE) : round((start - 0.1) * RATE)].any()
    assert np.abs(audio[round(start * RATE) : round(end * RATE)]).mean() > 0.1


def test_a_model_that_times_nothing_tells_no_times(tmp_path: Path) -> None:
    made = chunks(make(tiny_kokoro.make(tmp_path, is_timed=False)), want_words=True)
    assert [chunk.words for chunk in made] == [()]


# Voices


async def test_a_voices_name_tells_who_it_is(adapter: LentKokoro) -> None:
    voices = {voice.id: voice for voice in await adapter.voices()}
    told = [
        (voices[one].name, voices[one].languages, voices[one].gender)
        for one in ("af_sky", "am_adam", "ff_siwis")
    ]
    assert told == [
        ("Sky", ("en-US",), Gender.FEMALE),
        ("Adam", ("en-US",), Gender.MALE),
        ("Siwis", ("fr-FR",), Gender.FEMALE),
    ]
    assert {voice.provider for voice in voices.values()} == {"kokoro"}


@pytest.mark.parametrize(
    ("voice", "first"), [(None, "af_heart"), ("bf_emma", "bf_emma"), ("af_sky+am_adam",) * 2]
)
def test_the_default_voice_comes_first(files: Files, voice: str | None, first: str) -> None:
    assert make(files, voice=voice).voices()[0].id == first


def test_voices_differ(engine: KokoroEngine) -> None:
    first, second = [say(engine, voice=voice) for voice in ("af_sky", "am_adam")]
    assert len(first) == len(second)
    assert not np.array_equal(first, second)


def test_a_mix_is_a_voice_by_the_name_it_was_given(files: Files) -> None:
    engine = make(files, mixes={"narrator": "bf_emma(3)+af_sky"})
    narrator = next(voice for voice in engine.voices() if voice.id == "narrator")
    assert (narrator.languages, narrator.description) == (("en-GB",), "bf_emma(3)+af_sky")
    assert np.array_equal(say(engine, voice="narrator"), say(engine, voice="bf_emma(3)+af_sky"))


def test_a_mix_lies_where_its_weights_say(engine: KokoroEngine) -> None:
    # In the network made here a style is one number: af_heart's 1, am_adam's 3, af_sky's 2.
    mix, between = [say(engine, voice=voice) for voice in ("af_heart+am_adam", "af_sky")]
    assert np.allclose(mix, between, atol=1e-4)
    assert not np.allclose(say(engine, voice="af_heart(3)+am_adam"), between, atol=1e-4)


@pytest.mark.parametrize("voice", ["af_hart", "af_heart+af_nobody", "../af_heart.npy", "narrator"])
def test_a_voice_nobody_has_is_refused(engine: KokoroEngine, voice: str) -> None:
    with pytest.raises((VoiceNotFoundError, InvalidParameterError)):
        say(engine, voice=voice)


def test_a_default_voice_nobody_has_is_told_when_it_is_loaded(files: Files) -> None:
    with pytest.raises(VoiceNotFoundError, match="nearest: af_heart"):
        make(files, voice="af_hart").load()


names = st.from_regex(r"[a-z][fm]_[a-z]{1,8}", fullmatch=True)
weights = st.decimals("0.1", "99", places=2)


@given(st.lists(st.tuples(names, weights), min_size=1, max_size=5))
def test_the_parts_of_a_mix_are_those_written_and_make_a_whole(
    parts: list[tuple[str, object]],
) -> None:
    found = shares(" + ".join(f"{voice}({weight})" for voice, weight in parts))
    assert [share.voice for share in found] == [voice for voice, _ in parts]
    assert sum(share.weight for share in found) == pytest.approx(1)


@given(st.text(st.sampled_from("af_()+.12 *"), max_size=20))
def test_what_is_no_mix_is_refused_by_name(recipe: str) -> None:
    try:
        found = shares(recipe)
    except InvalidParameterError:
        return
    assert all(share.voice for share in found)


# Languages


def test_a_voice_reads_its_own_language(engine: KokoroEngine) -> None:
    french, english = [say(engine, "Chat noir.", voice=v) for v in ("ff_siwis", "af_sky")]
    assert len(french) != len(english)


def test_a_voice_may_be_asked_to_read_another(engine: KokoroEngine) -> None:
    asked = say(engine, "Chat noir.", voice="af_sky", language="fr")
    assert len(asked) == len(say(engine, "Chat noir.", voice="ff_siwis"))


def test_tts_yaml_may_say_what_is_read(files: Files) -> None:
    french = make(files, language="fr-FR")
    assert len(say(french, "Chat noir.")) == len(say(french, "Chat noir.", language="fr"))


def test_a_language_alone_finds_its_voice(engine: KokoroEngine) -> None:
    heard = say(engine, "Chat noir.", language="fr")
    assert np.array_equal(heard, say(engine, "Chat noir.", voice="ff_siwis"))


@pytest.mark.parametrize(
    ("language", "espeak"),
    [("en", "en-us"), ("en-GB", "en-gb"), ("en-AU", "en-us"), ("pt", "pt-br"), ("cmn-CN", "cmn")],
)
def test_a_language_is_read_by_the_nearest_rules(language: str, espeak: str) -> None:
    assert tongue_for(language).espeak == espeak


def test_a_language_it_was_not_trained_on_is_refused(engine: KokoroEngine) -> None:
    with pytest.raises(UnsupportedLanguageError, match="does not speak de"):
        say(engine, "Guten Tag.", voice="af_sky", language="de")


# Loading and settings


def test_voices_are_known_before_the_model_is_loaded(files: Files, tmp_path: Path) -> None:
    engine = KokoroEngine(model=str(tmp_path / "none.onnx"), voices=str(files[1]))
    assert engine.voices()
    with pytest.raises(ModelLoadError, match=r"none\.onnx"):
        engine.load()


def test_a_damaged_model_is_refused(files: Files, tmp_path: Path) -> None:
    (tmp_path / "half.onnx").write_bytes(b"half a download")
    with pytest.raises(ModelLoadError, match=r"half\.onnx is no model"):
        make((tmp_path / "half.onnx", files[1])).load()


@pytest.mark.parametrize("content", [b"", b"half a download", b"PK\x03\x04"])
def test_damaged_voices_are_refused(files: Files, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "half.bin").write_bytes(content)
    with pytest.raises(ModelLoadError, match=r"half\.bin holds no voices"):
        make((files[0], tmp_path / "half.bin")).load()


def test_voices_that_are_a_pickle_are_not_opened(files: Files, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "sprung",)

    np.save(tmp_path / "voices.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(ModelLoadError):
        make((files[0], tmp_path / "voices.npy")).load()
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({}, "model", id="no model"),
        pytest.param({"language": "de"}, "does not speak de", id="language"),
        pytest.param({"mixes": {"me": "af_sky+"}}, "is no mix", id="mix"),
        pytest.param({"sentence_pause": -1}, "sentence_pause", id="pause"),
    ],
)
def test_settings_that_cannot_work_are_refused_early(
    options: dict[str, object], named: str
) -> None:
    paths = {"model": "kokoro.onnx", "voices": "voices.bin"} if options else {}
    with pytest.raises(ValidationError, match=named):
        KokoroOptions.model_validate(paths | options)


async def test_an_option_it_does_not_know_is_named(booth: Booth, adapter: LentKokoro) -> None:
    with pytest.raises(InvalidParameterError, match="did you mean 'sentence_pause'"):
        await booth.hear(adapter, SENTENCE, options={"sentence_paus": 1})


async def test_the_packages_log_does_not_tell_the_text(
    booth: Booth, adapter: LentKokoro, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"), caplog.at_level("DEBUG", logger="kokoro_onnx"):
        await booth.hear(adapter, "Zanzibar is a secret.")
    assert "\u02c8" not in caplog.text  # the phonemes' stress
    assert "Zanzibar" not in caplog.text


@pytest.mark.parametrize("anyio_backend", ["trio"])  # a worker has seconds of imports before it
async def test_it_speaks_in_a_process_of_its_own(
    booth: Booth, files: Files, engine: KokoroEngine
) -> None:
    adapter = KokoroAdapter(KokoroOptions(model=files[0], voices=files[1]))
    await booth.open(adapter)
    heard = await booth.hear(adapter, SENTENCE, timestamps=Timestamps.WORD)
    assert np.array_equal(heard.samples, say(engine))
    assert len(heard.words) == len(SENTENCE.split())
    assert len(workers()) == 1


def test_its_worker_finds_the_files_from_anywhere(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files[0].parent)
    options = KokoroOptions(model=Path(files[0].name), voices=Path(files[1].name))
    told = KokoroAdapter(options).engine(downloads=False).arguments
    assert (told["model"], told["voices"]) == tuple(map(str, files))
