"""Samples of voices: what is taken, what is refused, and that a bad one harms nobody."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import psutil
import pytest
import soundfile
from anyio import to_thread

from tests.resources import samples
from ttskit.errors import InvalidVoiceReferenceError, StorageFullError, TTSError, UnsafePathError
from ttskit.resources import references
from ttskit.resources.references import MAX_BYTES, ReferenceOptions, References
from ttskit.testing import Census

pytestmark = pytest.mark.anyio

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX special files and signals")
GOOD = samples.GOOD["wav"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def taken(folder: Path) -> References:
    return References(ReferenceOptions(folder=folder))


def kept_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


@pytest.fixture
async def unharmed(anyio_backend: str) -> AsyncIterator[None]:
    """Nothing may be left of the processes that a test starts."""
    del anyio_backend
    await to_thread.run_sync(int)  # the pool's own thread
    census = Census.take()
    yield
    await census.check()


async def refused(taken: References, source: Path | bytes) -> str:
    with pytest.raises(InvalidVoiceReferenceError) as caught:
        await taken.read(source)
    return caught.value.message


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", samples.GOOD)
async def test_every_accepted_kind_becomes_the_same_wav(taken: References, kind: str) -> None:
    sample = await taken.read(samples.GOOD[kind])
    with wave.open(str(sample.path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.getnframes() / 24_000 == sample.seconds == pytest.approx(2.0, abs=0.05)
    heard, _ = soundfile.read(sample.path)
    assert 0.05 < np.sqrt(np.mean(heard**2)) < 0.2
    expected = samples.voice(rate=24_000)[: len(heard)]
    assert np.corrcoef(heard[: len(expected)], expected)[0, 1] > 0.95


async def test_what_is_loud_and_what_is_faint_end_at_one_level(taken: References) -> None:
    levels = []
    for gain in (0.1, 0.3, 3.0):
        loud = np.clip(gain * samples.voice(), -1, 1)
        sample = await taken.read(samples.encoded(loud, 16_000, subtype="FLOAT"))
        levels.append(np.sqrt(np.mean(soundfile.read(sample.path)[0] ** 2)))
    assert max(levels) / min(levels) < 1.5


async def test_silence_around_the_voice_is_left_out(taken: References) -> None:
    quiet = np.zeros(16_000 * 5, np.float32)
    around = np.concatenate([quiet, samples.voice(), quiet])
    assert (await taken.read(samples.encoded(around, 16_000))).seconds < 3


@pytest.mark.parametrize("name", ["voice.mp3", "voice.txt", "voice"])
async def test_a_file_is_told_by_its_content_and_not_by_its_name(
    taken: References, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(GOOD)
    assert (await taken.read(path)).digest == (await taken.read(GOOD)).digest


MP3 = samples.encoded(samples.voice(), 16_000, "MP3")
FLAC = samples.GOOD["flac"]
VORBIS = samples.GOOD["vorbis"]
NAN = np.full(16_000 * 2, np.nan, np.float32)
BAD = {
    "nothing": (b"", "no audio that is known"),
    "text": (b"hello there " * 20, "no audio that is known"),
    "mp3 by the name of wav": (MP3, "it is mp3"),
    "aiff": (samples.encoded(samples.voice(), 16_000, "AIFF"), "no audio that is known"),
    "too large": (bytes(MAX_BYTES + 1), "larger than 10 MiB"),
    "too short": (samples.encoded(samples.voice(0.5), 16_000), "0.50 s of sound"),
    "too long": (samples.encoded(samples.voice(121, rate=8_000), 8_000), "longer than 120 s"),
    "three channels": (samples.encoded(samples.voice(channels=3), 16_000), "3 channels"),
    "three channels of flac": (
        samples.encoded(samples.voice(channels=3), 16_000, "FLAC"),
        "3 channels",
    ),
    "low rate": (samples.encoded(samples.voice(rate=4_000), 4_000), "4000 Hz"),
    "high rate": (samples.encoded(samples.voice(rate=16_000), 384_000), "384000 Hz"),
    "silence": (samples.silent(3, "FLAC"), "silent"),
    "a constant": (samples.encoded(np.full(32_000, 0.5, np.float32), 16_000), "silent"),
    "numbers that are none": (samples.encoded(NAN, 16_000, subtype="FLOAT"), "no finite"),
    "wav cut in its header": (GOOD[:30], "ends within its header"),
    "wav cut in its audio": (GOOD[:-1_000], "ends before"),
    "wav that claims more": (samples.with_wav_size(GOOD, 1_000_000), "ends before"),
    "wav that claims nothing": (samples.with_wav_size(GOOD[:44], 100), "ends before"),
    "flac cut": (FLAC[:-1_000], "cut short"),
    "flac that claims more": (samples.with_flac_total(FLAC, 100_000), "cut short"),
    "flac that claims days": (samples.with_flac_total(FLAC, 2**36 - 1), "longer than"),
    "vorbis cut": (VORBIS[:-1_000], "cut short"),
    "only a flac's name": (b"fLaC" + bytes(200), "cut short"),
    "only an ogg's name": (b"OggS" + bytes(200), "cut short"),
    "ten minutes in 100 kB of flac": (samples.silent(600, "FLAC"), "longer than"),
    "the same without a total": (
        samples.with_flac_total(samples.silent(600, "FLAC"), 0),
        "longer than",
    ),
    "five minutes in 40 kB of vorbis": (samples.silent(300, "OGG"), "longer than"),
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.usefixtures("unharmed")
async def test_whatever_else_comes_is_refused_and_told_what_is_accepted(
    taken: References, folder: Path, kind: str
) -> None:
    data, why = BAD[kind]
    told = await refused(taken, data)
    assert why in told
    assert "WAV, FLAC and Ogg" in told
    assert kept_in(folder) == []


@posix
def test_a_bomb_takes_little_memory(folder: Path) -> None:
    # A process of its own: what a system tells is the most that any child ever took.
    program = [sys.executable, "-m", "tests.resources.bomb_memory", str(folder)]
    ended = subprocess.run(program, capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(ended.stdout) < 250 * 2**20


@posix
@pytest.mark.parametrize("order", ["segfault", "flood", "lie", "rave", "complain", "nothing"])
@pytest.mark.usefixtures("unharmed")
async def test_a_decoder_that_goes_mad_is_an_error_of_the_sample(
    taken: References, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(references, "_DECODER", "tests.resources.bad_decoder")
    assert "the decoder failed at it" in await refused(taken, order.encode())
    monkeypatch.undo()
    assert (await taken.read(GOOD)).seconds == pytest.approx(2, abs=0.05)


@posix
@pytest.mark.parametrize("order", ["hang", "fork and hang"])
@pytest.mark.usefixtures("unharmed")
async def test_a_decoder_that_hangs_is_killed_with_all_it_started(
    taken: References, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(references, "_DECODER", "tests.resources.bad_decoder")
    monkeypatch.setattr(references, "DEADLINE_S", 1.0)
    assert "too long to decode" in await refused(taken, order.encode())


@pytest.mark.usefixtures("unharmed")
async def test_who_gives_up_waiting_leaves_no_process(
    taken: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_DECODER", "tests.resources.bad_decoder")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(taken.read, b"hang")
        while not psutil.Process().children():
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_a_sample_is_decoded_once(
    taken: References, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await taken.read(GOOD)
    monkeypatch.setattr(references, "_DECODER", "no_such_decoder")
    assert await taken.read(GOOD) == first
    assert await References(ReferenceOptions(folder=folder)).read(GOOD) == first


async def test_many_at_once_share_one_decoding(
    taken: References, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    async def read() -> None:
        found.append(await taken.read(GOOD))

    monkeypatch.setattr(taken, "_decoders", anyio.Semaphore(1))
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(read)
    assert len(set(found)) == len(kept_in(folder)) == 1


async def test_other_limits_are_heeded_for_what_was_kept(taken: References, folder: Path) -> None:
    await taken.read(GOOD)
    strict = References(ReferenceOptions(folder=folder, shortest_s=5.0))
    assert "2.00 s of sound" in await refused(strict, GOOD)


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
async def test_a_damaged_copy_is_made_anew(taken: References, damage: str) -> None:
    sample = await taken.read(GOOD)
    whole = sample.path.read_bytes()
    broken = {"cut": whole[:-100], "changed": whole[:-1] + b"\x7f", "emptied": b""}
    sample.path.write_bytes(broken[damage])
    assert (await taken.read(GOOD)).path.read_bytes() == whole


@posix
async def test_a_copy_that_became_a_link_is_made_anew(taken: References, tmp_path: Path) -> None:
    sample = await taken.read(GOOD)
    elsewhere = tmp_path / "elsewhere.wav"
    elsewhere.write_bytes(b"not ours")
    sample.path.unlink()
    sample.path.symlink_to(elsewhere)
    anew = await taken.read(GOOD)
    assert not anew.path.is_symlink()
    assert elsewhere.read_bytes() == b"not ours"


@posix
async def test_nobody_else_may_read_a_copy(taken: References) -> None:
    sample = await taken.read(GOOD)
    assert stat.S_IMODE(sample.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(sample.path.parent.stat().st_mode) == 0o700


async def test_copies_are_bounded_and_those_in_use_stay(folder: Path) -> None:
    sizes = References(ReferenceOptions(folder=folder, cache_bytes=250_000))
    in_use = await sizes.read(GOOD)  # 96 kB, as each of the others
    for seconds in (2.1, 2.2, 2.3):
        await sizes.read(samples.encoded(samples.voice(seconds), 16_000))
    assert sum(path.stat().st_size for path in kept_in(folder)) <= 250_000
    assert in_use.path.exists()
    del in_use
    for seconds in (2.4, 2.1):
        await sizes.read(samples.encoded(samples.voice(seconds), 16_000))
    assert len(kept_in(folder)) == 2


async def test_a_disk_without_room_is_told(
    taken: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageFullError("no room")

    monkeypatch.setattr("ttskit.resources.reference_shelf.write_atomically", full)
    with pytest.raises(StorageFullError):
        await taken.read(GOOD)


class TestPaths:
    @pytest.fixture
    def allowed(self, tmp_path: Path) -> Path:
        folder = tmp_path / "allowed"
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "voice.wav").write_bytes(GOOD)
        (tmp_path / "secret.wav").write_bytes(GOOD)
        return folder

    @pytest.fixture
    def confined(self, allowed: Path, folder: Path) -> References:
        return References(ReferenceOptions(folder=folder, directories=[allowed]))

    async def test_a_file_within_is_found_by_its_relative_path_or_its_whole_one(
        self, confined: References, allowed: Path
    ) -> None:
        for path in (Path("inner/voice.wav"), allowed / "inner" / "voice.wav"):
            assert (await confined.read(path)).seconds > 1

    async def test_a_relative_path_is_looked_for_in_every_directory(
        self, allowed: Path, folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        directories = [tmp_path / "empty", allowed]
        taken = References(ReferenceOptions(folder=folder, directories=directories))
        assert (await taken.read(Path("inner/voice.wav"))).seconds > 1

    @pytest.mark.parametrize("path", ["../secret.wav", "inner/../../secret.wav", "/etc/hosts"])
    async def test_a_path_that_leads_out_is_refused(self, confined: References, path: str) -> None:
        with pytest.raises(UnsafePathError):
            await confined.read(Path(path))

    async def test_what_is_not_there_is_told(self, confined: References) -> None:
        assert "No such file" in await refused(confined, Path("inner/nobody.wav"))

    @posix
    async def test_a_link_that_leads_out_is_refused(
        self, confined: References, allowed: Path, tmp_path: Path
    ) -> None:
        (allowed / "link.wav").symlink_to(tmp_path / "secret.wav")
        (allowed / "folder").symlink_to(tmp_path)
        for path in ("link.wav", "folder/secret.wav"):
            with pytest.raises(UnsafePathError):
                await confined.read(Path(path))

    @posix
    @pytest.mark.parametrize("swapped", ["inner/voice.wav", "inner"])
    async def test_a_link_put_there_after_the_look_is_not_followed(
        self, confined: References, allowed: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
    ) -> None:
        resolved = os.path.realpath

        def swap(path: str | Path) -> str:
            """Resolve the path, and then let somebody change what is there."""
            real = resolved(path)
            if real.endswith("voice.wav"):
                victim = allowed / swapped
                if not victim.is_symlink():
                    victim.rename(allowed / "moved")
                    victim.symlink_to(allowed / "moved")
            return real

        monkeypatch.setattr(os.path, "realpath", swap)
        with pytest.raises(UnsafePathError):
            await confined.read(Path("inner/voice.wav"))

    @posix
    @pytest.mark.parametrize("kind", ["directory", "fifo", "device", "socket"])
    async def test_what_is_no_ordinary_file_is_refused_without_waiting(
        self, taken: References, tmp_path: Path, kind: str
    ) -> None:
        path = Path("/dev/zero") if kind == "device" else tmp_path / kind
        if kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        server = socket.socket(socket.AF_UNIX)
        if kind == "socket":
            server.bind(str(path))
        with server, anyio.fail_after(20), pytest.raises(UnsafePathError):
            await taken.read(path)

    async def test_a_large_file_is_not_read_to_its_end(
        self, taken: References, tmp_path: Path
    ) -> None:
        path = tmp_path / "huge.wav"
        with path.open("wb") as file:
            file.truncate(2**34)  # of nothing: it takes no room on the disk
        assert "larger" in await refused(taken, path)

    async def test_a_name_with_a_nul_is_refused(self, taken: References) -> None:
        with pytest.raises(TTSError):
            await taken.read(Path("voice\0.wav"))


async def test_reading_holds_no_event_loop_up(taken: References, tmp_path: Path) -> None:
    """A FIFO, a slow disk, a decoder: meanwhile others go on."""
    turns, done = 0, anyio.Event()

    async def turn() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await anyio.sleep(0.001)

    path = tmp_path / "voice.wav"
    path.write_bytes(GOOD)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        await partial(taken.read, path)()
        done.set()
    assert turns > 10
