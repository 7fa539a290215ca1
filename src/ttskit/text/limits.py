"""The first look at a text: is there anything to say, and is it within the limit?"""

from __future__ import annotations

from ttskit.errors import EmptyTextError, TextTooLongError
from ttskit.text.sanitise import is_speakable


def check_text(text: str, *, max_characters: int) -> None:
    """Refuse a text that no engine should be asked for; a megabyte takes milliseconds.

    Args:
        text: The caller's own text.
        max_characters: The longest text allowed, in characters.

    Raises:
        EmptyTextError: Nothing in the text can be spoken: it is empty, or blank, or consists of
            control, invisible or punctuation characters.
        TextTooLongError: The text is over the limit.
    """
    if not text:
        raise EmptyTextError("the text is empty")
    if len(text) > max_characters:
        raise TextTooLongError(
            f"the text has {len(text)} characters, {max_characters} are allowed; "
            "stream it in parts or raise text.max_characters"
        )
    if not is_speakable(text):
        raise EmptyTextError("the text has no letter, digit or symbol that can be spoken")
