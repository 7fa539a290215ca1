"""A program that reads text and writes the modem voice, as the adapter ``command`` runs them.

It misbehaves where an option says so. The words ``--fail-at`` and the like are its own; the text
is on its standard input.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ttskit.codecs.pcm import to_pcm
from ttskit.codecs.wav import wav_header
from ttskit.testing.modem import Modem

RATE = 16_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--voice", default="alto")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--language")
    parser.add_argument("--reference")
    parser.add_argument("--out", default="-")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--tell", help="A file for what it was given.")
    parser.add_argument("--do", default="speak")
    given = parser.parse_args()
    text = sys.stdin.buffer.read().decode().removesuffix("\n")
    if given.tell:
        told = {"argv": sys.argv, "environ": dict(os.environ), "text": text}
        Path(given.tell).write_text(json.dumps(told), encoding="utf-8")
    if given.do == "refuse":
        sys.stderr.write(f"warming up\ncannot say {text!r} with this model\n")
        raise SystemExit(3)
    if given.do == "flood":
        sys.stderr.write("progress\r" * 1_000_000)
    if given.do == "hang":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        time.sleep(3_600)
    if given.do == "silence":
        return
    if given.do == "chat":
        sys.stdout.write("Here is your audio, which I made with love, as you asked me to.\n")
        sys.stdout.flush()
    speak(text, given)


def speak(text: str, given: argparse.Namespace) -> None:
    voice = f"{given.voice}+{Path(given.reference).name}" if given.reference else given.voice
    parts = [part.samples for part in Modem(RATE, speed=given.speed).speak(text, voice)]
    head = b"" if given.raw else wav_header(RATE, 1, None)
    if given.out != "-":
        sound = to_pcm(np.concatenate(parts))
        Path(given.out).write_bytes(wav_header(RATE, 1, len(sound) // 2) + sound)
        return
    out = sys.stdout.buffer
    out.write(head)
    for number, samples in enumerate(parts):
        if given.do == "die" and number == len(parts) // 2:
            out.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        out.write(to_pcm(samples))
        out.flush()


main()
