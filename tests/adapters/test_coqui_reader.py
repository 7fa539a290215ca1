"""Text to ids: the same as Coqui's own, with no process per sentence and nothing in a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.coqui_voice import CoquiVoice
from tests.engines.espeak_program import install
from tests.hearing.conftest import SENTENCES

pytestmark = pytest.mark.engine("coqui", "piper", "espeak")

ODD = (
    "Hello",
    "  spaces  before and after  ",
    "Dr. Smith paid $1,234.50 on 3/4/2021, at 9:30!",
    "Wait... what?! (No; really) - well: \u2014 yes \u2026",
    "He said \u201cgo\u201d and \u00abstop\u00bb; \u2018so\u2019 it's done.",
    "I ate at the caf\u00e9 in S\u00e3o Paulo with Bj\u00f6rk & co.",
    "line one\nline two\n\nline three",
    "x < 3 and y > 2, a_b = C++ / 100% @home #1",
    "\u2603 \u65e5\u672c\u8a9e \u041f\u0440\u0438\u0432\u0435\u0442 \U0001f98a",
    "ALL CAPS, NASA and the USA",
    "?",
    "...",
    "\u00bfQu\u00e9? \u00a1Vaya!",
    "one two three four five six seven eight nine ten " * 8,
)
COQUI_ITSELF = """
import json, sys
from TTS.config import load_config
from TTS.tts.utils.text.tokenizer import TTSTokenizer
tokenizer, _ = TTSTokenizer.init_from_config(load_config(sys.argv[1]))
assert tokenizer.phonemizer.name() == "espeak"
json.dump([tokenizer.text_to_ids(text, "en-us") for text in json.load(sys.stdin)], sys.stdout)
"""


def test_every_sentence_has_the_ids_that_coqui_gives_it(
    coqui_voice: CoquiVoice, tmp_path: Path
) -> None:
    from ttskit.adapters.coqui_files import local_files
    from ttskit.adapters.coqui_loading import read_settings
    from ttskit.adapters.coqui_reader import Reader

    texts = [*SENTENCES, *ODD]
    install(tmp_path)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    answer = subprocess.run(
        [sys.executable, "-c", COQUI_ITSELF, str(coqui_voice.config)],
        input=json.dumps(texts),
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    reader = Reader(read_settings(local_files(str(coqui_voice.model))))
    assert [reader.read(text, "en-us").ids for text in texts] == json.loads(answer.stdout)
