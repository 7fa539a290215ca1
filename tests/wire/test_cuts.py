"""Wherever a connection breaks, at odd bytes too, each word is heard once."""

from __future__ import annotations

from contextlib import ExitStack

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import examples
from tests.wire.conftest import Clouds, spoken
from ttskit.audio import Audio
from ttskit.testing import Framing, Reply, transcribe
from ttskit.testing.wire import Ending

TEXT = "One two three four."
RATE = 8_000
PCM_BYTES = 2 * len(spoken(TEXT, "p0:alto", RATE))
"""The first provider's whole answer, without the header of a WAV."""
BACKENDS = st.sampled_from(["asyncio", "trio"])


def heard_after(cut: Reply, *, audio_format: str, backend: str) -> Audio:
    """Return what is heard when the first provider's answers are cut, and the second is well."""

    async def main() -> Audio:
        async with clouds.service() as tts:
            return await tts.synthesize(TEXT)

    with ExitStack() as stack:
        clouds = Clouds(stack)
        clouds.add(rate=RATE, audio_format=audio_format).reply(cut)
        clouds.add(rate=RATE, audio_format=audio_format)
        return anyio.run(main, backend=backend)


@settings(max_examples=examples(ci=40, nightly=2_000))
@given(
    at=st.integers(0, PCM_BYTES - 1),
    ending=st.sampled_from([Ending.RESET, Ending.CLOSE]),
    framing=st.sampled_from([Framing.LENGTH, Framing.CHUNKED]),
    audio_format=st.sampled_from(["wav", "pcm"]),
    backend=BACKENDS,
)
def test_a_body_that_breaks_off_at_any_byte_is_spoken_by_the_next_provider(
    at: int, ending: Ending, framing: Framing, audio_format: str, backend: str
) -> None:
    cut = Reply(ending=ending, at=at, framing=framing)
    audio = heard_after(cut, audio_format=audio_format, backend=backend)
    assert transcribe(audio) == TEXT
    assert audio.origin.provider == "p1"


@settings(max_examples=examples(ci=20, nightly=1_000))
@given(at=st.integers(0, PCM_BYTES - 1), backend=BACKENDS)
def test_a_wav_that_ends_early_as_if_whole_is_found_out_at_any_byte(at: int, backend: str) -> None:
    cut = Reply(ending=Ending.CLOSE, at=at, framing=Framing.CLOSE)
    audio = heard_after(cut, audio_format="wav", backend=backend)
    assert transcribe(audio) == TEXT
    assert audio.origin.provider == "p1"


@settings(max_examples=examples(ci=20, nightly=1_000))
@given(half=st.integers(0, PCM_BYTES // 2 - 1), backend=BACKENDS)
def test_raw_audio_that_ends_within_a_sample_is_found_out(half: int, backend: str) -> None:
    # On the border of a sample, with no length told, nothing tells it from a quick speaker.
    cut = Reply(ending=Ending.CLOSE, at=2 * half + 1, framing=Framing.CLOSE)
    audio = heard_after(cut, audio_format="pcm", backend=backend)
    assert transcribe(audio) == TEXT
    assert audio.origin.provider == "p1"
