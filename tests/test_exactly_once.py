"""Whatever providers do, each sentence is heard once and in order, or an error says what was heard.

Random schedules of texts, providers, faults and listeners, on virtual time and both event loops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttskit import AsyncTTSService
from ttskit.audio import AudioChunk, Outcome
from ttskit.errors import NetworkError, RateLimitedError, TTSError
from ttskit.testing import Faults, MockAdapter, transcribe, virtual_time

EXAMPLES = 2_000
"""For each event loop half of them."""

Script = Callable[[Faults], object]
FAULTS: list[Script] = [
    lambda faults: faults.fail_first(1, NetworkError),
    lambda faults: faults.fail_first(2, NetworkError),
    lambda faults: faults.fail_first(99),
    lambda faults: faults.fail_first(99, RateLimitedError),
    lambda faults: faults.die_mid_stream(at=0.1),
    lambda faults: faults.die_mid_stream(at=0.6, times=1),
    lambda faults: faults.die_mid_stream(at=0.9),
    lambda faults: faults.silence(times=1),
    lambda faults: faults.empty(),
    lambda faults: faults.hang(at=0.3),
    lambda faults: faults.slow(first=3.0, per_chunk=1.0),
    lambda faults: faults.revoke_key(),
    lambda faults: faults.rate_limit(after=1, retry_after=600),
    lambda faults: faults.rate_limit(after=2, retry_after=0.5),
    lambda faults: faults.heal(),
]
WORDS = ["One", "two", "Mr. Fox", "3.14", "C++", "caf\u00e9", "node.js", "\u4eca\u65e5", "why"]


@dataclass(frozen=True)
class Schedule:
    """One run: what is said, who fails how, and how the listener behaves."""

    text: str
    faults: list[list[int]]
    leaves_after: int | None
    pause_s: float
    arrives_in: int
    """Characters at a time; 0: the text is all there."""


sentences = st.lists(st.sampled_from(WORDS), min_size=2, max_size=6).map(
    lambda words: " ".join(words) + "."
)
schedules = st.builds(
    Schedule,
    text=st.lists(sentences, min_size=1, max_size=4).map(" ".join),
    faults=st.lists(st.lists(st.integers(0, len(FAULTS) - 1), max_size=2), min_size=1, max_size=3),
    leaves_after=st.none() | st.integers(0, 5),
    pause_s=st.sampled_from([0.0, 0.0, 45.0]),
    arrives_in=st.sampled_from([0, 1, 7]),
)


class Run:
    """Plays a schedule and keeps what was heard."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.heard: list[AudioChunk] = []
        self.error: TTSError | None = None
        self.outcome: Outcome | None = None
        self.adapters = [
            MockAdapter(provider=f"p{number}", sample_rate=8_000, chunk_s=0.2)
            for number in range(len(schedule.faults))
        ]
        for adapter, chosen in zip(self.adapters, schedule.faults, strict=True):
            for index in chosen:
                FAULTS[index](adapter.faults)

    async def main(self) -> None:
        text: object = self.schedule.text
        if step := self.schedule.arrives_in:
            text = [self.schedule.text[at : at + step] for at in range(0, len(str(text)), step)]
        async with AsyncTTSService(providers=self.adapters) as tts:
            stream = tts.stream(text)  # type: ignore[arg-type] # any of its kinds
            try:
                async with stream as speech:
                    async for chunk in speech:
                        self.heard.append(chunk)
                        if len(self.heard) == self.schedule.leaves_after:
                            break
                        await anyio.sleep(self.schedule.pause_s)
            except TTSError as error:
                self.error = error
            self.outcome = stream.origin.outcome

    def check(self) -> None:
        said = transcribe(self.heard) if self.heard else ""
        left = self.schedule.leaves_after is not None
        if self.error is None and not left:
            assert said == self.schedule.text
        if not left:
            assert (self.outcome is Outcome.TRUNCATED) == (self.error is not None)
        assert self.schedule.text.startswith(said), said
        assert [adapter.running for adapter in self.adapters] == [0] * len(self.adapters)


@settings(max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.too_slow])
@given(schedules)
def test_each_sentence_is_heard_once_on_asyncio(schedule: Schedule) -> None:
    run = Run(schedule)
    virtual_time(run.main, seed=len(schedule.text))
    run.check()


@settings(max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.too_slow])
@given(schedules)
def test_each_sentence_is_heard_once_on_trio(schedule: Schedule) -> None:
    run = Run(schedule)
    virtual_time(run.main, backend="trio")
    run.check()
