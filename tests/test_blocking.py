from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from ttskit import TTSService
from ttskit.errors import EmptyTextError, InvalidParameterError, ServiceClosedError
from ttskit.testing import MockAdapter, transcribe

TEXT = "One two three. Four five six."


def test_many_threads_share_one_service_and_never_mix_audio() -> None:
    texts = [f"Caller number {index} speaks. Caller {index} is done." for index in range(24)]
    with TTSService(providers=[MockAdapter()]) as tts, ThreadPoolExecutor(12) as threads:
        heard = list(threads.map(lambda text: transcribe(tts.synthesize(text)), texts))
    assert heard == texts


def test_a_stream_is_a_plain_context_manager_and_iterator() -> None:
    with TTSService(providers=[MockAdapter()]) as tts, tts.stream(TEXT) as speech:
        chunks = list(speech)
        assert speech.spoken_text(10**9) == TEXT
    assert transcribe(chunks) == TEXT
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_a_stream_left_early_stops_the_provider() -> None:
    adapter = MockAdapter()
    with TTSService(providers=[adapter]) as tts:
        with tts.stream(" ".join([TEXT] * 50)) as speech:
            next(speech)
        assert adapter.running == 0
        assert len(adapter.requests) < 100


def test_text_may_come_from_a_blocking_iterator() -> None:
    def tokens() -> Iterator[str]:
        yield from ("One two ", "three. Fo", "ur five six.")

    with TTSService(providers=[MockAdapter()]) as tts, tts.stream(tokens()) as speech:
        assert transcribe(speech.collect()) == TEXT


def test_an_async_iterator_is_refused_with_advice() -> None:
    async def tokens() -> AsyncIterator[str]:
        yield TEXT

    with (
        TTSService(providers=[MockAdapter()]) as tts,
        pytest.raises(InvalidParameterError, match="AsyncTTSService"),
    ):
        tts.stream(tokens())  # type: ignore[arg-type] # that is the point


def test_inside_a_running_event_loop_it_works_and_does_not_deadlock() -> None:
    async def main() -> str:
        with TTSService(providers=[MockAdapter()]) as tts:
            return transcribe(tts.synthesize(TEXT))

    assert anyio.run(main) == TEXT


def test_from_its_own_event_loop_a_call_is_refused_instead_of_waiting_for_itself() -> None:
    with TTSService(providers=[MockAdapter()]) as tts:

        async def nested() -> None:
            tts.synthesize(TEXT)

        with pytest.raises(InvalidParameterError, match="AsyncTTSService"):
            tts._thread.portal().call(nested)


def test_bad_input_is_raised_at_the_call() -> None:
    with TTSService(providers=[MockAdapter()]) as tts, pytest.raises(EmptyTextError):
        tts.stream("  ")


def test_a_closed_service_says_so() -> None:
    tts = TTSService(providers=[MockAdapter()])
    tts.synthesize(TEXT)
    tts.close()
    tts.close()
    with pytest.raises(ServiceClosedError):
        tts.synthesize(TEXT)


def test_closing_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with TTSService(providers=[MockAdapter()]) as tts:
        audio = tts.synthesize(TEXT)
    assert transcribe(audio) == TEXT
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param("pass", id="forgotten"),
        pytest.param("speech.__enter__(); next(speech)", id="open stream"),
        pytest.param("del tts", id="dropped"),
        pytest.param("raise SystemExit(0)", id="exit"),
    ],
)
def test_a_service_nobody_closed_does_not_hold_up_the_interpreter(ending: str) -> None:
    script = f"""
        from ttskit import TTSService
        from ttskit.testing import MockAdapter
        tts = TTSService(providers=[MockAdapter()])
        tts.synthesize("Hello there.")
        speech = tts.stream("One two three. " * 50)
        {ending}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
