from __future__ import annotations

import subprocess
import sys
import textwrap

CHARACTERS = 1_000_000
ALLOWED = 30 * 2**20

SCRIPT = f"""
    import anyio, psutil
    from ttskit import AsyncTTSService
    from ttskit.testing import MockAdapter

    SENTENCE = "This is one more sentence of a very long book. "
    memory = psutil.Process().memory_info

    async def book():
        for _ in range({CHARACTERS} // len(SENTENCE)):
            yield SENTENCE

    async def main():
        levels = []
        async with AsyncTTSService(providers=[MockAdapter(sample_rate=8_000)]) as tts:
            async with tts.stream(book()) as speech:
                async for chunk in speech:
                    if chunk.utterance.index % 200 == 199 and chunk.words == ():
                        levels.append(memory().rss)
        settled = levels[len(levels) // 10]
        print(max(levels) - settled, chunk.utterance.span[1])

    anyio.run(main)
"""


def test_a_million_characters_leave_the_memory_flat() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        capture_output=True,
        text=True,
        check=True,
    )
    grown, spoken = map(int, done.stdout.split())
    assert spoken > 0.99 * CHARACTERS
    assert grown < ALLOWED
