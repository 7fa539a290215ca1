"""Samples of voices to clone: whoever gives them, no engine sees one that was not checked.

A sample is a file of a stranger, and what decodes audio is full of traps: 673 kB of FLAC can hold
2.76 GB of sound, and headers lie. It is decoded by a process of its own, made for this one file
and thrown away, that can do little and gets little (``reference_decoder``). What comes back is a
plain WAV of known size, which is kept for the next time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from ttskit.errors import InvalidParameterError, InvalidVoiceReferenceError, ResourceError
from ttskit.files import read_whole
from ttskit.resources.programs import plain_environment, running
from ttskit.resources.reference_shelf import Reference, ReferenceShelf

SAMPLE_RATE = 24_000
"""Hz of what engines get; the decoder has the same number."""
MAX_BYTES = 10 * 1024 * 1024
SHORTEST_RECORDING_S = 0.1
"""Of what is to be said again; so little tells no engine what a voice is like."""
DEADLINE_S = 20.0
"""A process that takes longer is killed; a sample of ten minutes takes one or two seconds."""
DECODERS = 2
"""At a time, of one service."""
_DECODER = "ttskit.resources.reference_decoder"
_RECIPE = f"1:{SAMPLE_RATE}"
"""Changes with whatever changes the result, so that what was kept is made anew."""
_LONGEST_ANSWER = 4_096
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class ReferenceOptions:
    """What samples are taken from where."""

    directories: Sequence[Path] | None = None
    """Files must lie within one of these; None: anywhere the caller says."""
    shortest_s: float = 1.0
    """Of sound, the silence around it left out."""
    longest_s: float = 120.0
    cache_bytes: int = 256 * 1024 * 1024
    """Of normalised samples on disk."""
    folder: Path | None = None
    """Where they are; None: the user's cache directory."""


class References:
    """Checks and normalises the samples of one service.

    Args:
        options: See there.
    """

    def __init__(self, options: ReferenceOptions | None = None) -> None:
        self._options = options or ReferenceOptions()
        self._shelf = ReferenceShelf(
            self._options.folder, max_bytes=self._options.cache_bytes, sample_rate=SAMPLE_RATE
        )
        self._decoders = anyio.Semaphore(DECODERS)

    async def read(self, source: Path | bytes, *, keeps_time: bool = False) -> Reference:
        """Return a sample, checked and normalised; nothing is decoded that was seen before.

        Args:
            source: A file, or its content.
            keeps_time: Silence at its ends stays: it is a recording to be said again.

        Raises:
            InvalidVoiceReferenceError: It is no sample of a voice; the message says why, and what
                is accepted.
            UnsafePathError: The path leads out of the directories allowed, or to no ordinary file.
            ResourceError: No process can be started, or the sample cannot be kept.
        """
        data = await to_thread.run_sync(self._content, source)
        recipe = f"{_RECIPE}:{':'.join(self._limits(keeps_time=keeps_time))}"
        if found := await self._kept(data, recipe):
            return found
        async with self._decoders:
            if found := await self._kept(data, recipe):  # by who went before
                return found
            pcm = await self._decoded(data, keeps_time=keeps_time)
        keep = partial(self._shelf.keep, data, pcm, recipe=recipe)
        return await to_thread.run_sync(keep)

    @property
    def accepted(self) -> str:
        """What can be used, for messages."""
        shortest, longest = self._options.shortest_s, self._options.longest_s
        return (
            f"WAV, FLAC and Ogg (Vorbis or Opus) of {shortest:g} to {longest:g} s, 8 to 192 kHz, "
            f"one or two channels, {MAX_BYTES // 1024**2} MiB at most"
        )

    def _limits(self, *, keeps_time: bool) -> list[str]:
        """Return what the decoder is told."""
        shortest = SHORTEST_RECORDING_S if keeps_time else self._options.shortest_s
        return [repr(shortest), repr(self._options.longest_s), f"{keeps_time:d}"]

    async def _kept(self, data: bytes, recipe: str) -> Reference | None:
        return await to_thread.run_sync(partial(self._shelf.find, data, recipe=recipe))

    def _content(self, source: Path | bytes) -> bytes:
        if isinstance(source, bytes):
            if len(source) > MAX_BYTES:
                raise self._refusal(f"it is larger than {MAX_BYTES // 1024**2} MiB")
            return source
        try:
            return read_whole(source, max_bytes=MAX_BYTES, within=self._options.directories)
        except InvalidParameterError as error:
            raise self._refusal(error.message) from error

    async def _decoded(self, data: bytes, *, keeps_time: bool) -> bytes:
        """Return the sound as PCM, from a process that is gone afterwards."""
        options = self._options
        limits = self._limits(keeps_time=keeps_time)
        command = [sys.executable, "-P", "-m", _DECODER, *limits]
        most = round(options.longest_s * SAMPLE_RATE + SAMPLE_RATE) * 2 + _LONGEST_ANSWER
        answer = bytearray()
        with anyio.move_on_after(DEADLINE_S):
            async with running(command, data, environment=_environment()) as decoder:
                while (piece := await decoder.read()) and len(answer) <= most:
                    answer += piece
                status = await decoder.wait() if len(answer) <= most else None
            return self._judged(bytes(answer), status)
        raise self._refusal("it takes too long to decode")

    def _judged(self, answer: bytes, status: int | None) -> bytes:
        """Return the PCM in what a decoder wrote; it is believed in nothing."""
        head, _, pcm = answer.partition(b"\n")
        if status != 0 or len(head) > _LONGEST_ANSWER:
            raise self._refusal("the decoder failed at it")
        try:
            told = json.loads(head)
        except ValueError:
            told = None
        if isinstance(told, dict) and told.get("refused"):
            raise self._refusal(str(told["refused"])[:_LONGEST_REASON])
        if not (isinstance(told, dict) and pcm and told.get("frames") == len(pcm) / 2):
            raise self._refusal("the decoder failed at it")
        return pcm

    def _refusal(self, why: str) -> InvalidVoiceReferenceError:
        return InvalidVoiceReferenceError(
            f"the recording cannot be used: {why}; accepted: {self.accepted}"
        )


def _environment() -> dict[str, str]:
    """Return what a Python needs that finds the same packages as this one, with one thread."""
    if not sys.executable:
        raise ResourceError("voice samples are checked by a Python of their own; none is known")
    return plain_environment(
        {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONIOENCODING": "utf-8",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
    )
