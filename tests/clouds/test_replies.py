"""What is read out of replies: floats however they are cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.floats import Floats
from ttskit.adapters.replies import Base64, Shape
from ttskit.errors import InvalidResponseError


class _Sound(Shape):
    data: Base64


class _Body:
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def read(pieces: list[bytes]) -> list[float]:
    async def run() -> list[float]:
        return [float(sample) async for array in Floats(_Body(pieces)) for sample in array]

    return anyio.run(run)


@given(
    samples=st.lists(st.floats(-1, 1, width=32), max_size=20),
    cuts=st.lists(st.integers(0, 80), max_size=8),
)
def test_floats_are_the_same_however_they_are_cut(samples: list[float], cuts: list[int]) -> None:
    data = np.array(samples, "<f4").tobytes()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read([data[a:b] for a, b in pairwise(edges)]) == samples


@given(rest=st.binary(min_size=1, max_size=3))
def test_half_a_sample_is_an_error(rest: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        read([bytes(8), rest])


@pytest.mark.parametrize(
    "document", ["{}", '{"data": 1}', '{"data": "a"}', '{"data": "_-_-"}', "["]
)
def test_another_shape_is_told_without_what_it_holds(document: str) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        _Sound.read(document)
    assert "_-" not in str(caught.value)
    assert caught.value.__cause__ is None
