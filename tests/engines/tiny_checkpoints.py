"""Checkpoints with random weights, a megabyte or so each, for every family of transformers.

The real weights are gigabytes on a hub. These are made and saved by the library's own
configurations, models and processors, so what loads them and generates from them is what would do
so for the real ones. They say nothing, at the right sample rate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.engines.tiny_dia_csm import make_csm, make_dia
from tests.engines.tiny_higgs_vibevoice import make_higgs, make_vibevoice
from tests.engines.tiny_pocket import make_pocket
from tests.engines.tiny_single import make_bark, make_speecht5, make_vits

_MAKERS: dict[str, Callable[[Path], None]] = {
    "vits": make_vits,
    "vits pair": partial(make_vits, speakers=2),
    "vits steady": partial(make_vits, is_steady=True),
    "bark": make_bark,
    "speecht5": make_speecht5,
    "dia": make_dia,
    "csm": make_csm,
    "higgs_audio_v2": make_higgs,
    "vibevoice": make_vibevoice,
    "pocket_tts": make_pocket,
    "gradium_phonon_tts": partial(make_pocket, is_phonon=True),
}


def make_checkpoint(family: str, directory: Path) -> Path:
    """Save a checkpoint of the family in the directory and return it.

    ``vits pair`` is two people; the letters of ``vits steady`` all last about as long.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(1)
        _MAKERS[family](directory)
    return directory
