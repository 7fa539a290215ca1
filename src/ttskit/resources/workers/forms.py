"""Jobs, audio, voices and errors as plain data, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ttskit.errors import (
    AllProvidersFailedError,
    GenerationError,
    StreamInterruptedError,
    TTSError,
)
from ttskit.resources.downloads import Download
from ttskit.resources.engine import EngineChunk, EngineJob, EngineWord, JsonValue
from ttskit.resources.relief import Rung
from ttskit.resources.workers.wire import PAYLOAD_LIMIT, Frame, FrameError
from ttskit.voices import Gender, Voice

_FACTS = ("category", "retryable", "http_status", "retry_after", "request_id")
_NOT_OF_ENGINES = (AllProvidersFailedError, StreamInterruptedError)
"""They hold audio or other errors, and are made above the engines."""
_LARGEST = PAYLOAD_LIMIT // 4
"""Samples in one frame."""


def job_to_plain(job: EngineJob) -> dict[str, JsonValue]:
    """Return the job's fields."""
    plain = {each.name: getattr(job, each.name) for each in dataclasses.fields(job)}
    return plain | {"options": dict(job.options)}


def job_from_plain(plain: Mapping[str, JsonValue]) -> EngineJob:
    """Return the job again.

    Raises:
        FrameError: The fields are not those of a job.
    """
    try:
        return EngineJob(**plain)  # type: ignore[arg-type] # they were a job's own
    except TypeError:
        raise FrameError("no job") from None


def audio_to_plain(chunk: EngineChunk) -> Iterator[tuple[dict[str, JsonValue], bytes]]:
    """Yield heads and payloads, several where the chunk is too large for one frame.

    Raises:
        ValueError: The samples cannot be float32 of shape (frames,).
    """
    import numpy as np  # this module is read by processes that make no sound

    samples = np.ascontiguousarray(chunk.samples, "<f4")
    if samples.ndim != 1:
        raise ValueError("an engine's samples have the shape (frames,)")
    words: list[JsonValue] = [
        [float(word.start), float(word.end), *map(int, word.span)] for word in chunk.words
    ]
    for start in range(0, max(1, len(samples)), _LARGEST):
        head: dict[str, JsonValue] = {"rate": int(chunk.sample_rate)}
        if words and not start:
            head["words"] = words
        yield head, samples[start : start + _LARGEST].tobytes()


def audio_from_plain(frame: Frame) -> EngineChunk:
    """Return the chunk, or the part of it that the frame holds.

    Raises:
        FrameError: It holds none.
    """
    import numpy as np  # as above

    if len(frame.payload) % 4:
        raise FrameError("half a sample")
    samples = np.frombuffer(frame.payload, "<f4").astype(np.float32, copy=False)
    listed = frame.head.get("words", [])
    if not isinstance(listed, list):
        raise FrameError("no words")
    return EngineChunk(samples, frame.number("rate"), tuple(map(_word, listed)))


def _word(plain: JsonValue) -> EngineWord:
    try:
        start, end, first, last = cast("Sequence[float]", plain)
        return EngineWord(float(start), float(end), (int(first), int(last)))
    except (TypeError, ValueError, OverflowError):
        raise FrameError("no word") from None


def voice_to_plain(voice: Voice) -> dict[str, JsonValue]:
    """Return the voice's fields."""
    plain = {each.name: getattr(voice, each.name) for each in dataclasses.fields(voice)}
    lists: dict[str, JsonValue] = {
        "languages": list(voice.languages),
        "styles": list(voice.styles),
        "gender": str(voice.gender),
    }
    return plain | lists


def voices_from_plain(plain: JsonValue) -> list[Voice]:
    """Return the voices again.

    Raises:
        FrameError: The fields are not those of voices.
    """
    try:
        return [_voice(cast("dict[str, JsonValue]", one)) for one in cast("list[JsonValue]", plain)]
    except (TypeError, ValueError, KeyError):
        raise FrameError("no voices") from None


def _voice(plain: Mapping[str, JsonValue]) -> Voice:
    fields = dict(plain)
    languages, styles = (fields.pop(name) for name in ("languages", "styles"))
    return Voice(
        **fields  # type: ignore[arg-type] # they were a voice's own
        | {
            "languages": tuple(cast("list[str]", languages)),
            "styles": tuple(cast("list[str]", styles)),
            "gender": Gender(str(fields["gender"])),
        },
    )


def error_to_plain(error: TTSError) -> dict[str, JsonValue]:
    """Return the error's class, by the codes of its family, and its facts."""
    family = [kind.code for kind in type(error).__mro__ if issubclass(kind, TTSError)]
    facts = {name: cast("JsonValue", getattr(error, name)) for name in _FACTS}
    return {"codes": [*family], "message": error.message, **facts}


def error_from_plain(plain: Mapping[str, JsonValue], provider: str) -> TTSError:
    """Return an error of the same class, or of the nearest one that is known here."""
    codes = plain.get("codes")
    known = _family()
    listed = [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []
    classes = (known[code] for code in listed if code in known)
    kind = next(iter(classes), GenerationError)
    given = {name: plain[name] for name in _FACTS if plain.get(name) is not None}
    facts = {name: value for name, value in given.items() if value != getattr(kind, name, None)}
    message = str(plain.get("message", "the engine failed"))
    return kind(message, provider=provider, **facts)  # type: ignore[arg-type] # a TTSError's own


def _family() -> dict[JsonValue, type[TTSError]]:
    """Return the classes by their codes; of several with one code, the first derived."""
    known: dict[JsonValue, type[TTSError]] = {}
    waiting: list[type[TTSError]] = [TTSError]
    while waiting:
        kind = waiting.pop(0)
        if kind not in _NOT_OF_ENGINES:
            known.setdefault(kind.code, kind)
        waiting += kind.__subclasses__()
    return known


def jobs_from_plain(plain: JsonValue) -> int:
    """Return how many jobs at a time a worker takes, as it says when it is loaded.

    Raises:
        FrameError: It does not say so.
    """
    match plain:
        case {"jobs": int(jobs)} if jobs > 0:
            return jobs
        case _:
            raise FrameError("no number of jobs")


def gpu_from_plain(plain: JsonValue) -> dict[str, tuple[int, int]]:
    """Return what an engine holds of each GPU, and how much that has, in bytes.

    Raises:
        FrameError: That is not what it says.
    """
    if not isinstance(plain, dict):
        raise FrameError("no memory of GPUs")
    return {device: _pair(sizes) for device, sizes in plain.items()}


def _pair(plain: JsonValue) -> tuple[int, int]:
    match plain:
        case [int(held), int(total)]:
            return held, total
        case _:
            raise FrameError("no sizes")


def rung_from_plain(plain: JsonValue) -> Rung:
    """Return a step of the ladder that is climbed where memory runs out.

    Raises:
        FrameError: It is none.
    """
    try:
        return Rung(plain)  # type: ignore[arg-type] # it is asked whether it is one
    except ValueError:
        raise FrameError("no step") from None


def download_from_plain(plain: Mapping[str, JsonValue]) -> Download:
    """Return how far a download is.

    Raises:
        FrameError: It does not say so.
    """
    match plain:
        case {
            "name": str(name),
            "received": int(received),
            "total": int() | None as total,
            "is_over": bool(is_over),
        }:
            return Download(name, received, total, is_over)
        case _:
            raise FrameError("no download")
