"""Models of MMS in fairseq's files: from a folder, from their server, in another script."""

from __future__ import annotations

import io
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.coqui_fairseq import NAME, SYMBOLS, make_fairseq, make_tarball
from tests.engines.coqui_list import manager_of, write_list
from ttskit import TTSService
from ttskit.adapters.base import NATIVE, UNSUPPORTED
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_files import FAIRSEQ, CoquiFiles, fairseq_language, kind_of
from ttskit.codecs.pcm import Samples
from ttskit.errors import DependencyMissingError, ModelLoadError
from ttskit.resources.engine import EngineChunk, EngineJob
from ttskit.testing import FaultyServer

pytestmark = pytest.mark.engine("coqui")
STILL: dict[str, object] = {"noise_scale": 0.0, "noise_scale_dp": 0.0}
TEXT = "Hello, a kind word"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_fairseq(tmp_path_factory.mktemp("abc"))


def loaded(model: Path, **settings: object) -> CoquiEngine:
    engine = CoquiEngine(model=str(model), **{"defaults": STILL, "runtime": "torch", **settings})  # type: ignore[arg-type] # the test's own
    engine.load()
    return engine


def chunks(engine: CoquiEngine, text: str = TEXT, **settings: object) -> list[EngineChunk]:
    return list(engine.synthesize(EngineJob(text, **settings), threading.Event()))  # type: ignore[arg-type] # the test's own


def heard(engine: CoquiEngine, text: str = TEXT) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks(engine, text)])


# From a folder


@pytest.mark.parametrize("place", [".", "G_100000.pth"], ids=["folder", "weights"])
def test_it_speaks_as_coqui_would_have_it(model: Path, place: str) -> None:
    import torch

    engine = loaded(model / place)
    network = engine._made._voice._runtime._model  # type: ignore[union-attr] # Coqui's own
    network.inference_noise_scale = network.inference_noise_scale_dp = 0.0
    with torch.inference_mode():
        ids = torch.tensor([network.tokenizer.text_to_ids(TEXT)])
        expected = network.inference(ids)["model_outputs"].flatten()
    assert np.allclose(heard(engine), expected, atol=1e-4)
    assert engine.voices()[0].sample_rate == 16_000


def test_torch_and_onnxruntime_say_the_same(model: Path) -> None:
    assert np.allclose(heard(loaded(model)), heard(loaded(model, runtime="onnx")), atol=1e-3)


def test_its_words_are_timed_though_a_letter_has_the_blanks_number(model: Path) -> None:
    from ttskit.adapters.coqui_reading import BLANK

    engine = loaded(model)
    reading = engine._made._reader.read("kick ok", None)  # type: ignore[union-attr]
    assert "".join(one for one in reading.symbols if one != BLANK) == "kick ok"
    assert reading.ids.count(SYMBOLS.index("k")) == 3 + len("kick ok") + 1
    (words, *_) = [chunk.words for chunk in chunks(engine, "kick ok", want_words=True)]
    assert [(word.span, word.start < word.end) for word in words] == [
        ((0, 4), True),
        ((5, 7), True),
    ]


def test_its_language_is_what_is_configured(model: Path) -> None:
    voices = [loaded(model, language=language).voices()[0] for language in (None, "en")]
    assert [voice.languages for voice in voices] == [(), ("en",)]


def test_the_service_speaks_with_it(model: Path) -> None:
    settings = {"model": str(model), "runtime": "torch", "language": "en"}
    with TTSService({"providers": {"coqui": settings}}) as tts:
        audio = tts.synthesize(TEXT, language="en")
    assert audio.sample_rate == 16_000
    assert audio.duration > 0.1


@pytest.mark.parametrize(
    ("missing", "words"),
    [("vocab.txt", "cannot be loaded"), ("G_100000.pth", "no weights")],
)
def test_what_is_missing_is_said(tmp_path: Path, missing: str, words: str) -> None:
    make_fairseq(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelLoadError, match=words):
        loaded(tmp_path)


def test_sizes_that_are_not_the_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="do not belong together"):
        loaded(make_fairseq(tmp_path, n_layers=2))


# In another script


@pytest.mark.engine("uroman")
def test_another_script_is_read_in_latin_letters(tmp_path: Path) -> None:
    engine = loaded(make_fairseq(tmp_path, uroman=True))
    assert np.array_equal(heard(engine, "Привет"), heard(engine, "privet"))


def test_without_uroman_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_fairseq(tmp_path, uroman=True)
    monkeypatch.setitem(sys.modules, "uroman", None)  # type: ignore[arg-type] # as if not there
    with pytest.raises(DependencyMissingError, match=r"coqui-tts\[languages\]"):
        loaded(folder)


# By name


@pytest.fixture
def server(model: Path) -> Iterator[FaultyServer]:
    with FaultyServer(make_tarball(model), content_type="application/gzip") as server:
        yield server


def found(server: FaultyServer, folder: Path, *, downloads: bool = True) -> CoquiFiles:
    from ttskit.adapters.coqui_hub import hub_files

    manager = manager_of(write_list(folder, {}))
    return hub_files(NAME, downloads=downloads, manager=manager, fairseq=f"{server.url}/mms/tts")


def test_a_language_of_mms_is_fetched_once_and_speaks(server: FaultyServer, tmp_path: Path) -> None:
    files = found(server, tmp_path)
    assert kind_of(files.config) == FAIRSEQ
    assert heard(loaded(files.checkpoint)).size
    assert found(server, tmp_path, downloads=False) == files
    assert [request.target for request in server.requests] == ["/mms/tts/abc.tar.gz"]
    assert sorted(one.name for one in files.config.parent.iterdir()) == [
        "G_100000.pth",
        "config.json",
        "vocab.txt",
    ]


def test_without_downloads_it_is_not_asked_for(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="downloads are off"):
        found(server, tmp_path, downloads=False)
    assert not server.requests


def test_a_language_that_mms_has_not_is_said(server: FaultyServer, tmp_path: Path) -> None:
    server.fail(403)
    with pytest.raises(ModelLoadError, match="the server says 403"):
        found(server, tmp_path)


def archive_of(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    packed = io.BytesIO()
    member.size = len(content)
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        pytest.param(archive_of(tarfile.TarInfo("../a.pth")), "outside itself", id="above"),
        pytest.param(archive_of(tarfile.TarInfo("/a.pth")), "outside itself", id="the root"),
        pytest.param(
            archive_of(special("a.pth", tarfile.SYMTYPE, "/etc/passwd")), "outside", id="a link"
        ),
        pytest.param(archive_of(special("a", tarfile.FIFOTYPE)), "outside", id="a pipe"),
        pytest.param(b"<html>sorry</html>", "no tar archive", id="a page"),
        pytest.param(None, "damaged", id="cut off"),
        pytest.param(archive_of(tarfile.TarInfo("abc/a.txt")), "is no model", id="no model"),
    ],
)
def test_an_archive_that_is_none_or_leads_out_leaves_nothing(
    model: Path, tmp_path: Path, archive: bytes | None, words: str
) -> None:
    content = make_tarball(model)[:20_000] if archive is None else archive
    with FaultyServer(content, content_type="application/gzip") as server:
        with pytest.raises(ModelLoadError, match=words):
            found(server, tmp_path)
        with pytest.raises(ModelLoadError, match="downloads are off"):
            found(server, tmp_path, downloads=False)
    assert not list(tmp_path.rglob("*.pth"))


# What it can do


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("tts_models/eng/fairseq/vits", "eng"),
        ("tts_models/azj-script_cyrillic/fairseq/vits", "azj-script_cyrillic"),
        ("tts_models/../fairseq/vits", None),
        ("tts_models/en/ljspeech/vits", None),
    ],
)
def test_the_name_tells_the_language_and_what_it_can_do(name: str, language: str | None) -> None:
    assert fairseq_language(name) == language
    able = CoquiAdapter(CoquiOptions(model=name)).capabilities
    assert (able.cloning, able.word_timestamps) == (UNSUPPORTED, NATIVE)


def test_a_folder_is_known_for_what_it_is(model: Path) -> None:
    able = CoquiAdapter(CoquiOptions(model=str(model))).capabilities
    assert (able.synthesis, able.conversion) == (NATIVE, UNSUPPORTED)
