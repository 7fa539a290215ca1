"""Whatever bytes come, the decoder of samples answers, or dies alone."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import effort
from tests.resources import samples
from tests.resources.decoder_farm import LIMITS, Farm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, for speed")

DEATHS = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGXCPU, 1}
"""How a decoder may end that met a file it cannot bear, the parent being told as much."""
CORPUS = [
    *samples.GOOD.values(),
    samples.encoded(samples.voice(1.2, channels=2), 16_000, "FLAC"),
    samples.encoded(samples.voice(1.2, rate=8_000), 8_000, "OGG", "VORBIS"),
    samples.silent(120, "FLAC"),
    samples.with_flac_total(samples.silent(120, "FLAC"), 0),
    samples.silent(40, "OGG"),
]
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with Farm() as opened:
        yield opened


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a file of the corpus in which something was changed, cut, doubled or spliced."""
    data = bytearray(draw(st.sampled_from(CORPUS)))
    for _ in range(draw(st.integers(1, 6))):
        # Headers are where decoders believe what they read.
        most = len(data) - 1 if draw(st.booleans()) else min(200, len(data) - 1)
        at = draw(st.integers(0, max(most, 0)))
        match draw(st.sampled_from(["flip", "number", "cut", "double", "splice", "junk"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "number":
                order = draw(st.sampled_from(["little", "big"]))
                data[at : at + 4] = draw(st.sampled_from(_NUMBERS)).to_bytes(4, order)
            case "cut":
                del data[at : at + draw(st.integers(1, 5_000))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 5_000))]
            case "splice":
                other = draw(st.sampled_from(CORPUS))
                data[at:] = other[draw(st.integers(0, len(other) - 1)) :]
            case "junk":
                data[at:at] = draw(st.binary(max_size=64))
    return bytes(data)


def check(status: int, answer: bytes) -> None:
    """Accept a whole answer of bounded size, or a death without one."""
    if status != 0:
        assert status in DEATHS, status
        return
    head, _, pcm = answer.partition(b"\n")
    told = json.loads(head)
    if "refused" in told:
        assert not pcm
        assert 0 < len(told["refused"]) < 200
        return
    assert told == {"frames": len(pcm) // 2}
    assert LIMITS[0] <= len(pcm) / 2 / 24_000 <= LIMITS[1] + 1


@given(mutated())
@settings(
    max_examples=effort.examples(ci=400, nightly=20_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_mutated_file_gets_more_than_an_answer(farm: Farm, data: bytes) -> None:
    check(*farm.decode(data))


@given(
    st.sampled_from([b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC", b"OggS", b""]),
    st.binary(max_size=2_000),
)
@settings(max_examples=effort.examples(ci=100, nightly=5_000))
def test_nor_does_any_file_at_all(farm: Farm, head: bytes, rest: bytes) -> None:
    check(*farm.decode(head + rest))


def test_the_farm_decodes_as_the_decoder_does(farm: Farm) -> None:
    status, answer = farm.decode(samples.GOOD["flac"])
    assert status == 0
    assert json.loads(answer.partition(b"\n")[0])["frames"] == pytest.approx(48_000, abs=1_000)
