"""A provider fails; the next one speaks the sentence from its start, and each word is heard once.

Both are mocks that speak a tone code, so that ``transcribe`` can prove what was heard. With real
providers nothing differs but their names in tts.yaml.
"""

from __future__ import annotations

from ttskit import TTSService
from ttskit.testing import Faults, MockAdapter, transcribe

TEXT = "The first sentence goes well. The second one does not. The third one is fine again."


def tell(title: str, faults: Faults) -> None:
    """Have ``TEXT`` spoken while ``cloud`` fails as scripted, and print who said what."""
    cloud = MockAdapter(provider="cloud", faults=faults)
    home = MockAdapter(provider="home")
    with TTSService(providers=[cloud, home]) as tts:
        audio = tts.synthesize(TEXT)
    print(f"{title}: {audio.origin.outcome}")
    for attempt in audio.origin.attempts:
        print(f"  asked {attempt.provider} for utterance {attempt.utterance}: {attempt.outcome}")
    for entry in audio.ledger:
        start, end = (frame / audio.sample_rate for frame in entry.frames)
        print(f"  {start:5.2f} to {end:5.2f} s  {entry.provider:5}  {TEXT[slice(*entry.text)]!r}")
    if transcribe(audio) != TEXT:
        raise SystemExit("a word was lost, or heard twice")


tell("cloud breaks off in mid-sentence", Faults().die_mid_stream(at=0.6))
tell("cloud has enough after a sentence", Faults().rate_limit(after=1, retry_after=60))
