"""How audio shows itself in a notebook."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typing_extensions import override

from ttskit import notebook
from ttskit.audio import Audio, Provenance, WordTiming
from ttskit.codecs.decode import decode
from ttskit.codecs.pcm import Samples

HOSTILE = '"><script>alert(1)</script>&'


class Page(HTMLParser):
    """The elements of a page, their attributes and texts; complains of wrong nesting."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def tone(frames: int, *, channels: int = 1) -> Samples:
    wave: Samples = np.sin(np.arange(frames) / 10).astype(np.float32) * np.float32(0.5)
    return wave if channels == 1 else np.stack([wave, -wave], axis=1)


def timings(*words: str, duration: float = 1.0) -> list[WordTiming]:
    each = duration / max(1, len(words))
    return [WordTiming(word, i * each, (i + 1) * each, (0, 0)) for i, word in enumerate(words)]


def speech(
    *words: str, encoding: str = "wav", provider: str = "hibari", samples: Samples | None = None
) -> Audio:
    samples = tone(8_000) if samples is None else samples
    return Audio.from_samples(
        samples,
        sample_rate=8_000,
        format=encoding,  # type: ignore[arg-type] # the test's parameters are plain strings
        words=timings(*words),
        origin=Provenance(provider=provider, voice="heart"),
    )


def embedded(source: str) -> tuple[str, bytes]:
    """Return the media type and the file inside the page."""
    page = Page(source)
    address = dict(page.attributes)["src"]
    kind, _, data = address.removeprefix("data:").partition(";base64,")
    return kind, base64.b64decode(data, validate=True)


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [("wav", "audio/wav"), ("flac", "audio/flac"), ("mp3", "audio/mpeg"), ("ogg", "audio/ogg")],
)
def test_the_player_holds_the_very_file(encoding: str, kind: str) -> None:
    audio = speech(encoding=encoding)
    assert embedded(audio._repr_html_()) == (kind, audio.data)


@pytest.mark.parametrize("encoding", ["pcm", "mulaw", "alaw"])
def test_what_no_browser_plays_is_embedded_as_wav(encoding: str) -> None:
    kind, data = embedded(speech(encoding=encoding)._repr_html_())
    assert kind == "audio/wav"
    assert decode(data).samples.shape == (8_000,)


def test_provider_and_voice_and_facts_are_shown() -> None:
    page = Page(speech()._repr_html_())
    assert {"hibari · heart", "wav · 1.00 s · 8000 Hz · mono"} <= set(page.texts)


def test_words_are_labels_and_tooltips() -> None:
    page = Page(speech("Hello", "there")._repr_html_())
    assert page.texts.count("Hello") == 1
    assert "Hello\n0.00–0.50 s" in page.texts  # noqa: RUF001 - as ranges are written


def test_crowded_words_are_tooltips_only() -> None:
    page = Page(speech(*["chatter"] * 200)._repr_html_())
    assert page.tags.count("title") == 200
    assert "text" not in page.tags


def test_nothing_in_a_word_or_a_name_becomes_markup() -> None:
    page = Page(speech(HOSTILE, provider=HOSTILE)._repr_html_())
    assert "script" not in page.tags
    assert f"{HOSTILE} · heart" in page.texts
    assert HOSTILE in page.texts


def test_nothing_comes_from_outside() -> None:
    source = speech("Hello")._repr_html_()
    page = Page(source)
    assert not re.search(r"https?:|url\(|@import", source)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert dict(page.attributes)["src"].startswith("data:")


def test_long_audio_is_drawn_but_not_kept_in_the_page() -> None:
    long = speech(samples=tone(notebook.MAX_EMBEDDED_BYTES // 2))
    source = long._repr_html_()
    assert "audio" not in Page(source).tags
    assert len(source) < 40_000


@pytest.mark.parametrize("frames", [0, 1, 2, 599, 600, 601, 100_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_of_any_length_is_drawn_inside_the_frame(frames: int, channels: int) -> None:
    page = Page(speech(samples=tone(frames, channels=channels))._repr_html_())
    numbers = re.findall(r"[\d.]+", dict(page.attributes)["d"])
    assert len(numbers) <= 4 * notebook.COLUMNS
    assert all(0 <= float(number) <= notebook.COLUMNS for number in numbers)


@given(
    samples=hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-1, 1, width=32)),
    columns=st.integers(1, 50),
)
def test_peaks_miss_no_sample(samples: Samples, columns: int) -> None:
    lows, highs = notebook.peaks(samples, columns)
    assert len(lows) == len(highs) == min(columns, len(samples))
    assert (min(lows), max(highs)) == (samples.min(), samples.max())
    assert all(low <= high for low, high in zip(lows, highs, strict=True))
