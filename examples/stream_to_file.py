"""Write speech while it is made: the first bytes leave long before the last sentence is spoken.

The chunks of one stream, joined, are one valid file. An HTTP handler would send them the same way.
Writes story.ogg; a program that is stopped half-way leaves no half file.
"""

from __future__ import annotations

import ttskit
from ttskit.files import AtomicFile

STORY = (
    "A fox lived at the edge of the wood. Every evening, he listened to the trains. "
    "He knew each of them by its sound. One evening, none came."
)

with ttskit.TTSService() as tts, tts.stream(STORY, format="ogg") as speech:
    with AtomicFile("story.ogg") as file:
        for chunk in speech:
            file.write(chunk.data)
            print(f"{chunk.offset / chunk.sample_rate:6.2f} s  {len(chunk.data):6} bytes")
    print(f"first audio after {speech.origin.time_to_first_audio:.2f} s")
