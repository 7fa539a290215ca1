"""Puts passages of several voices together, for engines that speak a dialogue in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ttskit.text.passage import Passage
from ttskit.text.sanitise import is_speakable


def scenes(passages: Sequence[Passage], longest: int) -> list[Passage]:
    """Return the passages of a document, in scenes of up to ``longest`` characters.

    A document of one voice stays as it is: its sentences are heard sooner one by one.
    """
    voices = {
        run.style.voice for passage in passages for run in passage.runs if is_speakable(run.text)
    }
    if len(voices) == 1:
        return list(passages)
    found: list[Passage] = []
    for passage in passages:
        if found and len(found[-1].text) + len(passage.text) <= longest:
            found[-1] = _joined(found[-1], passage)
        else:
            found.append(replace(passage, index=len(found)))
    return found


def _joined(first: Passage, second: Passage) -> Passage:
    return Passage(
        first.index,
        (first.span[0], second.span[1]),
        (*first.runs, *second.runs),
        (*first.changes, *second.changes),
        (*first.losses, *second.losses),
    )
