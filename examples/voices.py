"""Find a voice: by language, gender or provider; and hear the same sentence from several.

Writes one file for each provider's first English voice.
"""

from __future__ import annotations

from ttskit import TTSService

with TTSService() as tts:
    print("providers:", ", ".join(provider.name for provider in tts.providers()))
    english = tts.voices(language="en")
    print(f"{len(english)} English voices of {len(tts.voices())}")
    firsts = {voice.provider: voice for voice in reversed(english)}
    for voice in firsts.values():
        # A voice's id means something to its own provider only, hence ``provider:id``.
        audio = tts.synthesize("This is how I sound.", voice=f"{voice.provider}:{voice.id}")
        path = audio.save(f"{voice.provider}.wav")
        print(f"{path.name}: {voice.name} ({', '.join(voice.languages)})")
