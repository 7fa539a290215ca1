"""How finished audio shows itself in a notebook: a waveform, its words and a player."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ttskit.codecs.pcm import Samples

if TYPE_CHECKING:
    from ttskit.audio import WordTiming

COLUMNS = 600
"""Of the drawn waveform, whatever the duration."""
MAX_EMBEDDED_BYTES = 16 * 2**20
"""More encoded audio than this is drawn but not put into the page, which a notebook keeps."""
MAX_WORDS = 1_000
"""More words than this would be a smear."""

_MIDDLE, _REACH = 40.0, 36.0
"""Where silence is drawn, and how far from it the loudest sample may reach."""
_QUIETEST_PEAK = 0.1
"""Audio below this peak is not drawn larger, so that noise does not look like speech."""
_LETTER_WIDTH = 6.0

# currentColor is the page's own text colour, so light and dark themes both suit.
_CARD = (
    "max-width:640px;box-sizing:border-box;padding:10px 14px;border-radius:10px;"
    "border:1px solid rgba(128,128,128,.35);font:12px/1.5 system-ui,sans-serif"
)
_HEAD = "display:flex;justify-content:space-between;gap:1em;opacity:.75"
_LABEL = (
    '<text x="{x:.1f}" y="94" text-anchor="middle" font-size="11" fill="currentColor"'
    ' fill-opacity=".8">{text}</text>'
)
_HOVER = (
    "<style>.ttskit-word rect{fill:currentColor;fill-opacity:0}"
    ".ttskit-word:hover rect{fill-opacity:.12}</style>"
)


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown of one piece of audio."""

    speaker: tuple[str, ...]
    """Who spoke: provider and voice, as far as known."""
    facts: tuple[str, ...]
    """Duration, format and the like."""
    samples: Samples
    duration: float
    """Seconds."""
    data: bytes
    """A whole file that browsers play."""
    media_type: str
    words: Sequence[WordTiming] = ()


def render(card: Card) -> str:
    """Return the card as HTML that needs nothing from outside and runs no script."""
    head = f"<span>{_dotted(card.speaker)}</span><span>{_dotted(card.facts)}</span>"
    return (
        f'<div style="{_CARD}"><div style="{_HEAD}">{head}</div>'
        f"{_drawing(card)}{_player(card)}</div>"
    )


def peaks(samples: Samples, columns: int) -> tuple[list[float], list[float]]:
    """Return the least and the greatest sample of each of ``columns`` equal stretches.

    Args:
        samples: Shape (frames,) or (frames, channels); channels are laid over one another.
        columns: At least 1; audio with fewer frames gives one column a frame.
    """
    if not len(samples):
        return [], []
    lanes = np.nan_to_num(samples.reshape(len(samples), -1))
    borders = np.linspace(0, len(lanes), min(columns, len(lanes)), endpoint=False).astype(np.intp)
    lows = np.minimum.reduceat(lanes.min(axis=1), borders)
    highs = np.maximum.reduceat(lanes.max(axis=1), borders)
    return lows.tolist(), highs.tolist()


def _dotted(parts: Sequence[str]) -> str:
    return " \N{MIDDLE DOT} ".join(map(html.escape, parts))


def _drawing(card: Card) -> str:
    fields = "".join(_fields(card.words, card.duration))
    height = 100 if "<text" in fields else 80
    return (
        f'<svg viewBox="0 0 {COLUMNS} {height}" role="img" '
        f'aria-label="waveform, {card.duration:.1f} seconds" '
        'style="display:block;width:100%;height:auto;margin:6px 0">'
        f'{_HOVER}<path d="{_outline(card.samples)}" fill="#5b8def" stroke="#5b8def" '
        f'stroke-width=".7" stroke-linejoin="round"/>{fields}</svg>'
    )


def _outline(samples: Samples) -> str:
    """Return the SVG path around the waveform: along its tops and back along its bottoms."""
    lows, highs = peaks(samples, COLUMNS)
    if not lows:
        return f"M0 {_MIDDLE}H{COLUMNS}"
    scale = _REACH / max(_QUIETEST_PEAK, -min(lows), *highs)
    step = COLUMNS / len(lows)
    tops = [(column * step, _MIDDLE - high * scale) for column, high in enumerate(highs)]
    bottoms = [(column * step, _MIDDLE - low * scale) for column, low in enumerate(lows)]
    points = [*tops, *reversed(bottoms)]
    return "M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in points) + "Z"


def _fields(words: Sequence[WordTiming], duration: float) -> Iterator[str]:
    """Yield one hover field a word, its text below where there is room for most of them."""
    if duration <= 0 or len(words) > MAX_WORDS:
        return
    scale = COLUMNS / duration
    places = list(_places(words, scale))
    is_crowded = 2 * places.count(None) > len(places)
    for word, place in zip(words, places, strict=True):
        text = html.escape(word.word)
        times = f"{word.start:.2f}\N{EN DASH}{word.end:.2f} s"
        width = max(1.0, (word.end - word.start) * scale)
        label = "" if place is None or is_crowded else _LABEL.format(x=place, text=text)
        yield (
            f'<g class="ttskit-word"><title>{text}\n{times}</title>'
            f'<rect x="{word.start * scale:.1f}" width="{width:.1f}" height="100" rx="3"/>'
            f"{label}</g>"
        )


def _places(words: Sequence[WordTiming], scale: float) -> Iterator[float | None]:
    """Yield where each word's text is centred; None where it would run into the one before."""
    free_from = 0.0
    for word in words:
        half = _LETTER_WIDTH * len(word.word) / 2
        middle = min(max((word.start + word.end) / 2 * scale, half), COLUMNS - half)
        fits = middle - half >= free_from
        yield middle if fits else None
        if fits:
            free_from = middle + half + _LETTER_WIDTH


def _player(card: Card) -> str:
    if len(card.data) > MAX_EMBEDDED_BYTES:
        return '<div style="opacity:.75">too long to play here; save() it to a file</div>'
    encoded = base64.b64encode(card.data).decode("ascii")
    source = html.escape(f"data:{card.media_type};base64,{encoded}")
    return (
        f'<audio controls preload="metadata" style="width:100%;height:36px" src="{source}"></audio>'
    )
