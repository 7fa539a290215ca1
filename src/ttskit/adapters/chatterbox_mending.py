"""What Chatterbox trips over, mended in a loaded model. Read: chatterbox-tts 0.1.7.

Imports torch: import it where it is used.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

FEWEST_TOKENS = 4
"""Of a text, beside its two ends: with fewer, what watches the multilingual model's attention takes
the largest of nothing."""
_SPACE = "[SPACE]"


def mend(loaded: Any) -> None:  # noqa: ANN401 - one of three classes, untyped
    """Have the model read texts of one letter, and samples where numpy is 2 or later."""
    if hasattr(loaded, "norm_loudness"):
        loaded.norm_loudness = partial(_as_loud, loaded.norm_loudness)
    if loaded.t3.hp.is_multilingual:
        reader = loaded.tokenizer
        padding = reader.tokenizer.token_to_id(_SPACE)
        reader.text_to_tokens = partial(_long_enough, reader.text_to_tokens, padding)


def _as_loud(normalised: Any, samples: Samples, rate: int, **more: float) -> Samples:  # noqa: ANN401
    """Return what Turbo makes of a sample: numpy 2 would make it 64 bits wide."""
    louder: Samples = normalised(samples, rate, **more).astype(np.float32)
    return louder


def _long_enough(read: Any, padding: int, text: str, **more: Any) -> torch.Tensor:  # noqa: ANN401
    tokens = read(text, **more)
    lacking = max(0, FEWEST_TOKENS - tokens.shape[1])
    return torch.nn.functional.pad(tokens, (0, lacking), value=padding)
