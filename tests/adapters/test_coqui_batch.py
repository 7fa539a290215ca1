"""Sentences of requests at the same time, read by Coqui's VITS in one go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.engines.coqui_voice import CoquiVoice
from ttskit import AsyncTTSService
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.codecs.pcm import Samples
from ttskit.resources.engine import EngineJob

pytestmark = [pytest.mark.engine("coqui", "piper")]
TEXTS = (
    "The train to Oxford leaves at half past nine.",
    "She opened the old wooden door and walked in.",
    "Please bring me a glass of cold water now.",
    "The weather will be warm and sunny this afternoon.",
)


@pytest.fixture(scope="module")
def batched(coqui_voice: CoquiVoice) -> Iterator[CoquiEngine]:
    engine = made(coqui_voice.model, noise_scale=0.0, noise_scale_dp=0.0)
    yield engine
    engine.close()


def made(model: Path, **defaults: float) -> CoquiEngine:
    engine = CoquiEngine(model=str(model), runtime="torch", batch=4, defaults=dict(defaults))
    engine.load()
    return engine


def heard(engine: CoquiEngine, text: str, **settings: object) -> Samples:
    job = EngineJob(text, **settings)  # type: ignore[arg-type] # the test's own
    return np.concatenate([chunk.samples for chunk in engine.synthesize(job, threading.Event())])


class Sizes:
    """How many sentences each call of the network's reader got."""

    def __init__(self, engine: CoquiEngine) -> None:
        self.seen: list[int] = []
        batched = engine._made._voice._runtime  # type: ignore[union-attr] # the network itself
        network = batched._latents._run.__self__._model
        network.text_encoder.register_forward_pre_hook(
            lambda _, given: self.seen.append(len(given[0]))
        )


def together(engine: CoquiEngine, *jobs: tuple[str, dict[str, object]]) -> list[Samples]:
    """Have all the jobs made at the same time."""
    everyone = threading.Barrier(len(jobs))

    def speak(job: tuple[str, dict[str, object]]) -> Samples:
        everyone.wait(60)
        return heard(engine, job[0], **job[1])

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(speak, jobs))


def test_a_batch_says_what_each_sentence_alone_would(
    batched: CoquiEngine, coqui_engines: dict[str, CoquiEngine]
) -> None:
    sizes = Sizes(batched)
    for _ in range(2):  # whether calls meet is the scheduler's decision
        takes = together(batched, *((text, {}) for text in TEXTS))
        for text, take in zip(TEXTS, takes, strict=True):
            alone = heard(coqui_engines["torch"], text)
            assert len(take) == len(alone)
            # Behind a shorter sentence silence is decoded, too, which reaches a little into it.
            assert np.allclose(take[:-8_000], alone[:-8_000], atol=1e-3)
            assert np.abs(take - alone).max() < 0.05
    assert max(sizes.seen) > 1


def test_words_are_timed_in_a_batch_as_they_are_alone(
    batched: CoquiEngine, coqui_engines: dict[str, CoquiEngine]
) -> None:
    def words(engine: CoquiEngine, text: str) -> list[object]:
        job = EngineJob(text, want_words=True)
        return [w for chunk in engine.synthesize(job, threading.Event()) for w in chunk.words]

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda text: words(batched, text), TEXTS))
    assert told == [words(coqui_engines["torch"], text) for text in TEXTS]


def test_a_seed_repeats_whoever_speaks_at_the_same_time(coqui_voice: CoquiVoice) -> None:
    engine = made(coqui_voice.model, noise_scale=0.7, noise_scale_dp=0.8)
    alone = heard(engine, TEXTS[0], seed=5)
    seeded: dict[str, object] = {"seed": 5}
    takes = together(engine, (TEXTS[0], seeded), (TEXTS[1], {}), (TEXTS[2], {}))
    assert np.array_equal(takes[0], alone)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_worker_is_given_as_many_requests_as_it_reads_together(
    coqui_voice: CoquiVoice,
) -> None:
    import anyio

    options = CoquiOptions(
        model=str(coqui_voice.model), runtime="torch", batch=4, noise_scale=0, noise_scale_dp=0
    )
    lengths: dict[str, int] = {}
    async with AsyncTTSService(providers=[CoquiAdapter(options)]) as tts:

        async def ask(text: str) -> None:
            lengths[text] = len((await tts.synthesize(text)).samples)

        async with anyio.create_task_group() as tasks:
            for text in TEXTS:
                tasks.start_soon(ask, text)
        together = dict(lengths)
        for text in TEXTS:
            await ask(text)
    assert together == lengths
