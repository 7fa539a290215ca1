"""Packages in the environment of another interpreter, where an engine is to run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import anyio

from ttskit.adapters.base import Requirement
from ttskit.errors import ConfigurationError, DependencyMissingError

PATIENCE_S = 30.0
"""An interpreter on a cold disk takes seconds to start."""
_LOOK = (
    "import sys, importlib.util as modules;"
    "print(*(name for name in sys.argv[1:] if modules.find_spec(name) is None))"
)
_KEPT = frozenset({"PATH", "PYTHONPATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT"})
"""Variables that say where modules are; keys of providers are none of them."""


async def require_packages(python: Path, needed: Sequence[Requirement], *, provider: str) -> None:
    """Look whether ttskit and what an adapter needs are there; imports nothing but what starts up.

    Raises:
        ConfigurationError: It is no interpreter that works.
        DependencyMissingError: A package is not installed there.
    """
    names = {"ttskit": "ttskit", **{one.module: one.distribution for one in needed}}
    environ = {name: value for name, value in os.environ.items() if name in _KEPT}
    try:
        with anyio.fail_after(PATIENCE_S):
            looked = await anyio.run_process([str(python), "-P", "-c", _LOOK, *names], env=environ)
    except (OSError, TimeoutError) as error:
        raise ConfigurationError(f"{python} cannot be started", provider=provider) from error
    except subprocess.CalledProcessError as error:
        raise ConfigurationError(
            f"{python} is no interpreter of Python 3.11 or later", provider=provider
        ) from error
    missing = [names[name] for name in looked.stdout.decode().split()]
    if missing:
        extras = ",".join(dict.fromkeys(one.extra for one in needed))
        raise DependencyMissingError(
            f"{', '.join(missing)} is not installed in the environment of {python}; "
            f'run: {python} -m pip install "ttskit[{extras}]"',
            provider=provider,
        )
