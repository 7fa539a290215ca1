"""Who speaks in a Coqui model, and in which languages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ttskit.adapters.options import voice_not_found
from ttskit.errors import UnsupportedLanguageError
from ttskit.languages import nearest
from ttskit.request import check_language
from ttskit.voices import Voice

DEFAULT_VOICE = "default"
"""What the one voice of a model without named speakers is called; with them, the first."""
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Cast:
    """The speakers and languages of one model.

    Args:
        title: The model's, for its only voice.
        speakers: Their names; empty where there is one without a name.
        languages: As the model calls them: ``en``, ``en-us``, ``zh-cn``…
        sample_rate: Hz.
        default: The configured speaker; None: the first.
        language: The configured one, where a request names none.
    """

    title: str
    speakers: Sequence[str]
    languages: Sequence[str]
    sample_rate: int
    default: str | None = None
    language: str | None = None

    def voices(self) -> list[Voice]:
        """Return a voice for each speaker, the default one first."""
        if not self.speakers:
            return [self._voice(DEFAULT_VOICE, self.title)]
        first = self.speaker(None)
        names = sorted(self.speakers, key=lambda name: name != first)
        return [self._voice(name, name) for name in names]

    def speaker(self, voice: str | None) -> str | None:
        """Return the speaker's name that a voice's id means; None where they have none.

        Raises:
            VoiceNotFoundError: Nobody here is called that.
        """
        wanted = self.default if voice in (None, DEFAULT_VOICE) else voice
        if wanted in (None, DEFAULT_VOICE):
            return self.speakers[0] if self.speakers else None
        if wanted not in self.speakers:
            raise voice_not_found(str(wanted), list(self.speakers) or [DEFAULT_VOICE])
        return wanted

    def tongue(self, asked: str | None) -> str | None:
        """Return what the model calls a language; its only one where it has no choice.

        Args:
            asked: BCP 47, of the request.

        Raises:
            UnsupportedLanguageError: The model has several, and not this one, or none was named.
        """
        if len(self.languages) <= 1:
            return self.languages[0] if self.languages else None
        wanted = asked or self.language
        found = nearest(wanted, self.languages) if wanted else None
        if found is None:
            known = ", ".join(self.languages[:_LISTED])
            what = f"does not speak {wanted[:20]!r}" if wanted else "has to be told the language"
            raise UnsupportedLanguageError(f"the model {what}; it has {known}")
        return found

    def _voice(self, voice: str, name: str) -> Voice:
        return Voice(
            id=voice,
            provider="",
            name=name,
            languages=tuple(_tags(self.languages)),
            sample_rate=self.sample_rate,
        )


def _tags(names: Iterable[str]) -> list[str]:
    """Return the languages as BCP 47; what is none is left out."""
    tags: list[str] = []
    for name in names:
        try:
            tags.append(check_language(name.replace("_", "-")))
        except UnsupportedLanguageError:
            continue
    return tags
