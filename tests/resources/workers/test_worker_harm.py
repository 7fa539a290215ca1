"""Engines that crash, hang, leak, flood and write nonsense: the application only waits a little."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import psutil
import pytest

from tests import effort
from tests.resources.workers.conftest import (
    EASY,
    Shop,
    chunks_of,
    job,
    one_loop,
    said,
    until,
    workers,
)
from tests.resources.workers.fake_engine import Endless, Hasty, Parallel, Patient, Unlisted
from ttskit.errors import GenerationError, ModelLoadError, OutOfMemoryError, WorkerCrashedError
from ttskit.resources.engine import EngineJob
from ttskit.resources.workers.environment import Secrets
from ttskit.resources.workers.host import Settings
from ttskit.resources.workers.policy import WorkerPolicy
from ttskit.resources.workers.wire import Kind, encode

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX"),
]
TEXT = "One two three four."


@one_loop
@pytest.mark.parametrize("how", ["freeze", "hold"])
async def test_a_worker_that_gives_no_sign_of_life_is_replaced(shop: Shop, how: str) -> None:
    host = shop.open()
    await host.start()
    (first,) = workers()
    with anyio.fail_after(15), pytest.raises(WorkerCrashedError, match="no sign of life"):
        await chunks_of(host, job(TEXT, how, 2))
    assert await said(host, TEXT) == TEXT
    assert not first.is_running()


@one_loop
async def test_a_worker_that_froze_while_idle_is_replaced(shop: Shop) -> None:
    host = shop.open()
    await host.start()
    (first,) = workers()
    os.kill(first.pid, signal.SIGSTOP)
    assert await said(host, TEXT) == TEXT
    assert not first.is_running()


async def test_an_endless_loop_is_ended_when_nobody_listens_any_more(shop: Shop) -> None:
    host = shop.open()
    await host.start()
    (first,) = workers()
    with anyio.move_on_after(0.3):
        await chunks_of(host, job(TEXT, "loop", 2))
    assert await said(host, TEXT) == TEXT
    assert not first.is_running()


@one_loop
async def test_those_who_cancel_much_do_not_make_the_engine_one_that_died_often(shop: Shop) -> None:
    policy = WorkerPolicy()
    host = shop.open(Hasty, policy=policy)
    for _ in range(policy.restarts + 1):
        async with host.stream(job(TEXT, "loop", 2)) as chunks:
            await anext(chunks)
    assert await said(host, TEXT) == TEXT


@one_loop
async def test_an_engine_that_says_so_is_given_more_time_to_stop(shop: Shop) -> None:
    host = shop.open(Patient, chunk_s=3.0)
    await host.start()
    before = workers()
    with anyio.move_on_after(0.1):
        await chunks_of(host, EngineJob(TEXT))
    async with host.stream(EngineJob(TEXT)) as chunks:
        await anext(chunks)
    assert workers() == before


@one_loop
@pytest.mark.parametrize("how", ["endless", "unreadable"])
async def test_an_error_that_fits_into_no_frame_is_told_all_the_same(shop: Shop, how: str) -> None:
    host = shop.open()
    await host.start()
    (first,) = workers()
    for _ in range(2):
        with anyio.fail_after(5), pytest.raises(GenerationError):
            await chunks_of(host, job(TEXT, how, 2))
    assert await said(host, TEXT) == TEXT
    assert workers() == [first]


@one_loop
async def test_an_answer_that_fits_into_no_frame_is_an_error(shop: Shop) -> None:
    host = shop.open(Unlisted)
    for _ in range(3):
        with anyio.fail_after(10), pytest.raises(ModelLoadError, match="plain data"):
            await host.voices()
    assert await said(host, TEXT) == TEXT


@one_loop
async def test_an_engine_whose_properties_fit_into_no_frame_cannot_be_loaded(shop: Shop) -> None:
    with anyio.fail_after(10), pytest.raises(ModelLoadError):
        await shop.open(Endless).start()


@one_loop
async def test_prints_do_not_disturb_the_protocol(shop: Shop) -> None:
    assert await said(shop.open(), job(TEXT, "print", 2)) == TEXT


@one_loop
async def test_a_flood_of_stderr_disturbs_nothing(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ttskit.worker")
    host = shop.open()
    assert await said(host, TEXT) == TEXT
    before = psutil.Process().memory_info().rss
    for _ in range(effort.examples(ci=2, nightly=16)):  # 64 MB each
        assert await said(host, job(TEXT, "flood", 2)) == TEXT
    assert psutil.Process().memory_info().rss - before < 30e6
    assert len(caplog.messages) < 1_000
    assert any("lines were left out" in message for message in caplog.messages)


@one_loop
async def test_a_frame_that_makes_no_sense_replaces_the_worker(shop: Shop) -> None:
    host, neighbour = shop.open(), shop.open(provider="neighbour", chunk_s=0.02)
    async with neighbour.stream(EngineJob(TEXT)) as chunks:
        await anext(chunks)
        with pytest.raises(WorkerCrashedError, match="makes no sense"):
            await chunks_of(host, job(TEXT, "garbage"))
        assert len([chunk async for chunk in chunks]) > 3
    assert await said(host, TEXT) == TEXT


@one_loop
async def test_no_nonsense_that_a_worker_writes_reaches_the_application(shop: Shop) -> None:
    host = shop.open()
    for seed in range(effort.examples(ci=5, nightly=300)):
        with suppress(WorkerCrashedError):
            await chunks_of(host, job(str(seed), "fuzz", 1))
    assert await said(host, TEXT) == TEXT


@pytest.mark.parametrize(
    "nonsense",
    [
        b"no frame at all",
        b"",
        encode(Kind.JOB, {"id": 1}),
        encode(Kind.RECIPE, {"parent": os.getpid()}),
        encode(Kind.AUDIO, {"id": 1}),
    ],
    ids=["garbage", "nothing", "a job for nobody", "an empty recipe", "an answer"],
)
def test_a_worker_that_is_told_nonsense_ends(nonsense: bytes) -> None:
    command = [sys.executable, "-m", "ttskit.resources.workers"]
    done = subprocess.run(command, input=nonsense, capture_output=True, check=False, timeout=30)
    assert done.returncode


async def test_a_worker_that_has_done_enough_is_replaced_without_a_failure(shop: Shop) -> None:
    host = shop.open(policy=WorkerPolicy(jobs=5))
    seen: set[int] = set()

    async def speak() -> None:
        while len(seen) < 4:
            assert await said(host, TEXT) == TEXT
            seen.update(worker.pid for worker in workers())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as callers:
            for _ in range(3):
                callers.start_soon(speak)


@one_loop
async def test_a_worker_that_leaks_is_replaced_without_a_failure(shop: Shop) -> None:
    host = shop.open(policy=WorkerPolicy(growth=100_000_000))
    await host.start()
    (first,) = workers()
    with anyio.fail_after(30):
        while first.is_running():
            assert await said(host, job(TEXT, "leak")) == TEXT
    assert await said(host, TEXT) == TEXT


@one_loop
async def test_an_engine_that_always_dies_is_left_alone_after_five_times(shop: Shop) -> None:
    host = shop.open(load="crash", policy=WorkerPolicy(first_wait_s=0.01))
    with pytest.raises(WorkerCrashedError) as caught:
        await said(host, TEXT)
    assert 0 < (caught.value.retry_after or 0) <= 60
    with anyio.fail_after(1), pytest.raises(WorkerCrashedError):
        await host.start()
    assert workers() == []


@one_loop
async def test_a_job_waits_while_its_worker_is_started_again(shop: Shop, tmp_path: Path) -> None:
    host = shop.open(load="once", home=str(tmp_path / "flag"))
    assert await said(host, TEXT) == TEXT


@one_loop
@pytest.mark.parametrize("how", ["hoard", "terminate"])
async def test_an_engine_that_finds_no_memory_says_so(shop: Shop, how: str) -> None:
    host = shop.open(settings=Settings(memory=700_000_000))
    with pytest.raises(OutOfMemoryError):
        await chunks_of(host, job(TEXT, how))
    assert await said(host, TEXT) == TEXT


async def test_a_process_whose_gpu_is_broken_is_never_used_again(shop: Shop) -> None:
    host = shop.open()
    await host.start()
    (first,) = workers()
    with pytest.raises(GenerationError):
        await chunks_of(host, job(TEXT, "gpu"))
    assert await said(host, TEXT) == TEXT
    assert not first.is_running()


async def test_what_the_engine_logs_arrives_with_the_request_and_without_the_text(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ttskit.worker")
    text = "Attack at dawn, said the general."
    host = shop.open()
    assert await said(host, job(text, "log", 2, request_id="r17")) == text
    await until(lambda: any("without secrets" in message for message in caplog.messages))
    assert "fake r17: some.library: all is not well" in caplog.messages
    assert "attack" not in caplog.text.lower()
    levels = {record.levelname for record in caplog.records if "not well" in record.getMessage()}
    assert levels == {"WARNING"}


@one_loop
async def test_a_text_is_kept_out_of_the_log_for_as_long_as_it_is_spoken(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ttskit.worker")
    text = "Attack at dawn, said the general. " * 20  # more than is made ahead of the reader
    host = shop.open(Parallel, settings=Settings(threads=2))
    async with host.stream(job(text, "log", 100)) as chunks:
        await anext(chunks)
        for _ in range(20):
            await said(host, "One.")
        assert "not well" not in caplog.text
        async for _ in chunks:
            pass
    await until(lambda: any("without secrets" in message for message in caplog.messages))
    assert "not well" in caplog.text
    assert "attack" not in caplog.text.lower()


@one_loop
async def test_a_text_about_memory_does_not_decide_what_a_worker_dies_of(shop: Shop) -> None:
    host = shop.open()
    text = "The shop is out of memory."
    assert await said(host, job(text, "log", 2)) == text
    with pytest.raises(WorkerCrashedError):
        await chunks_of(host, job(TEXT, "kill", 2))


@one_loop
async def test_a_worker_that_got_over_a_want_of_memory_did_not_die_of_it(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ttskit.worker")
    host = shop.open()
    assert await said(host, job(TEXT, "complain", 2)) == TEXT
    await until(lambda: "trying with less" in caplog.text)
    assert await said(host, TEXT) == TEXT
    with pytest.raises(WorkerCrashedError):
        await chunks_of(host, job(TEXT, "kill", 2))


@one_loop
async def test_a_worker_sees_no_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "canary-of-acme")
    monkeypatch.setenv("INNOCENT", "prefix canary-by-value")
    secrets = Secrets(frozenset({"ACME_API_KEY"}), frozenset({"canary-by-value"}))
    await shop.open(settings=Settings(secrets=secrets)).start()
    (worker,) = workers()
    assert "canary" not in str(worker.environ()) + str(worker.cmdline())


@one_loop
async def test_what_an_engine_starts_and_writes_goes_with_it(shop: Shop) -> None:
    host = shop.open(policy=EASY)
    assert await said(host, job(TEXT, "litter", 2)) == TEXT
    (worker,) = workers()
    assert len(worker.children()) == 1
    worker.kill()
    assert await said(host, TEXT) == TEXT
    # The fixture looks for the files and the process.


@one_loop
async def test_a_worker_s_death_is_noticed_although_what_it_forked_holds_its_pipes(
    shop: Shop,
) -> None:
    host = shop.open()
    assert await said(host, job(TEXT, "daemon", 2)) == TEXT
    (worker,) = workers()
    (daemon,) = worker.children()
    try:
        with anyio.fail_after(10), pytest.raises(WorkerCrashedError, match="SIGKILL"):
            await chunks_of(host, job(TEXT, "kill", 2))
        assert await said(host, TEXT) == TEXT
        assert daemon.is_running()
    finally:
        daemon.kill()


@one_loop
async def test_a_worker_is_started_although_the_working_directory_is_gone(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with anyio.fail_after(10):
        assert await said(shop.open(), TEXT) == TEXT


@one_loop
@pytest.mark.parametrize("do", ["", "loop", "hold", "freeze"])
async def test_closing_ends_a_worker_whatever_it_does(shop: Shop, do: str) -> None:
    host = shop.open()
    await host.start()
    async with host.stream(job(TEXT, do, 2)) as chunks:
        await anext(chunks)
        with anyio.fail_after(5):
            await host.aclose()
    assert not workers()


@one_loop
@pytest.mark.parametrize("load", ["loop", "hold", "freeze"])
async def test_closing_ends_a_worker_that_is_still_loading(shop: Shop, load: str) -> None:
    host = shop.open(load=load)
    with anyio.move_on_after(1):
        await host.start()
    with anyio.fail_after(5):
        await host.aclose()
    assert not workers()


@one_loop
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_descriptors_do_not_leak_into_other_workers(shop: Shop) -> None:
    first, second = shop.open(provider="first"), shop.open(provider="second")
    await first.start()
    await second.start()
    one, other = workers()
    assert _pipes(one)
    assert not _pipes(one) & _pipes(other)


def _pipes(process: psutil.Process) -> set[str]:
    names = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]  # noqa: PTH115
    return {name for name in names if name.startswith("pipe")}
