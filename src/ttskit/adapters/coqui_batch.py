"""Sentences of several requests, read by a VITS network in one go.

That pays on a GPU, which has room for more than one sentence at a time; on a CPU it is slower.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from ttskit.adapters.coqui_torch import TorchLatent, TorchVits, decoded
from ttskit.adapters.coqui_vits import Manner, VitsRuntime
from ttskit.resources.batching import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ttskit.codecs.pcm import Samples


class _Piece(NamedTuple):
    latent: TorchLatent
    begin: int
    finish: int
    kind: Hashable


_Sounds = Batcher[_Piece, "Samples"]


class BatchedVits(VitsRuntime):
    """A network that several threads use at the same time, each as if it were alone.

    Args:
        vits: Loaded.
        most: Sentences at a time.
    """

    def __init__(self, vits: TorchVits, *, most: int) -> None:
        self.radius, self.hop = vits.radius, vits.hop
        self._latents = Batcher(vits.latents, most=most, size=_symbols, kind=_kind)
        self._sounds: _Sounds = Batcher(
            lambda pieces: decoded([piece[:3] for piece in pieces]),
            most=most,
            size=lambda piece: piece.finish - piece.begin,
            kind=lambda piece: piece.kind,
        )

    @override
    def latent(self, ids: list[int], manner: Manner) -> _BatchedLatent:
        latent = self._latents.call((ids, manner))
        return _BatchedLatent(latent, self._sounds, _alone(manner))

    @override
    @contextmanager
    def joined(self) -> Iterator[None]:
        with self._latents.joined(), self._sounds.joined():
            yield


@dataclass(frozen=True, slots=True)
class _BatchedLatent:
    latent: TorchLatent
    sounds: _Sounds
    kind: Hashable

    @property
    def frames(self) -> int:
        return self.latent.frames

    @property
    def durations(self) -> Sequence[float]:
        return self.latent.durations

    def decode(self, begin: int, finish: int) -> Samples:
        return self.sounds.call(_Piece(self.latent, begin, finish, self.kind))


def _symbols(call: tuple[list[int], Manner]) -> int:
    return len(call[0])


def _kind(call: tuple[list[int], Manner]) -> Hashable:
    """Return what sentences must have in common that are read together."""
    manner = call[1]
    alone = _alone(manner)
    return replace(manner, speaker=None, language=None) if alone is None else alone


def _alone(manner: Manner) -> Hashable:
    """Return what no other sentence has where a seed is to repeat it to the last bit, else None."""
    return None if manner.seed is None else object()
