"""The shortest way to a voice: no settings, no key, no network.

Writes hello.wav, spoken by whatever is installed; ``pip install "ttskit[local]"`` is enough.
"""

from __future__ import annotations

import ttskit

with ttskit.TTSService() as tts:
    audio = tts.synthesize("Hello, world. The train to Oxford leaves at half past nine.")
    path = audio.save("hello.wav")

print(f"{path.name}: {audio.duration:.1f} s, spoken by {audio.origin.provider}")
