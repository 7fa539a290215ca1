"""What the program ``espeak-ng`` does for Coqui, over the library in the wheel espeakng-loader.

So Coqui's own phonemizer can be asked without installing the program, and by the same version of
espeak-ng as ours. Follows ``src/espeak-ng.c`` of 1.52: the text goes to ``espeak_Synth`` in one
piece and the phonemes of each clause to standard output by ``espeak_SetPhonemeTrace``.
"""

from __future__ import annotations

import argparse
import ctypes
import stat
import sys
from pathlib import Path

import espeakng_loader

SYNCHRONOUS, POS_CHARACTER = 2, 1
UTF8, PHONEMES, END_PAUSE = 1, 0x100, 0x1000
IPA = 2
SEPARATOR = ord("_") << 8


def install(folder: Path) -> None:
    """Put the program into a folder that PATH may begin with."""
    program = folder / "espeak-ng"
    program.write_text(f"#!{sys.executable}\n{Path(__file__).read_text(encoding='utf-8')}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-q", action="store_true")
    parser.add_argument("-b")
    parser.add_argument("-v")
    parser.add_argument("-f", type=Path)
    parser.add_argument("--ipa")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--voices", action="store_true")
    options = parser.parse_args()
    if options.version:
        print("eSpeak NG text-to-speech: 1.52  Data at: here")  # noqa: T201 - it is a program
        return
    if options.voices:
        print("Pty Language Age/Gender VoiceName\n 5 en-us M English")  # noqa: T201
        return
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    libc = ctypes.CDLL(None)
    output = ctypes.c_void_p.in_dll(libc, "stdout")
    library.espeak_Initialize(SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    library.espeak_SetVoiceByName(options.v.encode())
    library.espeak_SetPhonemeTrace(IPA | SEPARATOR, output)
    text = options.f.read_bytes() + b"\0"
    flags = UTF8 | PHONEMES | END_PAUSE
    library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, POS_CHARACTER, 0, flags, None, None)
    library.espeak_Synchronize()
    libc.fflush(output)


if __name__ == "__main__":
    main()
