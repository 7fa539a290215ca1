"""A voice agent: speak a model's tokens as they come, and know what was heard at an interruption.

``spoken_text`` gives the part of the answer that was heard when so many frames were played. That
part belongs into the conversation's history, not the whole answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from ttskit import AsyncTTSService

ANSWER = (
    "There are three ways to get there. You can take the train, which is quick. You can take the "
    "bus, which is cheap. Or you can walk along the river, which takes two hours but is lovely."
)
HEARD_S = 3.0
"""When the listener interrupts: seconds of audio played by then."""


async def tokens() -> AsyncIterator[str]:
    """Yield the answer as a language model would: in pieces that end anywhere."""
    for start in range(0, len(ANSWER), 5):
        yield ANSWER[start : start + 5]
        await anyio.sleep(0.001)


async def main() -> None:
    """Speak until the listener interrupts."""
    async with AsyncTTSService() as tts, tts.stream(tokens()) as speech:
        played = 0
        async for chunk in speech:
            played += len(chunk.samples)  # a real agent plays them: play(chunk.pcm)
            if played >= HEARD_S * chunk.sample_rate:
                break
        heard = speech.spoken_text(round(HEARD_S * speech.sample_rate))
    print(f"the model wrote: {ANSWER!r}")
    print(f"the user heard:  {heard!r}")


anyio.run(main)
