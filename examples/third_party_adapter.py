"""A provider of your own: here one that hums each utterance, a tone for each letter.

An adapter says what it can do and turns one utterance into audio; failover, formats, streaming,
subtitles and the ledger come from ttskit. A package makes its adapter known to tts.yaml by an entry
point, ``[project.entry-points."ttskit.adapters"] hum = "my_package:HumAdapter"``; an instance, as
here, is handed over directly. Writes hum.wav.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from typing_extensions import override

from ttskit import Capabilities, TTSService, Voice
from ttskit.adapters.base import Adapter, AdapterOptions, AudioSource, Utterance
from ttskit.errors import VoiceNotFoundError
from ttskit.resources.host import Resources

SAMPLE_RATE = 16_000


class HumOptions(AdapterOptions):
    """The adapter's section of tts.yaml; a mistake there is found before anything is asked."""

    note_s: float = 0.06


class HumAdapter(Adapter[HumOptions]):
    """Hums text."""

    name = "hum"
    capabilities = Capabilities(formats=("f32",))

    @override
    async def open(self, resources: Resources) -> None:
        """Take what the adapter needs: this one needs nothing."""

    @override
    async def voices(self) -> list[Voice]:
        """Return the one voice there is."""
        return [Voice(id="hum", provider=self.provider, name="Hum", sample_rate=SAMPLE_RATE)]

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        """Hum one utterance; leaving the block ends the work."""
        if utterance.voice not in (None, "hum"):
            raise VoiceNotFoundError(f"no voice {utterance.voice!r}", provider=self.provider)
        yield AudioSource(self._notes(utterance.text), format="f32", sample_rate=SAMPLE_RATE)

    @override
    async def check(self) -> None:
        """Tell whether it would hum now: always."""

    async def _notes(self, text: str) -> AsyncIterator[object]:
        times = np.arange(round(self.options.note_s * SAMPLE_RATE)) / SAMPLE_RATE
        envelope = np.hanning(len(times))
        for letter in text:
            pitch_hz = 220.0 * 2 ** (ord(letter) % 24 / 12)
            yield (0.3 * envelope * np.sin(2 * np.pi * pitch_hz * times)).astype(np.float32)


with TTSService(providers=[HumAdapter(HumOptions())]) as tts:
    audio = tts.synthesize("Hello from an adapter of my own. It hums.")
    audio.save("hum.wav")

print(
    f"hum.wav: {audio.duration:.1f} s in {len(audio.ledger)} utterances by {audio.origin.provider}"
)
