"""Models of Coqui's list: fetched whole or not at all, from a server that may misbehave."""

from __future__ import annotations

import errno
import io
import logging
import os
import ssl
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from tests.engines.coqui_list import (
    NAME,
    FetchingEngine,
    found,
    make_archive,
    manager_of,
    write_list,
)
from tests.engines.coqui_models import make_vits
from tests.engines.hub_server import HubServer
from ttskit.adapters import coqui_download
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_files import KNNVC, OPENVOICE, CoquiFiles, kind_of
from ttskit.errors import ConfigurationError, ModelLoadError, StorageFullError
from ttskit.resources import downloads
from ttskit.resources.engine import EngineJob, Recipe
from ttskit.resources.host import Resources
from ttskit.telemetry.events import DownloadEvent
from ttskit.testing import FaultyServer
from ttskit.testing.wire import Framing

pytestmark = pytest.mark.engine("coqui")

_CHILD = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from tests.engines.coqui_list import found
print(found(sys.argv[1]).checkpoint, flush=True)
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_archive(make_vits(tmp_path_factory.mktemp("model")))


@pytest.fixture
def server(archive: bytes) -> Iterator[FaultyServer]:
    with FaultyServer(archive, content_type="application/zip") as server:
        yield server


@pytest.fixture
def listed(server: FaultyServer, tmp_path: Path) -> Path:
    return write_list(tmp_path, {NAME: {"github_rls_url": f"{server.url}/models/tiny.zip"}})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    from huggingface_hub import constants

    files = {path.name: path.read_bytes() for path in make_vits(tmp_path / "model").iterdir()}
    with HubServer(files | {"speakers.json": b"{}", "samples/one.wav": b"RIFF"}) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.server.url)
        page = hub.server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", page)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


def left(listed: Path) -> list[str]:
    """Return what is in the folder of models, locks aside."""
    folder = listed.parent / "tts"
    return (
        []
        if not folder.is_dir()
        else sorted(one.name for one in folder.iterdir() if not one.name.endswith(".lock"))
    )


def heard(files: CoquiFiles) -> int:
    """Return how many samples the model makes of a sentence."""
    engine = CoquiEngine(model=str(files.checkpoint), runtime="torch")
    engine.load()
    job = EngineJob("one two three four five.")
    return sum(len(chunk.samples) for chunk in engine.synthesize(job, threading.Event()))


def child(listed: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(listed)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_model_of_the_list_is_fetched_once_and_speaks(
    server: FaultyServer, listed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ttskit"):
        files = found(str(listed))
    assert files.name == NAME
    assert heard(files) > 1_000
    assert found(str(listed), downloads=False) == files
    assert len(server.requests) == 1
    assert left(listed) == ["tts_models--en--tiny--vits"]
    assert sorted(file.name for file in files.config.parent.iterdir()) == [
        "config.json",
        "model.pth",
    ]
    told = [record.getMessage() for record in caplog.records if "ttskit" in record.name]
    assert told[0] == f"downloading {NAME} (licence: MIT)"
    assert told[-1].startswith(f"downloaded {NAME}: ")


def test_the_log_tells_how_much_has_come(
    server: FaultyServer,
    listed: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(downloads, "PROGRESS_S", 0.002)
    server.trickle(step=200_000, every_s=0.03)
    with caplog.at_level(logging.INFO, "ttskit"):
        found(str(listed))
    told = [record.getMessage() for record in caplog.records]
    total = f"{len(server._good[''][0]) / 1e6:.1f} MB"  # type: ignore[arg-type] # bytes here
    assert any(line.startswith("downloading") and line.endswith(f"of {total}") for line in told)


@pytest.mark.anyio
async def test_a_workers_download_is_told_in_events_and_the_applications_log(
    server: FaultyServer, listed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.trickle(step=200_000, every_s=0.3)
    events: list[DownloadEvent] = []
    resources = Resources(tell=events.append)  # type: ignore[arg-type] # nothing else happens
    recipe = Recipe(FetchingEngine, {"listed": str(listed)})
    host = resources.engine(recipe, provider="coqui", isolation="process")
    try:
        with caplog.at_level(logging.INFO):
            await host.start()
    finally:
        await host.aclose()
        await resources.aclose()
    assert f"downloaded {NAME}" in caplog.text
    downloads = [event for event in events if isinstance(event, DownloadEvent)]
    size = len(server._good[""][0])  # type: ignore[arg-type] # bytes here
    assert {(event.provider, event.what) for event in downloads} == {("coqui", NAME)}
    *others, last = downloads
    assert (last.received, last.total, last.is_over) == (size, size, True)
    assert others
    assert all(event.total in (None, size) and not event.is_over for event in others)
    assert max(event.received for event in downloads) == size


@pytest.mark.parametrize("fault", ["closed", "reset", "short"])
def test_a_download_that_is_cut_leaves_nothing_and_the_next_one_works(
    server: FaultyServer, listed: Path, fault: str
) -> None:
    half = 20_000
    if fault == "closed":
        server.truncate(at=half, times=1)
    elif fault == "reset":
        server.reset(at=half, times=1)
    else:
        server.wrong_length(half, times=1)
    with pytest.raises(ModelLoadError, match="could not be downloaded"):
        found(str(listed))
    assert left(listed) == []
    assert heard(found(str(listed))) > 1_000


def test_a_process_killed_while_it_downloads_leaves_no_half(
    server: FaultyServer, listed: Path
) -> None:
    server.stall(at=20_000, times=1)
    with child(listed) as killed:
        assert killed.stdout is not None
        assert "downloading" in killed.stdout.readline()
        while not (server.requests and server.requests[0].sent):
            assert killed.poll() is None
        killed.kill()
    with pytest.raises(ModelLoadError, match="downloads are off"):
        found(str(listed), downloads=False)
    assert heard(found(str(listed))) > 1_000
    assert left(listed) == ["tts_models--en--tiny--vits"]


def test_two_processes_download_a_model_once(
    server: FaultyServer, archive: bytes, listed: Path
) -> None:
    both_want_it = threading.Event()

    def body(_: object) -> bytes:
        assert both_want_it.wait(60)
        return archive

    server.serve("/models", body, content_type="application/zip")
    with child(listed) as first, child(listed) as second:
        assert first.stdout is not None
        assert second.stdout is not None
        lines = {first.stdout.readline(), second.stdout.readline()}
        assert lines == {
            f"downloading {NAME} (licence: MIT)\n",
            f"{NAME} is being downloaded by another process\n",
        }
        both_want_it.set()
        paths = {one.stdout.read().splitlines()[-1] for one in (first, second) if one.stdout}
    assert (first.returncode, second.returncode) == (0, 0)
    assert paths == {str(found(str(listed), downloads=False).checkpoint)}
    assert len(server.requests) == 1


def test_without_a_network_the_error_says_so(server: FaultyServer, listed: Path) -> None:
    server.refuse()
    with pytest.raises(ModelLoadError, match="is there a network"):
        found(str(listed))
    assert left(listed) == []


def test_a_silent_server_is_given_up(
    server: FaultyServer, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coqui_download, "SILENCE_S", 0.2)
    server.stall(at=1_000)
    with pytest.raises(ModelLoadError, match="could not be downloaded"):
        found(str(listed))
    assert left(listed) == []


@pytest.mark.parametrize(
    ("fault", "reason"), [("missing", "the server says 404"), ("page", "no zip archive")]
)
def test_what_is_no_model_is_refused(
    server: FaultyServer, listed: Path, fault: str, reason: str
) -> None:
    if fault == "missing":
        server.fail(404)
    else:
        server.html()
    with pytest.raises(ModelLoadError, match=reason):
        found(str(listed))
    assert left(listed) == []


def test_a_redirection_to_a_connection_without_encryption_is_refused(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{server.url}/models/tiny.zip")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as safe:
        safe.socket = context.wrap_socket(safe.socket, server_side=True)
        serving = threading.Thread(target=safe.serve_forever)
        serving.start()
        url = f"https://127.0.0.1:{safe.server_port}/tiny.zip"
        listed = write_list(tmp_path, {NAME: {"github_rls_url": url}})
        with pytest.raises(ModelLoadError, match="not encrypted"):
            found(str(listed))
        safe.shutdown()
        serving.join()
    assert left(listed) == []


def test_an_archive_without_a_model_is_refused(server: FaultyServer, listed: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    server.serve("/models", packed.getvalue(), content_type="application/zip")
    with pytest.raises(ModelLoadError):
        found(str(listed))
    assert left(listed) == []


def test_with_downloads_off_the_error_says_how_to_allow_them(
    server: FaultyServer, listed: Path
) -> None:
    with pytest.raises(ModelLoadError, match=r"resources: \{downloads: true\}"):
        found(str(listed), downloads=False)
    assert server.requests == []


@pytest.mark.parametrize(
    "name",
    ["../victim.txt", "a/../../victim.txt", "/victim.txt", "..\\victim.txt", "C:\\victim.txt"],
)
def test_an_archive_that_reaches_outside_is_refused(
    server: FaultyServer, archive: bytes, listed: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "tts").mkdir()
    victim = tmp_path / "tts" / "victim.txt"
    victim.write_text("mine")
    packed = io.BytesIO(archive)
    with zipfile.ZipFile(packed, "a") as more:
        more.writestr(name, "yours")
    server.serve("/models", packed.getvalue(), content_type="application/zip")
    with pytest.raises(ModelLoadError, match="outside itself"):
        found(str(listed))
    assert victim.read_text() == "mine"
    assert left(listed) == ["victim.txt"]


def test_an_archive_with_a_folder_or_a_link_outside_is_refused(
    server: FaultyServer, archive: bytes, listed: Path, tmp_path: Path
) -> None:
    (tmp_path / "tts" / "other").mkdir(parents=True)
    link = zipfile.ZipInfo("inside/link.pth")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for entry in (zipfile.ZipInfo("../other/"), link):
        packed = io.BytesIO(archive)
        with zipfile.ZipFile(packed, "a") as more:
            more.writestr(entry, "/etc/passwd" if entry is link else "")
        server.serve("/models", packed.getvalue(), content_type="application/zip")
        with pytest.raises(ModelLoadError, match="outside itself"):
            found(str(listed))
    assert left(listed) == ["other"]


def test_what_a_download_of_coquis_left_unfinished_is_fetched_anew(
    server: FaultyServer, listed: Path
) -> None:
    folder = listed.parent / "tts" / "tts_models--en--tiny--vits"
    folder.mkdir(parents=True)
    (folder / "tiny.zip").write_bytes(b"half")
    assert heard(found(str(listed))) > 1_000
    assert not (folder / "tiny.zip").exists()
    assert len(server.requests) == 1


def test_a_vocoder_comes_with_its_model(server: FaultyServer, tmp_path: Path) -> None:
    from ttskit.adapters.coqui_hub import hub_files

    vocoder = "vocoder_models/en/tiny/hifigan"
    items = {
        NAME: {"github_rls_url": f"{server.url}/model", "default_vocoder": vocoder},
        vocoder: {"github_rls_url": f"{server.url}/vocoder"},
    }
    files = hub_files(NAME, downloads=True, manager=manager_of(write_list(tmp_path, items)))
    assert files.vocoder is not None
    assert files.vocoder.parent.name == "vocoder_models--en--tiny--hifigan"
    assert [request.target for request in server.requests] == ["/model", "/vocoder"]


def test_a_repository_of_the_hub_is_fetched_once_and_found_without_a_network(
    hub: HubServer, tmp_path: Path
) -> None:
    listed = write_list(tmp_path, {NAME: {"repo_id": hub.repository, "ignore": ["samples/*"]}})
    with pytest.raises(ModelLoadError, match="downloads are off"):
        found(str(listed), downloads=False)
    files = found(str(listed))
    assert heard(files) > 1_000
    hub.server.refuse()
    assert found(str(listed)) == found(str(listed), downloads=False) == files
    assert not any("samples" in request.target for request in hub.server.requests)


def test_half_a_repository_is_no_model(hub: HubServer, tmp_path: Path) -> None:
    listed = write_list(tmp_path, {NAME: {"repo_id": hub.repository, "ignore": ["samples/*"]}})
    hub.missing = "speakers.json"
    with pytest.raises(ModelLoadError, match="could not be downloaded"):
        found(str(listed))
    with pytest.raises(ModelLoadError, match="downloads are off"):
        found(str(listed), downloads=False)
    hub.missing = None
    assert heard(found(str(listed))) > 1_000


def test_without_a_network_the_hub_is_not_waited_for(hub: HubServer, tmp_path: Path) -> None:
    listed = write_list(tmp_path, {NAME: {"repo_id": hub.repository}})
    hub.server.refuse()
    with pytest.raises(ModelLoadError, match="is there a network"):
        found(str(listed))


def test_settings_of_openvoice_are_found_where_its_makers_keep_them(
    hub: HubServer, tmp_path: Path
) -> None:
    from ttskit.adapters.coqui_hub import hub_files

    folder = "checkpoints/converter"
    hub.files = {
        f"{folder}/config.json": b'{"model": {"zero_g": true}, "data": {}}',
        f"{folder}/checkpoint.pth": b"weights",
        "checkpoints/other/config.json": b"{}",
    }
    name = "voice_conversion_models/multilingual/multi-dataset/openvoice_v1"
    listed = write_list(tmp_path, {name: {"repo_id": hub.repository, "allow": [f"{folder}/*"]}})
    files = hub_files(name, downloads=True, manager=manager_of(listed))
    assert kind_of(files.config) == OPENVOICE
    assert files.checkpoint.read_bytes() == b"weights"
    assert files.checkpoint.parent == files.config.parent


def test_knn_vc_has_no_weights_but_a_vocoder(server: FaultyServer, tmp_path: Path) -> None:
    from ttskit.adapters.coqui_hub import hub_files

    name, vocoder = "voice_conversion_models/en/tiny/knnvc", "vocoder_models/en/tiny/hifigan"
    items = {name: {"default_vocoder": vocoder}, vocoder: {"github_rls_url": server.url}}
    manager = manager_of(write_list(tmp_path, items))
    files = hub_files(name, downloads=True, manager=manager)
    assert kind_of(files.config) == KNNVC
    assert files.vocoder is not None
    assert hub_files(name, manager=manager) == files
    assert len(server.requests) == 1


def test_a_name_that_the_list_has_not_is_told_the_nearest(listed: Path) -> None:
    from ttskit.adapters.coqui_hub import hub_files

    with pytest.raises(ConfigurationError, match="nearest: tts_models/en/tiny/vits"):
        hub_files("tts_models/en/tiny/vitz", manager=manager_of(listed))


def test_a_licence_is_agreed_to_by_the_user_alone(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ttskit.adapters.coqui_hub import hub_files

    monkeypatch.setenv("COQUI_TOS_AGREED", "1")
    item = {"github_rls_url": server.url, "license": "CPML", "tos_required": True}
    manager = manager_of(write_list(tmp_path, {NAME: item}))
    with pytest.raises(ConfigurationError, match="agree_to_licence: true") as caught:
        hub_files(NAME, downloads=True, manager=manager)
    assert "CPML" in str(caught.value)
    assert "https://" in str(caught.value)
    assert server.requests == []
    assert hub_files(NAME, downloads=True, agreed=True, manager=manager).name == NAME
    with pytest.raises(ConfigurationError, match="agree_to_licence"):
        hub_files(NAME, manager=manager)


def test_xtts_of_coquis_own_list_wants_to_be_agreed_to() -> None:
    engine = CoquiEngine(model="tts_models/multilingual/multi-dataset/xtts_v2", downloads=True)
    with pytest.raises(ConfigurationError, match="agree_to_licence: true"):
        engine.load()


def test_a_piece_that_several_models_need_is_fetched_once(
    server: FaultyServer, archive: bytes, tmp_path: Path
) -> None:
    from ttskit.adapters.coqui_hub import hub_piece

    place, url = tmp_path / "wavlm" / "piece.pt", f"{server.url}/piece.pt"
    with pytest.raises(ModelLoadError, match=r"downloads are off.*put it beside"):
        hub_piece(url, place, downloads=False)
    server.truncate(at=1_000, framing=Framing.LENGTH, times=1)
    with pytest.raises(ModelLoadError, match=r"piece\.pt could not be downloaded"):
        hub_piece(url, place, downloads=True)
    assert not any(one.suffix != ".lock" for one in place.parent.iterdir())
    assert hub_piece(url, place, downloads=True).read_bytes() == archive
    assert hub_piece(url, place, downloads=False) == place
    assert len(server.requests) == 2


def test_a_full_disk_is_not_taken_for_a_missing_network() -> None:
    with pytest.raises(StorageFullError, match="no room"), coqui_download.failures("a model"):
        raise OSError(errno.ENOSPC, "full")
