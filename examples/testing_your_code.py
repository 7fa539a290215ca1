"""Test code that speaks, without any provider: run it with ``pytest testing_your_code.py``.

The fixtures ``tts``, ``async_tts`` and ``tts_faults`` come with ttskit. Their mock providers speak
a tone code, and ``transcribe`` reads the very words back: a test asserts what would be heard.
"""

from __future__ import annotations

import pytest

from ttskit import TTSService
from ttskit.testing import Faults, MockAdapter, transcribe


def announce(tts: TTSService, train: str, minutes: int) -> bytes:
    """Return an announcement as MP3: the code under test."""
    text = f"The train to {train} is {minutes} minutes late. We are sorry."
    return tts.synthesize(text, format="mp3").data


def test_the_announcement_names_the_train(tts: TTSService) -> None:
    heard = transcribe(announce(tts, "Oxford", 5))
    assert heard == "The train to Oxford is 5 minutes late. We are sorry."


def test_it_is_heard_whole_when_the_provider_breaks_off(
    tts: TTSService, tts_faults: Faults
) -> None:
    tts_faults.die_mid_stream(at=0.4)
    assert transcribe(announce(tts, "Oxford", 5)).startswith("The train to Oxford is 5")


def test_a_busy_provider_is_not_asked_twice_for_one_sentence(
    tts: TTSService, tts_faults: Faults, mock_adapter: MockAdapter
) -> None:
    tts_faults.rate_limit(after=0, retry_after=60)
    announce(tts, "Oxford", 5)
    assert len(mock_adapter.texts) == len(set(mock_adapter.texts))


@pytest.mark.parametrize("train", ["København", "São Paulo", "東京"])
def test_names_of_any_script_arrive(tts: TTSService, train: str) -> None:
    assert train in transcribe(announce(tts, train, 1))
