"""What the modem voice says can be read back, whatever was done to the sound on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.codecs.decode import decode
from ttskit.codecs.encode import encode
from ttskit.codecs.pcm import Samples
from ttskit.codecs.resample import resample
from ttskit.errors import InvalidParameterError, InvalidResponseError
from ttskit.testing import listen, transcribe
from ttskit.testing.modem import Modem

TEXT = "One two three. Grüße, 你好世界! The fox 🦊 leaves at half past nine."
RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]
unhurried = settings(deadline=None, max_examples=60)
"""A first example builds tables, and may take long on a busy machine."""
ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=60)


def speech(text: str, sample_rate: int = 24_000, *, speed: float = 1.0) -> Samples:
    parts = Modem(sample_rate, speed=speed).speak(text, "mock:alto")
    return np.concatenate([part.samples for part in parts])


SPEECH = speech(TEXT)


@unhurried
@given(text=ANY_TEXT, sample_rate=st.sampled_from(RATES))
def test_any_text_is_read_back_exactly(text: str, sample_rate: int) -> None:
    assert transcribe((speech(text, sample_rate), sample_rate)) == text


@unhurried
@given(percent=st.integers(50, 200), sample_rate=st.integers(8_000, 48_000))
def test_any_speed_and_sample_rate_is_understood(percent: int, sample_rate: int) -> None:
    samples = speech(TEXT, sample_rate, speed=percent / 100)
    assert transcribe((samples, sample_rate)) == TEXT


@unhurried
@given(source=st.sampled_from(RATES), target=st.sampled_from(RATES), speed=st.sampled_from([1, 2]))
def test_resampling_changes_nothing(source: int, target: int, speed: float) -> None:
    samples = resample(speech(TEXT, source, speed=speed), source_rate=source, target_rate=target)
    assert transcribe((samples, target)) == TEXT


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("audio_format", ["wav", "flac", "ogg", "opus", "mp3", "mulaw", "alaw"])
def test_every_format_carries_it(audio_format: str, sample_rate: int) -> None:
    data = encode(speech(TEXT, sample_rate), audio_format, sample_rate=sample_rate)
    decoded = decode(data, audio_format, sample_rate=sample_rate)
    assert transcribe((decoded.samples, decoded.sample_rate)) == TEXT


@pytest.mark.engine("av")
@pytest.mark.parametrize(
    ("audio_format", "bit_rate"),
    [("opus", 24_000), ("mp3", 24_000), ("aac", 32_000), ("m4a", 64_000)],
)
def test_few_bits_a_second_are_enough(audio_format: str, bit_rate: int) -> None:
    data = encode(SPEECH, audio_format, sample_rate=24_000, bit_rate=bit_rate)
    assert transcribe(data) == TEXT


def test_one_lossy_format_after_another_carries_it() -> None:
    samples, sample_rate = SPEECH, 24_000
    for audio_format in ["mp3", "opus", "ogg"]:
        decoded = decode(encode(samples, audio_format, sample_rate=sample_rate))
        samples, sample_rate = decoded.samples, decoded.sample_rate
    assert transcribe((samples, sample_rate)) == TEXT


@unhurried
@given(decibels=st.floats(-20, 20))
def test_louder_or_softer_it_is_understood(decibels: float) -> None:
    changed = np.clip(SPEECH * np.float32(10 ** (decibels / 20)), -1, 1)
    assert transcribe((changed, 24_000)) == TEXT


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda sound: -sound, id="inverted"),
        pytest.param(lambda sound: sound + np.float32(0.2), id="offset"),
        pytest.param(lambda sound: np.pad(sound, (1105, 600)), id="delayed by an encoder"),
        pytest.param(lambda sound: np.column_stack([sound, sound]), id="stereo"),
        pytest.param(lambda sound: np.column_stack([sound, sound * 0]), id="on the left only"),
        pytest.param(lambda sound: sound + 0.5 * np.roll(sound, 60), id="with an echo"),
    ],
)
def test_what_is_done_to_sound_does_no_harm(change: object) -> None:
    assert callable(change)
    assert transcribe((change(SPEECH).astype(np.float32), 24_000)) == TEXT


def test_noise_twenty_decibels_below_does_no_harm() -> None:
    noise = np.random.default_rng(1).normal(0, 0.011, len(SPEECH)).astype(np.float32)
    assert transcribe((SPEECH + noise, 24_000)) == TEXT


@unhurried
@given(
    texts=st.lists(st.text("ab cü.世", min_size=1).map(str.strip).filter(bool), max_size=4),
    silence=st.integers(0, 30_000),
    gains=st.lists(st.floats(0.1, 5), min_size=4, max_size=4),
)
def test_joined_utterances_are_heard_in_order(
    texts: list[str], silence: int, gains: list[float]
) -> None:
    pause = np.zeros(silence, np.float32)
    pieces = [pause]
    for text, gain in zip(texts, gains, strict=False):
        pieces += [speech(text) * np.float32(gain), pause]
    assert transcribe((np.concatenate(pieces), 24_000)) == " ".join(texts)


def test_fades_between_utterances_do_no_harm() -> None:
    first, second = speech("One two three."), speech("Four five six.")
    width = 480
    fade = np.linspace(0, 1, width, dtype=np.float32)
    crossed = first[-width:] * fade[::-1] + second[:width] * fade
    joined = np.concatenate([first[:-width], crossed, second[width:]])
    assert transcribe((joined, 24_000)) == "One two three. Four five six."


@unhurried
@given(cut=st.integers(0, len(SPEECH)))
def test_cut_anywhere_it_is_heard_up_to_the_last_whole_word(cut: int) -> None:
    text = "".join(heard.text or "" for heard in listen((SPEECH[:cut], 24_000)))
    assert said_by(cut) <= len(text) <= said_by(cut + 288)  # a symbol: its end may be missing
    assert TEXT.startswith(text)


def said_by(frame: int) -> int:
    """Return how many characters of the text are over at a frame of ``SPEECH``."""
    parts = Modem(24_000).speak(TEXT, "mock:alto")
    return max([part.span[1] for part in parts if part.span and part.end * 24_000 <= frame] + [0])


@unhurried
@given(cut=st.integers(10_000, len(SPEECH) - 1_500), silence=st.sampled_from([0, 100, 12_000]))
def test_after_a_cut_the_next_utterance_is_heard_whole(cut: int, silence: int) -> None:
    joined = [SPEECH[:cut], np.zeros(silence, np.float32), speech("And on.")]
    broken, whole = listen((np.concatenate(joined), 24_000))
    assert not broken.complete
    assert TEXT.startswith(broken.text or "")
    assert (whole.text, whole.complete) == ("And on.", True)


def test_a_cut_is_noticed_in_a_lossy_format_too() -> None:
    (heard,) = listen(encode(SPEECH[:40_000], "mp3", sample_rate=24_000))
    assert not heard.complete
    assert heard.text
    assert TEXT.startswith(heard.text)


def test_a_start_that_was_lost_is_reported() -> None:
    first, second = listen((np.concatenate([SPEECH[9_000:], speech("And on.")]), 24_000))
    assert (first.text, first.complete) == (None, False)
    assert second.text == "And on."
    assert transcribe((SPEECH[9_000:], 24_000)) == "\ufffd"


@pytest.mark.parametrize("lost", [37, 100, 2_400])
def test_frames_lost_in_the_middle_are_reported(lost: int) -> None:
    (heard,) = listen((np.concatenate([SPEECH[:30_000], SPEECH[30_000 + lost :]]), 24_000))
    assert not heard.complete
    assert heard.text
    assert heard.text.endswith("\ufffd")


def test_a_chunk_played_twice_is_reported() -> None:
    doubled = np.concatenate([SPEECH[:30_000], SPEECH[27_600:]])
    assert not any(heard.complete for heard in listen((doubled, 24_000)))


def test_a_voice_is_heard_with_its_words() -> None:
    (heard,) = listen((SPEECH, 24_000))
    assert heard.voice == "mock:alto"


@unhurried
@given(lead=st.integers(0, 20_000), sample_rate=st.sampled_from(RATES))
def test_the_place_of_an_utterance_is_right_to_a_millisecond(lead: int, sample_rate: int) -> None:
    samples = speech("One two.", sample_rate)
    padded = np.pad(samples, (lead, 3_000))
    (heard,) = listen((padded, sample_rate))
    assert heard.start_frame == pytest.approx(lead, abs=sample_rate / 1_000)
    assert heard.end_frame == pytest.approx(lead + len(samples), abs=sample_rate / 1_000)


def test_silence_says_nothing() -> None:
    assert listen((np.zeros(48_000, np.float32), 24_000)) == []
    assert transcribe((np.zeros(0, np.float32), 24_000)) == ""


def test_noise_is_reported_as_not_understood() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    assert transcribe((noise, 24_000)) == "\ufffd"


def test_what_is_no_audio_is_an_error() -> None:
    with pytest.raises(InvalidResponseError):
        transcribe(b"<html>502 Bad Gateway</html>")


@unhurried
@given(text=ANY_TEXT, sample_rate=st.sampled_from(RATES), percent=st.integers(50, 200))
def test_the_length_is_known_before_it_is_spoken(text: str, sample_rate: int, percent: int) -> None:
    speed = percent / 100
    frames = Modem(sample_rate, speed=speed).frames(text, "mock:alto")
    assert frames == len(speech(text, sample_rate, speed=speed))


@unhurried
@given(text=ANY_TEXT)
def test_words_are_timed_in_order_and_cover_the_text(text: str) -> None:
    parts = [part for part in Modem(16_000).speak(text) if part.span]
    times = [time for part in parts for time in (part.start, part.end)]
    assert times == sorted(times)
    said = [text[slice(*part.span)] for part in parts if part.span]
    assert "".join(said) == "".join(text.split())


def test_a_voice_needs_room_for_its_tones() -> None:
    with pytest.raises(InvalidParameterError):
        Modem(7_999)


@pytest.mark.parametrize("speed", [0.49, 2.01, float("nan")])
def test_a_speed_that_cannot_be_understood_is_refused(speed: float) -> None:
    with pytest.raises(InvalidParameterError):
        Modem(24_000, speed=speed)
