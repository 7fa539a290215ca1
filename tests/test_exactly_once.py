"""Whatever providers do, each sentence is heard once and in order, or an error says what was heard.

Random schedules of texts, providers, faults and listeners, on virtual time and both event loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.effort import examples
from ttskit import AsyncTTSService, SpeechStream
from ttskit.audio import AudioChunk, Outcome, Spoken, WordTiming
from ttskit.errors import NetworkError, RateLimitedError, TTSError
from ttskit.testing import Census, Faults, MockAdapter, transcribe, virtual_time

EACH = examples(ci=1_000, nightly=10_000)
"""Schedules for each event loop; both together are what is promised."""

Script = Callable[[Faults, float], object]
FAULTS: dict[str, Script] = {
    "one hiccup": lambda faults, _: faults.fail_first(1, NetworkError),
    "two hiccups": lambda faults, _: faults.fail_first(2, NetworkError),
    "down": lambda faults, _: faults.outage(),
    "overloaded": lambda faults, _: faults.fail_first(99, RateLimitedError),
    "dies": lambda faults, at: faults.die_mid_stream(at=at),
    "dies once": lambda faults, at: faults.die_mid_stream(at=at, times=1),
    "silent once": lambda faults, _: faults.silence(times=1),
    "a web page once": lambda faults, _: faults.html(times=1),
    "empty": lambda faults, _: faults.empty(),
    # Before that a short text may not have one whole word, and nothing tells what is missing.
    "ends early": lambda faults, at: faults.truncate(at=0.8 + 0.2 * at),
    "hangs": lambda faults, at: faults.hang(at=at),
    "slow": lambda faults, _: faults.slow(first=3.0, per_chunk=1.0),
    "no key": lambda faults, _: faults.revoke_key(),
    "one a minute": lambda faults, _: faults.rate_limit(after=1, retry_after=600),
    "two a moment": lambda faults, _: faults.rate_limit(after=2, retry_after=0.5),
    "well": lambda faults, _: faults.heal(),
}
WORDS = ["One", "two", "Mr. Fox", "3.14", "C++", "caf\u00e9", "node.js", "\u4eca\u65e5", "why"]
RATES = [8_000, 11_025, 16_000]
DELIVERIES = ["exact", "live"]


@dataclass(frozen=True)
class Schedule:
    """One run: what is said, who fails how, what was asked for, and how the listener behaves."""

    text: str
    faults: list[list[tuple[str, float]]]
    """Of each provider: a name in ``FAULTS``, and where in the audio."""
    rates: list[int]
    leaves: str
    """``never``, by ``break``, ``exception`` or ``cancel``; or it takes the ``whole`` at once."""
    after: int
    """Chunks."""
    pause_s: float
    arrives_in: int
    """Characters at a time; 0: the text is all there."""
    delivery: str
    format: str | None
    rate: int | None
    timestamps: str
    fast_start: bool

    @property
    def is_heard_out(self) -> bool:
        return self.leaves in {"never", "whole"}

    @property
    def options(self) -> dict[str, object]:
        return {
            "delivery": self.delivery,
            "format": self.format,
            "sample_rate": self.rate,
            "timestamps": self.timestamps,
        }


sentences = st.builds(
    # Within a word that is written without spaces nothing tells that its end is missing.
    lambda words, last: " ".join([*words, last]) + ".",
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5),
    st.sampled_from([word for word in WORDS if word.isascii()]),
)
schedules = st.builds(
    Schedule,
    text=st.lists(sentences, min_size=1, max_size=4).map(" ".join),
    faults=st.lists(
        st.lists(st.tuples(st.sampled_from(list(FAULTS)), st.floats(0, 1)), max_size=2),
        min_size=1,
        max_size=3,
    ),
    rates=st.lists(st.sampled_from(RATES), min_size=3, max_size=3),
    leaves=st.sampled_from(["never", "never", "whole", "break", "exception", "cancel"]),
    after=st.integers(1, 6),
    pause_s=st.sampled_from([0.0, 0.0, 45.0]),
    arrives_in=st.sampled_from([0, 1, 7]),
    delivery=st.sampled_from(DELIVERIES),
    format=st.sampled_from([None, "wav", "flac"]),
    rate=st.none() | st.sampled_from(RATES),
    timestamps=st.sampled_from(["none", "word"]),
    fast_start=st.booleans(),
)


PLAIN = Schedule(
    text="One two.",
    faults=[[]],
    rates=RATES,
    leaves="never",
    after=1,
    pause_s=0.0,
    arrives_in=0,
    delivery="exact",
    format=None,
    rate=None,
    timestamps="none",
    fast_start=True,
)


class Run:
    """Plays a schedule and keeps what was heard."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.heard: list[AudioChunk] = []
        self.said = ""
        self.ledger: tuple[Spoken, ...] = ()
        self.words: list[WordTiming] = []
        self.frames = 0
        self.error: TTSError | None = None
        self.outcome: Outcome | None = None
        self.tasks_left = 0
        self.adapters = [
            MockAdapter(provider=f"p{number}", sample_rate=rate, chunk_s=0.2)
            for number, (rate, _) in enumerate(zip(schedule.rates, schedule.faults, strict=False))
        ]
        for adapter, chosen in zip(self.adapters, schedule.faults, strict=True):
            for name, at in chosen:
                # Live, a single word may be left, of which nothing tells that it was cut off.
                if name != "ends early" or schedule.delivery == "exact":
                    FAULTS[name](adapter.faults, at)

    async def main(self) -> None:
        tasks = len(anyio.get_running_tasks())
        config = {"text": {"fast_start": self.schedule.fast_start}}
        async with AsyncTTSService(config, providers=self.adapters) as tts:
            try:
                await (self.take if self.schedule.leaves == "whole" else self.listen)(tts)
            except TTSError as error:
                self.error = error
        self.tasks_left = len(anyio.get_running_tasks()) - tasks

    async def take(self, tts: AsyncTTSService) -> None:
        audio = await tts.synthesize(self.schedule.text, **self.schedule.options)
        self.said = transcribe(audio if self.schedule.format is None else audio.data)
        self.frames, self.ledger, self.words = len(audio.samples), audio.ledger, list(audio.words)

    async def listen(self, tts: AsyncTTSService) -> None:
        stream = tts.stream(self.text(), **self.schedule.options)  # type: ignore[arg-type] # any
        try:
            with anyio.CancelScope() as scope:
                await self.follow(stream, scope)
        except LookupError:
            assert self.schedule.leaves == "exception"
        finally:
            self.said = self.understood()
            self.frames = sum(len(chunk.samples) for chunk in self.heard)
            self.words = [word for chunk in self.heard for word in chunk.words]
            self.ledger, self.outcome = stream.ledger, stream.origin.outcome

    def understood(self) -> str:
        """Return what was said; a file that is whole is read as a player would."""
        if self.schedule.format is not None and self.heard and self.heard[-1].last:
            return transcribe(b"".join(chunk.data for chunk in self.heard))
        return transcribe(self.heard) if self.heard else ""

    async def follow(self, stream: SpeechStream, scope: anyio.CancelScope) -> None:
        leaves = self.schedule.leaves
        async with stream as speech:
            async for chunk in speech:
                self.heard.append(chunk)
                if leaves != "never" and len(self.heard) == self.schedule.after:
                    if leaves == "exception":
                        raise LookupError
                    if leaves == "break":
                        break
                    scope.cancel()
                await anyio.sleep(self.schedule.pause_s)

    def text(self) -> str | list[str]:
        text, step = self.schedule.text, self.schedule.arrives_in
        return [text[at : at + step] for at in range(0, len(text), step)] if step else text

    def check(self) -> None:
        text = self.schedule.text
        if self.schedule.is_heard_out and self.error is None:
            assert joined(self.said) == joined(text)
            self.check_whole_record()
        assert joined(text).startswith(joined(self.said)), self.said
        if self.schedule.leaves == "never":
            assert (self.outcome is Outcome.TRUNCATED) == (self.error is not None)
        self.check_record()
        assert [adapter.running for adapter in self.adapters] == [0] * len(self.adapters)
        assert self.tasks_left == 0

    def check_record(self) -> None:
        """The ledger has no gaps, and word times are in order and of the caller's own text."""
        for before, after in pairwise(self.ledger):
            assert before.frames[1] == after.frames[0]
            assert before.text[1] == after.text[0]
        assert all(entry.frames[0] == entry.text[0] == 0 for entry in self.ledger[:1])
        assert all(a.start <= b.start and a.span[1] <= b.span[0] for a, b in pairwise(self.words))
        assert all(self.schedule.text[slice(*word.span)] == word.word for word in self.words)
        assert len({chunk.sample_rate for chunk in self.heard}) <= 1

    def check_whole_record(self) -> None:
        text = self.schedule.text
        assert self.ledger[-1].text[1] == len(text)
        assert self.ledger[-1].frames[1] == self.frames
        if self.schedule.timestamps == "word":
            assert "".join(word.word for word in self.words) == joined(text)


def joined(text: str) -> str:
    """Return the text without its spaces: live speech may go on between two characters."""
    return "".join(text.split())


async def counted(before: Census | None = None) -> Census:
    if before is not None:
        await before.check()
    return Census.take()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Threads, descriptors and processes are counted around all schedules, tasks around each."""
    virtual_time(Run(PLAIN).main)
    before = anyio.run(counted)
    yield
    anyio.run(counted, before)


@settings(max_examples=EACH, suppress_health_check=list(HealthCheck))
@given(schedules)
def test_each_sentence_is_heard_once_on_asyncio(schedule: Schedule) -> None:
    run = Run(schedule)
    virtual_time(run.main, seed=len(schedule.text))
    run.check()


@settings(max_examples=EACH, suppress_health_check=list(HealthCheck))
@given(schedules)
def test_each_sentence_is_heard_once_on_trio(schedule: Schedule) -> None:
    run = Run(schedule)
    virtual_time(run.main, backend="trio")
    run.check()
