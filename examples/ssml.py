"""Markup where the text alone does not say how it is to be spoken.

Each engine reads what it knows of SSML itself; the rest is emulated (a break becomes silence, a
``sub`` is spoken in place of what is written) or, where it cannot be had, told as a warning.
``strict=True`` makes that an error. Writes ssml.wav.
"""

from __future__ import annotations

import ttskit

DOCUMENT = """\
<speak>
  <p>Welcome to the <sub alias="World Wide Web Consortium">W3C</sub>.</p>
  <break time="600ms"/>
  <p>This is <prosody rate="slow">spoken slowly</prosody>, and this <emphasis>is not</emphasis>.</p>
</speak>
"""

with ttskit.TTSService() as tts:
    audio = tts.synthesize(ssml=DOCUMENT)
    audio.save("ssml.wav")

print(f"{audio.duration:.1f} s by {audio.origin.provider}")
for notice in audio.warnings:
    print(f"  {notice.code}: {notice.feature}: {notice.message}")
