"""A chapter of any length becomes an audio file with subtitles; memory stays flat.

Text is handed over paragraph by paragraph, sound is written as it comes, and each chunk tells how
far the speech is. Writes chapter.ogg and chapter.srt. ``ttskit say chapter.txt -o chapter.ogg
--subtitles`` does the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ttskit import Audio, AudioFormat, TTSService, WordTiming
from ttskit.files import AtomicFile

CHAPTER = "\n\n".join(
    f"Paragraph {number}. The fog came in from the sea, and the lamps were lit one by one."
    for number in ("one", "two", "three")
)


def paragraphs() -> Iterator[str]:
    """Yield the chapter piece by piece; a real one would come from a file or a database."""
    yield from CHAPTER.splitlines(keepends=True)


with TTSService() as tts, tts.stream(paragraphs(), format="ogg", timestamps="word") as speech:
    words: list[WordTiming] = []
    frames = 0
    with AtomicFile("chapter.ogg") as file:
        for chunk in speech:
            file.write(chunk.data)
            words += chunk.words
            frames = chunk.offset + len(chunk.samples)
            done = chunk.utterance.span[1] / len(CHAPTER)
            print(f"\r{done:4.0%}", end="")
    record = Audio(
        data=b"",  # the sound is in the file; this is the record of it
        format=AudioFormat.OGG,
        sample_rate=speech.sample_rate,
        frames=frames,
        words=words,
        ledger=list(speech.ledger),
        text=CHAPTER,
    )

Path("chapter.srt").write_text(record.subtitles("srt"), encoding="utf-8")
print(f"\rchapter.ogg: {record.duration:.0f} s, {len(record.ledger)} utterances")
