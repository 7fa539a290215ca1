"""Text to the numbers that a Coqui model reads, and who speaks in which language.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``tokenizer.py`` and
``base_tts.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias

from TTS.config import get_from_config_or_model_args
from TTS.tts.utils.languages import LanguageManager, normalize_language
from TTS.tts.utils.speakers import SpeakerManager
from TTS.tts.utils.text.tokenizer import TTSTokenizer

from ttskit.adapters.coqui_cast import Cast
from ttskit.adapters.coqui_reading import BLANK, END, Reading
from ttskit.text.segment import Segment, Segmenter

if TYPE_CHECKING:
    from coqpit import Coqpit

    from ttskit.adapters.coqui_engine import CoquiSettings
    from ttskit.adapters.coqui_files import CoquiFiles

Speaker: TypeAlias = int | tuple[float, ...]


class _Characters(Protocol):
    pad_id: int | None
    blank_id: int | None
    eos_id: int | None
    bos_id: int | None

    def char_to_id(self, char: str) -> int: ...
    def id_to_char(self, number: int) -> str: ...


class Reader:
    """Reads sentences as Coqui's own tokenizer does, and writes none of them to a log.

    Args:
        config: The model's, after ``coqui_phonemizer.adopt``.
        tokenizer: The model's; None: as its settings have it.
        languages: Of a model whose settings know of none; they have no numbers.
    """

    def __init__(
        self,
        config: Coqpit,
        tokenizer: TTSTokenizer | None = None,
        languages: Iterable[str] | None = None,
    ) -> None:
        settings = config
        if tokenizer is None:
            tokenizer, settings = TTSTokenizer.init_from_config(config)
        self._tokenizer = tokenizer
        self.has_blanks: bool = self._tokenizer.add_blank
        self._speakers = SpeakerManager.init_from_config(settings)
        self._names = {} if self._speakers is None else voices_of(self._speakers.name_to_id)
        self.embeds = bool(get_from_config_or_model_args(settings, "use_d_vector_file"))
        """It knows people by embeddings."""
        self._numbers: dict[str, int] = {}
        if languages is None:
            self._numbers = dict(LanguageManager.init_from_config(settings).name_to_id)
        self.languages: list[str] = list(self._numbers if languages is None else languages)

    @property
    def speakers(self) -> list[str]:
        """Names; empty where the model has one speaker without a name."""
        return list(self._names)

    def speaker(self, name: str | None) -> Speaker | None:
        """Return what tells the network who speaks: a number or an embedding."""
        if name is None or self._speakers is None:
            return None
        own = self._names[name]
        if self.embeds:
            mean = self._speakers.get_mean_embedding(own, num_samples=None, randomize=False)
            return tuple(float(one) for one in mean)
        return int(self._speakers.name_to_id[own])

    def language_id(self, language: str | None) -> int | None:
        """Return the number of a language as the model calls it."""
        return None if language is None else self._numbers.get(language)

    def read(self, text: str, language: str | None) -> Reading:
        """Return a sentence as ``TTSTokenizer.text_to_ids`` would number it."""
        characters: _Characters = self._tokenizer.characters
        known = list(self._known(text, language))
        symbols, ids = [one for one, _ in known], [number for _, number in known]
        if self._tokenizer.add_blank:
            ids = self._tokenizer.intersperse_blank_char(ids)
            # The blank's number may be that of a letter, too.
            symbols = [BLANK, *(one for symbol in symbols for one in (symbol, BLANK))]
        if self._tokenizer.use_eos_bos:
            ids = self._tokenizer.pad_with_bos_eos(ids)
            symbols = [END, *symbols, END]
        ends = {characters.pad_id, characters.eos_id, characters.bos_id}
        pairs = zip(symbols, ids, strict=True)
        return Reading(ids, [END if one in ends else symbol for symbol, one in pairs])

    def sounds(self, text: str, language: str | None) -> list[str]:
        """Return the symbols of a word or sentence, without blanks."""
        return [symbol for symbol, _ in self._known(text, language)]

    def _known(self, text: str, language: str | None) -> Iterator[tuple[str, int]]:
        """Yield the characters that the model knows; Coqui leaves out the others, too."""
        tokenizer = self._tokenizer
        if tokenizer.text_cleaner is not None:
            text = tokenizer.text_cleaner(text, lang=normalize_language(language))
        if tokenizer.phonemizer:
            text = tokenizer.phonemizer.phonemize(text, separator="", language=language)
        for character in text:
            try:
                yield character, tokenizer.characters.char_to_id(character)
            except KeyError:
                continue


def cast_of(
    files: CoquiFiles, reader: Reader, settings: CoquiSettings, *, sample_rate: int
) -> Cast:
    """Return who speaks in a model as it is configured."""
    return Cast(
        files.name,
        reader.speakers,
        reader.languages,
        sample_rate,
        settings.voice,
        settings.language,
    )


def sentences(text: str, language: str | None, *, longest: int = 400) -> list[Segment]:
    """Return the sentences of a text, none longer than ``longest`` characters."""
    cut = Segmenter(language=language, max_characters=longest)
    return [one for one in cut.feed(text) + cut.finish() if one.text.strip()]


def voices_of(names: Iterable[str]) -> dict[str, str]:
    """Return what a model calls its speakers, by what they are called without line ends.

    YourTTS has ``female-en-5`` and, of other recordings, ``female-en-5`` with one behind it: the
    plain one is the voice.
    """
    plain = {name: name for name in names if name == name.strip()}
    return {name.strip(): name for name in names} | plain
