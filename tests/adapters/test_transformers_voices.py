"""Who speaks with the models of transformers: speakers, turns, voices of recordings."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from ttskit.adapters.transformers_engine import FAMILIES
from ttskit.adapters.transformers_family import Script, TransformersCallOptions, Turn
from ttskit.errors import InvalidParameterError, UnsupportedFeatureError, VoiceNotFoundError
from ttskit.resources.engine import EngineJob

from .transformers_speech import TEXT, MakeEngine, say

pytestmark = [
    pytest.mark.engine("transformers"),
    # diffusers 0.42 with torch 2.13.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


@pytest.mark.parametrize(
    ("family", "first"),
    [
        ("vits", ["default"]),
        ("vits pair", ["0", "1"]),
        ("bark", ["v2/en_speaker_1", "v2/de_speaker_3"]),
        ("speecht5", ["ann", "bob"]),
        ("dia", ["ann", "carl", "S1", "S2"]),
        ("csm", ["ann", "carl", "S1", "S2", "S3", "S4"]),
        ("pocket_tts", ["ann", "carl"]),
    ],
)
def test_who_can_speak_is_known_before_anything_is_loaded(
    make_engine: MakeEngine, family: str, first: list[str]
) -> None:
    assert [voice.id for voice in make_engine(family).voices()] == first


def test_the_configured_voice_comes_first(make_engine: MakeEngine) -> None:
    engine = make_engine("bark", voice="v2/de_speaker_3")
    assert [voice.languages for voice in engine.voices()] == [("de",), ("en",)]


def test_tts_yaml_says_what_the_voices_speak(make_engine: MakeEngine) -> None:
    assert make_engine("vits", language="sw").voices()[0].languages == ("sw",)


@pytest.mark.parametrize(
    ("family", "one", "other"),
    [
        ("vits pair", "0", "1"),
        ("bark", "v2/en_speaker_1", "v2/de_speaker_3"),
        ("speecht5", "ann", "bob"),
        ("dia", "S1", "S2"),
        ("csm", "S1", "S2"),
        ("vibevoice", "S1", "S2"),
        ("pocket_tts", "ann", "carl"),
        ("vibevoice", "ann", "carl"),
        pytest.param("higgs_audio_v2", "S1", "S2", marks=pytest.mark.engine("torchaudio")),
    ],
)
def test_voices_differ(kept_engine: MakeEngine, family: str, one: str, other: str) -> None:
    first, second = [say(kept_engine(family), voice=voice) for voice in (one, other)]
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("voice", ["S9", "../../etc/passwd", "speaker.npz"])
@pytest.mark.parametrize("family", ["bark", "csm", "speecht5", "vits"])
def test_a_voice_nobody_has_is_refused(kept_engine: MakeEngine, family: str, voice: str) -> None:
    with pytest.raises(VoiceNotFoundError, match="there is no voice"):
        say(kept_engine(family), voice=voice)


def test_a_model_that_speaks_like_a_recording_needs_one(make_engine: MakeEngine) -> None:
    with pytest.raises(VoiceNotFoundError, match="set samples"):
        say(make_engine("pocket_tts", samples=None))


# Dialogues


@pytest.mark.parametrize(
    ("text", "voice", "turns"),
    [
        ("Hello.", "S1", [Turn(1, "Hello.")]),
        ("Hello.", "S2", [Turn(2, "Hello.")]),
        ("Hello.", "ann", [Turn(1, "Hello.")]),
        ("[S1] Hi. [S2]Ho!", "S1", [Turn(1, "Hi."), Turn(2, "Ho!")]),
        ("So: [S2] Ho!", "S1", [Turn(1, "So:"), Turn(2, "Ho!")]),
        ("[S3] [S2] Ho!", "S1", [Turn(2, "Ho!")]),
        ("[Section 1] and [S]", "S1", [Turn(1, "[Section 1] and [S]")]),
    ],
)
def test_a_text_is_read_by_turns(text: str, voice: str, turns: list[Turn]) -> None:
    assert Script(text, voice, TransformersCallOptions()).turns() == turns


@pytest.mark.parametrize("family", ["csm", "dia", "vibevoice"])
def test_a_mark_gives_the_other_speaker_the_word(kept_engine: MakeEngine, family: str) -> None:
    engine = kept_engine(family)
    first, second, marked = [
        say(engine, text, voice=voice)
        for text, voice in ((TEXT, "S1"), (TEXT, "S2"), (f"[S2] {TEXT}", "S1"))
    ]
    assert np.array_equal(marked, second)
    assert not np.array_equal(marked, first)


@pytest.mark.parametrize("family", ["csm", "dia", "vibevoice"])
def test_somebody_who_is_not_there_gets_no_word(kept_engine: MakeEngine, family: str) -> None:
    with pytest.raises(VoiceNotFoundError, match="'S7'"):
        say(kept_engine(family), "[S1] Hello. [S7] Hello.")


def test_csm_gives_each_turn_when_it_is_made(kept_engine: MakeEngine) -> None:
    job = EngineJob("[S1] One. [S2] Two. [S1] Three.", voice="S1")
    assert len(list(kept_engine("csm").synthesize(job, threading.Event()))) == 3


def test_pocket_tts_gives_a_long_text_in_pieces(kept_engine: MakeEngine) -> None:
    job = EngineJob("one two three four. " * 4, voice="ann")
    assert len(list(kept_engine("pocket_tts").synthesize(job, threading.Event()))) > 1


# Recordings


@pytest.mark.parametrize(
    "family",
    [
        "csm",
        "dia",
        "vibevoice",
        "pocket_tts",
        "gradium_phonon_tts",
        pytest.param("higgs_audio_v2", marks=pytest.mark.engine("torchaudio")),
    ],
)
def test_a_reference_changes_the_voice(
    kept_engine: MakeEngine, recordings: Path, family: str
) -> None:
    own = "carl" if "reference_text" not in FAMILIES[family].takes else "S1"
    said = {"reference_text": "good day."} if own == "S1" else {}
    engine = kept_engine(family)
    cloned = say(engine, voice=own, reference=str(recordings / "ann.wav"), options=said)
    assert not np.array_equal(cloned, say(engine, voice=own))


@pytest.mark.parametrize("family", ["csm", "dia"])
def test_what_is_said_in_a_sample_must_be_known(
    kept_engine: MakeEngine, recordings: Path, family: str
) -> None:
    with pytest.raises(InvalidParameterError, match="'reference_text'"):
        say(kept_engine(family), reference=str(recordings / "carl.wav"))


@pytest.mark.parametrize("family", ["bark", "speecht5", "vits"])
def test_a_family_that_clones_nobody_says_so(
    kept_engine: MakeEngine, recordings: Path, family: str
) -> None:
    with pytest.raises(UnsupportedFeatureError):
        say(kept_engine(family), reference=str(recordings / "ann.wav"))
