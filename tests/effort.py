"""How hard the properties look: what CI can afford, and what a night can."""

from __future__ import annotations

import os

CI, NIGHTLY, MUTANTS = "ttskit", "nightly", "mutants"
_MOST_PER_MUTANT = 10


def profile() -> str:
    """Return the Hypothesis profile that the environment asks for.

    ``TTSKIT_NIGHTLY=1`` means ``nightly``; ``HYPOTHESIS_PROFILE`` names any: ``ttskit``, the
    default, ``nightly``, or ``mutants`` with few examples that are the same in every run.
    """
    if os.environ.get("TTSKIT_NIGHTLY") == "1":
        return NIGHTLY
    return os.environ.get("HYPOTHESIS_PROFILE") or CI


def examples(*, ci: int, nightly: int) -> int:
    """Return how many examples a property tries.

    Args:
        ci: In every ordinary run.
        nightly: In the long run of the night.
    """
    if profile() == NIGHTLY:
        return nightly
    return min(ci, _MOST_PER_MUTANT) if profile() == MUTANTS else ci
