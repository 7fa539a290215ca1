"""Text as XML: what goes between tags, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ttskit.text.ssml.source import ILLEGAL

SPECIAL = re.compile(r"[&<>\r]|" + ILLEGAL.pattern)
"""What cannot stand between tags as it is."""
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
# A lone CR would be read as LF, line ends and tabs in an attribute as spaces.
_BETWEEN = str.maketrans(_REFERENCES)
_WITHIN = str.maketrans(_REFERENCES | {'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


def escape(text: str) -> str:
    """Return text to stand between tags; characters that XML does not have are left out."""
    return ILLEGAL.sub("", text).translate(_BETWEEN)


def attributes(values: Mapping[str, object]) -> str:
    """Return `` name="value"`` for each value that is not None."""
    return "".join(
        f' {name}="{_quoted(str(value))}"' for name, value in values.items() if value is not None
    )


def _quoted(text: str) -> str:
    return ILLEGAL.sub("", text).translate(_WITHIN)
