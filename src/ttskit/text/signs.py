"""The signs that sentences, clauses and words are told by, in many scripts.

Strings of characters, escaped so that they can stand in a regular expression's class. Source of
the sentence terminals: Unicode's property ``Sentence_Terminal``, the scripts in wide use.
"""

# ruff: noqa: RUF001 - signs that look like another script's are the point here

from __future__ import annotations

LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

STOPS = ".!?…‥‽⁇⁈⁉۔\u037e"
"""End a sentence where white space follows."""

FULL_STOPS = "。．！？｡।॥؟։።፧၊။។៕᠃᠉"
"""End a sentence with or without white space: CJK, dandas, Arabic's question mark and others."""

COMMAS = ",;:،؛"
"""End a clause where white space follows."""

FULL_COMMAS = "，；：、"
"""End a clause with or without white space."""

COLONS = ":："

DASHES = r"–—―\-"

CLOSERS = "\"'”’»›)\\]}）］｝」』】〉》〗〕*_`"
"""Belong to the sentence that ended before them."""

OPENERS = "\"'“‘«‹„‚(\\[{（［｛「『【〈《〖〔¿¡*_`#>•‣◦▪" + DASHES
"""Belong to the sentence that begins after them."""

QUOTES_AND_BRACKETS = '"“”„«»‹›()\\[\\]{}<>*_`#'

BULLETS = r"*+•‣◦▪–—\-"

SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Scripts written without spaces between words: CJK, Thai, Lao, Burmese, Khmer."""
