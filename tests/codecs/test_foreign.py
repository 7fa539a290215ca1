from __future__ import annotations

from collections.abc import Iterator

import pytest
import soundfile

from ttskit.codecs.foreign import foreign_errors, translated
from ttskit.errors import InvalidResponseError


def family(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


def test_every_error_of_libsndfile_is_ours() -> None:
    assert all(issubclass(kind, foreign_errors()) for kind in family(soundfile.SoundFileError))


@pytest.mark.engine("av")
def test_every_error_of_ffmpeg_is_ours() -> None:
    import av.error

    assert all(issubclass(kind, foreign_errors()) for kind in family(av.error.FFmpegError))


def test_a_foreign_error_stays_as_the_cause() -> None:
    foreign = soundfile.LibsndfileError(1)
    with pytest.raises(InvalidResponseError, match="broken") as caught:  # noqa: SIM117 - what is under test
        with translated(InvalidResponseError, "broken"):
            raise foreign
    assert caught.value.__cause__ is foreign


def test_mistakes_of_ours_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), translated(InvalidResponseError, "broken"):
        raise ZeroDivisionError


@pytest.mark.usefixtures("without_av")
def test_a_missing_pyav_does_not_hide_other_errors() -> None:
    with pytest.raises(InvalidResponseError), translated(InvalidResponseError, "broken"):
        raise soundfile.LibsndfileError(1)
