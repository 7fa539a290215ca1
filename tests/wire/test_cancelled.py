"""Cancelled anywhere on a real connection, a request leaves nothing and marks nobody down."""

from __future__ import annotations

import anyio
import pytest

from tests.resources.http.conftest import WIRES, Wire
from tests.wire.conftest import SPEECH, Clouds
from ttskit import AsyncTTSService
from ttskit.testing import CancelSweep, transcribe

pytestmark = pytest.mark.anyio
TEXT = "One two."


@pytest.fixture(params=WIRES, ids="-".join)
def wire(request: pytest.FixtureRequest) -> Wire:
    loop, transport = request.param
    return loop, transport


@pytest.fixture
def anyio_backend(wire: Wire) -> str:
    return wire[0]


async def is_well(tts: AsyncTTSService) -> None:
    assert {(one.state, one.error_rate or 0.0) for one in tts.health()} <= {("closed", 0.0)}
    with anyio.fail_after(20):
        audio = await tts.synthesize("Still.")
    assert (transcribe(audio), audio.origin.provider) == ("Still.", "p0")


@pytest.mark.parametrize("delivery", ["exact", "live"])
async def test_a_request_cancelled_on_the_wire_leaves_nothing_and_marks_nobody(
    clouds: Clouds, wire: Wire, delivery: str
) -> None:
    clouds.add(rate=8_000).trickle(step=2_000, every_s=0.001)
    async with clouds.service(
        transport=wire[1], timeouts={"first_audio_s": 20, "stall_s": 20}
    ) as tts:
        report = await CancelSweep(
            lambda: tts.synthesize(TEXT, delivery=delivery), invariant=lambda: is_well(tts)
        ).run()
    assert report.cases > 5


async def test_a_failover_cancelled_on_the_wire_leaves_nothing_and_marks_nobody(
    clouds: Clouds, wire: Wire
) -> None:
    first, _ = clouds.add(rate=8_000), clouds.add(rate=8_000)
    async with clouds.service(
        transport=wire[1], timeouts={"first_audio_s": 20, "stall_s": 20}
    ) as tts:

        async def work() -> None:
            # It says nothing about health: each run finds the provider as it was.
            first.heal().fail(429, retry_after=60)
            assert (await tts.synthesize(TEXT)).origin.provider == "p1"
            first.heal()
            await tts.synthesize(TEXT)  # so that a connection to each waits for the next request

        async def healed() -> None:
            first.heal()
            await is_well(tts)

        await CancelSweep(work, invariant=healed).run()
    assert {one.target for one in first.requests} == {SPEECH}
