"""A process that ends in the middle of a stream ends as it would without one."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

DROPPED = "a stream was dropped without being closed"

ASYNC = """
    import anyio, asyncio, sys, threading
    from ttskit import AsyncTTSService
    from ttskit.testing import MockAdapter

    tts = AsyncTTSService(providers=[MockAdapter(chunk_latency_s=0.001)])

    async def main():
        async for chunk in tts.stream("One two three. " * 50):
            {ending}

    {run}
"""
BLOCKING = """
    import os, sys, threading, time
    from ttskit import TTSService
    from ttskit.testing import MockAdapter

    tts = TTSService(providers=[MockAdapter(chunk_latency_s=0.001)])
    begun = threading.Event()

    def main():
        for chunk in tts.stream("One two three. " * 50):
            begun.set()
            {ending}

    {run}
"""
REAL = """
    from ttskit import TTSService

    tts = TTSService({{"providers": {{"hibari": {{}}}}}})
    speech = tts.stream("One two three, and a good deal more to be said. " * 50)
    next(speech)
    {ending}
"""


def ended(script: str) -> tuple[int, str]:
    """Return the exit code of the script and what it wrote to stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def is_quiet(stderr: str) -> bool:
    """Whether it is empty, or one warning and the line that it speaks of."""
    warned = stderr.count("ResourceWarning: ")
    return (warned, stderr.count(DROPPED)) == (1, 1) if stderr else True


@pytest.mark.parametrize("run", ["asyncio.run(main())", "anyio.run(main, backend='trio')"])
@pytest.mark.parametrize(
    ("ending", "code"),
    [("return", 0), ("sys.exit(3)", 3), ("break", 0), ("raise SystemExit", 0)],
    ids=["return", "exit code", "break", "exit"],
)
def test_a_loop_that_ends_in_mid_stream(run: str, ending: str, code: int) -> None:
    returncode, stderr = ended(ASYNC.format(run=run, ending=ending))
    assert returncode == code
    assert is_quiet(stderr), stderr


@pytest.mark.parametrize("run", ["asyncio.run(main())", "anyio.run(main, backend='trio')"])
def test_an_exception_that_ends_the_loop_is_the_one_that_is_shown(run: str) -> None:
    returncode, stderr = ended(ASYNC.format(run=run, ending="raise LookupError('of the caller')"))
    assert returncode == 1
    assert "LookupError: of the caller" in stderr
    assert "never retrieved" not in stderr
    assert stderr.count("Traceback") == 1, stderr


@pytest.mark.parametrize(
    ("run", "ending", "code"),
    [
        pytest.param("main()", "break", 0, id="break"),
        pytest.param("main()", "sys.exit(3)", 3, id="exit in the loop"),
        pytest.param("main()", "os._exit(4)", 4, id="exit at once"),
        pytest.param(
            "threading.Thread(target=main, daemon=True).start(); begun.wait()",
            "time.sleep(60)",
            0,
            id="daemon thread",
        ),
    ],
)
def test_a_process_that_ends_in_mid_stream(run: str, ending: str, code: int) -> None:
    returncode, stderr = ended(BLOCKING.format(run=run, ending=ending))
    assert returncode == code
    assert is_quiet(stderr), stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_is_terminated_in_mid_stream() -> None:
    ending = "os.kill(os.getpid(), 15)"
    assert ended(BLOCKING.format(run="main()", ending=ending)) == (-signal.SIGTERM, "")


@pytest.mark.engine("hibari")
@pytest.mark.parametrize(
    ("ending", "code"), [("pass", 0), ("del speech", 0), ("raise SystemExit(3)", 3)]
)
def test_a_process_that_ends_while_a_real_engine_speaks(ending: str, code: int) -> None:
    returncode, stderr = ended(REAL.format(ending=ending))
    assert returncode == code
    assert is_quiet(stderr), stderr
