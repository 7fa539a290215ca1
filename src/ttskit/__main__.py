"""``python -m ttskit`` is the ``ttskit`` command."""

from __future__ import annotations

import sys

from ttskit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
