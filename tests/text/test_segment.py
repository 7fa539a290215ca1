# ruff: noqa: RUF001 - text of many scripts

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.errors import InvalidParameterError
from ttskit.text.segment import Segment, Segmenter, cut, segment

ENGLISH = {
    "sentences": "It rained. | We stayed in! | Why not? | Because.",
    "titles": "Dr. Smith met Mrs. Jones and Prof. Lee. | They spoke.",
    "initials": "J. R. R. Tolkien wrote it. | So did C.S. Lewis.",
    "latin-abbreviations": "Bring fruit, e.g. apples, i.e. food. | Thanks.",
    "country": "The U.S. Army came. | It left.",
    "company": "Acme Inc. was sold. | Good.",
    "etcetera": "Pens, paper, etc. are here. | Pens, paper, etc. | The rest came later.",
    "number-sign": "See No. 5 and Fig. 2. | He said no. | Then he left.",
    "one-word-answers": "No. | That is wrong.",
    "decimals": "Pi is 3.14 or so. | It costs $1,234.56. | Fine.",
    "versions": "Use 1.2.3 now. | Python 3.11 is out.",
    "times": "We met at 5 p.m. on Monday. | It was late.",
    "year-at-the-end": "He was born in 1999. | Then he grew.",
    "number-at-the-start": "It was cold. | 5 people came.",
    "web-address": "See https://a.example/b.c?d=e.f for more. | Or www.example.com. | Then rest.",
    "web-address-at-the-end": "See https://a.example/c.d?x. | Then go.",
    "mail": "Write to j.doe@mail.example.org. | He answers.",
    "names-with-dots": "I use node.js and C++. | You use .NET, I hear.",
    "ellipsis-within": "Well... maybe not. | Well… maybe. | Fine.",
    "ellipsis-at-the-end": "I wonder... | Maybe not. | I wonder… | Yes.",
    "dotted-leaders": "Introduction ........ 12 and Index . . . . 99 too.",
    "several-marks": "Really?! | Yes!!! | Good.",
    "speech": '"Stop!" he said. | "Why?" | She left.',
    "curly-speech": "“I am here.” | He sat. | ‘Good.’ | All left.",
    "brackets": "It is done (e.g. this one). | (Really.) | Next.",
    "footnote": "It is known.[12] | Few doubt it.",
    "bold": "**It works.** | Try it.",
    "emoji": "Great! | 🎉 Thanks. | Bye 👋. | See you.",
    "lower-case": "it was late. | we went home.",
    "numbered-list": "Buy:\n| 1. Milk\n| 2. Eggs and\n   ham\n| 3) Bread",
    "running-list": "Do this: 1. Open it. | 2. Close it. | 3. Leave.",
    "bulleted-list": "Buy\n| - milk\n| * eggs\n| • bread",
    "heading": "# Title\n| The text begins here.",
    "bare-heading": "Chapter One\n| It was a dark night.",
    "setext-heading": "Title\n| ---\n| Text.",
    "wrapped-lines": "This is a line of a paragraph that somebody\nwrapped at a column. | Next.",
    "wrapped-before-a-name": "This is a line of a paragraph that somebody\nSmith wrapped by hand.",
    "blank-lines": "No full stop here\n\n| Nor here\r\n\r\n\r\n| The end",
    "dates": "On Jan. 5 it snowed. | By Feb. 3 it had not stopped.",
    "apostrophe": "It's John's. | They're here.",
}

LANGUAGES = {
    "chinese": ("zh", "我来了。| 你呢？| 好！！| 走吧"),
    "chinese-speech": ("zh", "他说：“好。”| 我走了。| “真的？”| 他问。"),
    "chinese-ellipsis": ("zh", "等等……我来了。| 好"),
    "chinese-region": ("zh-Hant-TW", "你好。| 再見。"),
    "wide-digits": ("ja", "数は３．１４です。| はい。"),
    "japanese": ("ja", "彼は来た！| 本当？！| はい。"),
    "japanese-speech": ("ja", "「そうだ。」と言った。| 「はい。」| 彼は帰った。"),
    "arabic": ("ar", "ذهب إلى البيت. | كيف حالك؟ | نعم، بخير."),
    "arabic-title": ("ar", "جاء د. أحمد. | ثم ذهب."),
    "urdu": ("ur", "یہ ہے۔ | وہ تھا۔"),
    "hindi": ("hi", "वह गया। | वह आया॥ | डॉ. शर्मा आए।"),
    "hindi-unspaced": ("hi", "वह गया।| वह आया।"),
    "german": ("de", "Am 3. Mai kam Dr. Huber. | Er sagte: „Halt.“ | Dann ging er."),
    "german-ordinal": ("de", "Der 2. Weltkrieg, z. B. dort, Nr. 5 auch. | Es war 1999. | Danach."),
    "french": ("fr", "M. Dupont est là. | Ça va ? | « Oui. » | Il part."),
    "spanish": ("es", "El Sr. García vino. | ¿Quién? | ¡Él!"),
    "russian": ("ru", "Это т. е. он, г. Москва. | Да! | Нет."),
    "greek": ("el", "Τι κάνεις; | Καλά."),
    "armenian": ("hy", "Բարեւ։ | Ինչպես ես։"),
    "burmese": ("my", "မင်္ဂလာပါ။ | နေကောင်းလား။"),
    "amharic": ("am", "ሰላም። | እንዴት ነህ፧"),
    "english-semicolon": ("en", "It rained; We left."),
}


def tiles(text: str, language: str | None = None) -> list[str]:
    return [found.text for found in segment(text, language=language)]


def marked(example: str) -> list[str]:
    """Return the tiles of an example whose borders are bars, each after its white space."""
    return example.replace(" | ", " |").replace("| ", "|").split("|")


@pytest.mark.parametrize("example", ENGLISH.values(), ids=ENGLISH)
def test_english_is_cut_between_sentences_only(example: str) -> None:
    assert tiles("".join(marked(example))) == marked(example)


@pytest.mark.parametrize(("language", "example"), LANGUAGES.values(), ids=LANGUAGES)
def test_each_language_is_cut_by_its_own_signs(language: str, example: str) -> None:
    assert tiles("".join(marked(example)), language) == marked(example)


def test_a_segment_knows_its_place_in_the_text() -> None:
    assert segment("One.  Two.") == [Segment("One.  ", 0, 6), Segment("Two.", 6, 10)]


@pytest.mark.parametrize(
    "text", ["", "  \n\n ", "...", "\ud800"], ids=["empty", "blank", "dots", "surrogate"]
)
def test_text_without_a_sentence_is_one_tile_at_most(text: str) -> None:
    assert tiles(text) == ([text] if text else [])


CERTAIN = {
    "at-the-next-word": ("It rained. W", "It rained. "),
    "at-its-opening-quote": ('It rained. "W', "It rained. "),
    "at-the-blank-line": ("A heading\n\nT", "A heading\n\n"),
    "at-the-next-item": ("Buy:\n- milk", "Buy:\n"),
    "at-the-next-ideograph": ("你好。我", "你好。"),
    "at-the-next-digit": ("It was cold. 5", "It was cold. "),
}


@pytest.mark.parametrize(("arrived", "expected"), CERTAIN.values(), ids=CERTAIN)
def test_a_sentence_is_released_when_the_next_one_begins(arrived: str, expected: str) -> None:
    assert [found.text for found in Segmenter().feed(arrived)] == [expected]


@pytest.mark.parametrize(
    "arrived",
    ["It rained.", "It rained. ", "It cost 3.", "Dr. S", "See No. 5", "Wait... w", "你好。"],
)
def test_nothing_is_released_before_it_is_certain(arrived: str) -> None:
    assert Segmenter().feed(arrived) == []


def test_what_is_left_comes_at_the_end_and_the_segmenter_goes_on() -> None:
    segmenter = Segmenter()
    assert segmenter.feed("It rained. We st") == [Segment("It rained. ", 0, 11)]
    assert segmenter.feed("ayed.") == []
    assert segmenter.finish() == [Segment("We stayed.", 11, 21)]
    assert segmenter.finish() == []


FAST = {
    "comma": ("When the rain stopped, we went outside to play. Good.", "When the rain stopped, "),
    "colon": ("This is what he said: nobody knows why it is so.", "This is what he said: "),
    "dash": ("It was a long walk — longer than anyone had thought.", "It was a long walk — "),
    "closed-dash": ("It was a long walk—longer than anyone had thought.", "It was a long walk—"),
    "chinese": ("今天的天气很好，我们一起去公园散步吧。", "今天的天气很好，"),
    "arabic": ("في صباح اليوم التالي، خرجنا معا إلى الحديقة.", "في صباح اليوم التالي، "),
    "conjunction": (
        "They walked all the way to the station because nobody had a car.",
        "They walked all the way to the station ",
    ),
    "second-comma": ("Oh, my dear friend, I have not seen you for years.", "Oh, my dear friend, "),
}


@pytest.mark.parametrize(("text", "expected"), FAST.values(), ids=FAST)
def test_a_fast_start_speaks_the_first_clause_first(text: str, expected: str) -> None:
    assert segment(text, fast_start=True)[0].text == expected


SLOW = {
    "short-clause": "Well, then we should go home now.",
    "short-rest": "I would rather not do that, sir. Then we left.",
    "number": "It was a total of 1,000,000 pounds altogether.",
    "date": "We met on March 3, 2024 in the old town hall.",
    "no-clause": "The train to Oxford leaves at half past nine.",
    "german-word-but": "Das war ein sehr schöner Abend und wir gingen.",
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_a_fast_start_leaves_whole_what_would_sound_torn(text: str) -> None:
    assert segment(text, fast_start=True) == segment(text)


def test_only_the_first_utterance_is_cut_for_a_fast_start() -> None:
    sentence = "When the rain stopped, we went outside to play. "
    fast = [found.text for found in segment(sentence * 3, fast_start=True)]
    assert fast == [sentence[:23], sentence[23:], sentence, sentence]


CHARACTERS = [*"aAbZ19  ..,!?\"'()[]\n\r-*#;:—“”。，我「」と।؟\u2028\u0301\u200d🇬🇧\ud83d\ude00"]
PHRASES = [
    *("Dr. ", "J. ", "It rained. ", "e.g. ", "1. ", "\n\n", "\n- ", "...", " because ", "so, "),
    *(
        "http://a.b/c. ",
        "said “no.” ",
        "end.[1] ",
        "我来了。",
        "Title\n",
        " " * 8,
        "3.14",
        "« A. » ",
    ),
]
SAMPLES = st.text(st.sampled_from(CHARACTERS), max_size=80) | st.lists(
    st.sampled_from(PHRASES), max_size=20
).map("".join)

OPTIONS = st.fixed_dictionaries(
    {
        "language": st.sampled_from([None, "en", "de", "zh", "el"]),
        "fast_start": st.booleans(),
        "max_characters": st.sampled_from([1, 2, 7, 20, 60, 400]),
    }
)


@given(SAMPLES, OPTIONS)
def test_the_utterances_joined_are_the_text(text: str, options: dict[str, object]) -> None:
    found = segment(text, **options)  # type: ignore[arg-type] # drawn by name
    assert "".join(tile.text for tile in found) == text
    assert all(tile.text == text[tile.start : tile.end] for tile in found)
    assert all(0 < len(tile.text) <= int(str(options["max_characters"])) for tile in found)


@settings(max_examples=300)
@given(SAMPLES, OPTIONS, st.lists(st.integers(0, 80)))
def test_how_the_text_arrives_never_shows(
    text: str, options: dict[str, object], places: list[int]
) -> None:
    segmenter = Segmenter(**options)  # type: ignore[arg-type] # drawn by name
    edges = [0, *sorted(places), max(len(text), 80)]
    found = [tile for a, b in itertools.pairwise(edges) for tile in segmenter.feed(text[a:b])]
    assert found + segmenter.finish() == segment(text, **options)  # type: ignore[arg-type] # same


@given(SAMPLES, OPTIONS)
def test_one_character_at_a_time_gives_the_same_utterances(
    text: str, options: dict[str, object]
) -> None:
    segmenter = Segmenter(**options)  # type: ignore[arg-type] # drawn by name
    found = [tile for character in text for tile in segmenter.feed(character)]
    assert found + segmenter.finish() == segment(text, **options)  # type: ignore[arg-type] # same


ENDLESS = {
    "letters": "a",
    "digits": "1",
    "dots": ".",
    "spaces": " ",
    "line-breaks": "\n",
    "abbreviations": "Dr. ",
    "commas": ", ",
    "brackets": ".[1",
    "closers": ".)))",
    "marks": "\u0301",
    "emoji": "😀\u200d",
    "flags": "🇬",
    "ideographs": "我",
    "words": "word ",
}


@pytest.mark.parametrize("unit", ENDLESS.values(), ids=ENDLESS)
def test_text_without_an_end_is_held_back_no_further_than_an_utterance(unit: str) -> None:
    segmenter = Segmenter(fast_start=True, max_characters=100)
    held = 0
    for index in range(3_000):
        released = segmenter.feed(unit)
        held += len(unit) - sum(len(tile.text) for tile in released)
        assert held < 100 + 32 + len(unit), index


@pytest.mark.parametrize("unit", ENDLESS.values(), ids=ENDLESS)
def test_text_without_an_end_is_not_cut_to_crumbs(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    assert len(segment(text)) <= 3 * len(text) / 400 + 1


CUTS = {
    "sentence-first": ("Is it over? We cannot know it", 20, ["Is it over? ", "We cannot know it"]),
    "clause-first": ("one two three, four five six", 20, ["one two three, ", "four five six"]),
    "words": ("one two three four five", 10, ["one two ", "three ", "four five"]),
    "early-word": (
        "of antidisestablishmentarianism",
        20,
        ["of ", "antidisestablishment", "arianism"],
    ),
    "number": ("我们有1234567个", 6, ["我们有", "123456", "7个"]),
    "latin-in-chinese": ("我们在Oxford城", 6, ["我们在", "Oxford", "城"]),
    "accent": ("e\u0301" * 4, 3, ["e\u0301"] * 4),
    "family": ("👩\u200d👧" * 2, 5, ["👩\u200d👧"] * 2),
    "flags": ("🇬🇧🇫🇷🇩🇪", 3, ["🇬🇧", "🇫🇷", "🇩🇪"]),
    "conjunct": ("क्षक्ष", 4, ["क्ष", "क्ष"]),
    "hangul-jamo": ("\u1112\u1161\u11ab" * 2, 4, ["\u1112\u1161\u11ab"] * 2),
    "surrogate-pair": ("\ud83d\ude00" * 2, 3, ["\ud83d\ude00"] * 2),
    "line-end": ("ab\r\ncd", 3, ["ab", "\r\n", "cd"]),
    "chinese-stop": ("你好。」我们走吧", 6, ["你好。」", "我们走吧"]),
    "short": ("short", 20, ["short"]),
    "empty": ("", 20, []),
}


@pytest.mark.parametrize(("text", "limit", "expected"), CUTS.values(), ids=CUTS)
def test_a_forced_cut_takes_the_best_border(text: str, limit: int, expected: list[str]) -> None:
    assert [text[start:end] for start, end in cut(text, limit)] == expected


def utf8_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


@given(SAMPLES, st.integers(1, 30))
def test_tiles_keep_a_limit_in_bytes(text: str, limit: int) -> None:
    spans = cut(text, limit, measure=utf8_length)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(utf8_length(text[a:b]) <= limit or b - a == 1 for a, b in spans)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_character_is_refused(limit: int) -> None:
    with pytest.raises(InvalidParameterError):
        Segmenter(max_characters=limit)
    with pytest.raises(InvalidParameterError):
        cut("text", limit)
