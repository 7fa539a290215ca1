"""What the way to a cloud costs: ttskit against the bare clients below it and the official SDKs.

    python benchmarks/bench_cloud.py [--calls 384] [--peers aiohttp,httpx,ttskit-aiohttp]

Every peer asks the same server on this machine for a second of PCM. Each runs in a process of its
own; blocks of all peers take turns, so that a busy machine is busy for all of them. Printed per
peer, at 1 and 64 calls at a time: processor time a request, requests a second, milliseconds to the
first piece of audio, peak memory; ratios to the bare clients of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

TEXT = (
    "The train to Oxford leaves at half past nine, and the next one to Reading at a quarter to ten."
)
SIZE = 50_000
ROUNDS = 7
FIRSTS = 20
BODY = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm"}
HEADERS = {"Authorization": "Bearer sk-bench"}
RATIOS = ("cpu1", "cpu64", "rate1", "rate64")
Seen = dict[tuple[str, str], list[float]]
"""By peer and figure: its value in each round."""
Ask = Callable[[], Awaitable[int]]
"""Returns the bytes of audio that came."""
First = Callable[[], Awaitable[float]]
"""Returns the milliseconds until the first audio came."""


@asynccontextmanager
async def aiohttp_peer(url: str) -> AsyncIterator[tuple[Ask, First]]:
    """The bare library."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:

        async def ask() -> int:
            async with session.post(f"{url}/v1/audio/speech", json=BODY, headers=HEADERS) as reply:
                return len(await reply.read())

        async def first() -> float:
            start = time.perf_counter()
            async with session.post(
                f"{url}/slow/audio/speech", json=BODY, headers=HEADERS
            ) as reply:
                await reply.content.readany()
                took = time.perf_counter() - start
                await reply.read()
            return took * 1e3

        yield ask, first


@asynccontextmanager
async def httpx_peer(url: str) -> AsyncIterator[tuple[Ask, First]]:
    """The bare library."""
    import httpx

    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:

        async def ask() -> int:
            reply = await client.post(f"{url}/v1/audio/speech", json=BODY, headers=HEADERS)
            return len(reply.content)

        async def first() -> float:
            start = time.perf_counter()
            request = client.stream("POST", f"{url}/slow/audio/speech", json=BODY, headers=HEADERS)
            async with request as reply:
                pieces = reply.aiter_raw()
                await anext(pieces)
                took = time.perf_counter() - start
                async for _ in pieces:
                    pass
            return took * 1e3

        yield ask, first


@asynccontextmanager
async def openai_peer(url: str) -> AsyncIterator[tuple[Ask, First]]:
    """The official SDK at its defaults."""
    from openai import AsyncOpenAI

    async with (
        AsyncOpenAI(api_key="sk-bench", base_url=f"{url}/v1") as client,
        AsyncOpenAI(api_key="sk-bench", base_url=f"{url}/slow") as slow,
    ):

        async def ask() -> int:
            reply = await client.audio.speech.create(**BODY)  # type: ignore[arg-type]
            return len(reply.content)

        async def first() -> float:
            start = time.perf_counter()
            call = slow.audio.speech.with_streaming_response.create(**BODY)  # type: ignore[arg-type]
            async with call as reply:
                pieces = reply.iter_bytes()
                await anext(pieces)
                took = time.perf_counter() - start
                async for _ in pieces:
                    pass
            return took * 1e3

        yield ask, first


@asynccontextmanager
async def elevenlabs_peer(url: str) -> AsyncIterator[tuple[Ask, First]]:
    """The official SDK at its defaults."""
    from elevenlabs.client import AsyncElevenLabs

    client = AsyncElevenLabs(api_key="sk-bench", base_url=url)
    slow = AsyncElevenLabs(api_key="sk-bench", base_url=f"{url}/slow")

    async def ask() -> int:
        stream = client.text_to_speech.stream("voice", text=TEXT, output_format="pcm_24000")
        return sum([len(piece) async for piece in stream])

    async def first() -> float:
        start = time.perf_counter()
        stream = slow.text_to_speech.stream("voice", text=TEXT, output_format="pcm_24000")
        await anext(stream)
        took = time.perf_counter() - start
        async for _ in stream:
            pass
        return took * 1e3

    yield ask, first


def ttskit_peer(transport: str) -> Callable[[str], object]:
    """The facade with everything on, over a transport; and its adapter for the first piece."""

    @asynccontextmanager
    async def peer(url: str) -> AsyncIterator[tuple[Ask, First]]:
        from ttskit import AsyncTTSService

        def settings(base_url: str) -> dict[str, object]:
            own = {"api_key": "sk-bench", "base_url": base_url, "model": "tts-1", "voice": "alloy"}
            limits = {"limits": {"concurrency": 64}}
            return {
                "providers": {"openai": {**own, **limits}},
                "resources": {"http": {"transport": transport}},
            }

        async with (
            AsyncTTSService(settings(f"{url}/v1")) as tts,
            AsyncTTSService(settings(f"{url}/slow")) as slow,
        ):

            async def ask() -> int:
                return len((await tts.synthesize(TEXT, format="pcm")).data)

            async def first() -> float:
                start = time.perf_counter()
                took = None
                async with slow.stream(TEXT, delivery="live") as speech:
                    async for _ in speech:
                        took = took or time.perf_counter() - start
                assert took is not None
                return took * 1e3

            yield ask, first

    return peer


PEERS: dict[str, Callable[[str], object]] = {
    "aiohttp": aiohttp_peer,
    "httpx": httpx_peer,
    "openai": openai_peer,
    "elevenlabs": elevenlabs_peer,
    "ttskit-aiohttp": ttskit_peer("aiohttp"),
    "ttskit-httpx": ttskit_peer("httpx"),
    "ttskit-httpx2": ttskit_peer("httpx2"),
}


async def serve(peer: str, url: str, calls: int) -> None:
    """Measure a block each time a line comes, and print what it was."""
    async with PEERS[peer](url) as (ask, first):  # type: ignore[attr-defined]
        for _ in range(50):
            assert await ask() == SIZE
        for line in iter(sys.stdin.readline, ""):
            told = await block(ask, calls, int(line)) if int(line) else await firsts(first)
            told["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps(told), flush=True)


async def block(ask: Ask, calls: int, at_a_time: int) -> dict[str, float]:
    """Return processor time and requests a second of one block."""

    async def caller() -> None:
        for _ in range(calls // at_a_time):
            assert await ask() == SIZE

    wall, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(at_a_time)))
    count = calls // at_a_time * at_a_time
    return {
        "cpu": (time.process_time() - processor) / count * 1e6,
        "rate": count / (time.perf_counter() - wall),
    }


async def firsts(first: First) -> dict[str, float]:
    """Return the median time to the first audio."""
    return {"first": statistics.median([await first() for _ in range(FIRSTS)])}


def measure(peers: list[str], calls: int) -> None:
    """Run the server and the peers, in turns, and print the table."""
    here = Path(__file__)
    server = _started([sys.executable, str(here.with_name("cloud_server.py"))])
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    asking = [sys.executable, __file__, "--url", url, "--calls", str(calls), "--serve"]
    running = {peer: _started([*asking, peer]) for peer in peers}
    seen: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for kind in ("1", "64", "0"):
            for peer, process in running.items():
                for name, value in _asked(process, kind).items():
                    key = name if name == "rss" else f"{name}{kind}"
                    seen.setdefault((peer, key), []).append(value)
    for process in (*running.values(), server):
        process.communicate()
    show(peers, seen)


def show(peers: list[str], seen: Seen) -> None:
    """Print the table, and then the ratios to each bare client and SDK."""
    print(f"{'':16}   us at 1  us at 64   1/s at 1  1/s at 64  first ms    MB")
    for peer in peers:
        told = [statistics.median(seen[peer, name]) for name in (*RATIOS, "first0")]
        figures = "".join(f"{one:10.0f}" for one in told[:4])
        print(f"{peer:16}{figures}{told[4]:10.2f}{max(seen[peer, 'rss']):6.0f}")
    for base in [peer for peer in peers if not peer.startswith("ttskit")]:
        for peer in peers:
            cells = "".join(f"{_ratio(seen, peer, base, name):8.2f}" for name in RATIOS)
            print(f"{peer:16} / {base:10}{cells}")


def _ratio(seen: Seen, peer: str, base: str, name: str) -> float:
    return statistics.median(a / b for a, b in zip(seen[peer, name], seen[base, name], strict=True))


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603


def _asked(process: subprocess.Popen[str], kind: str) -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{kind}\n")
    process.stdin.flush()
    told: dict[str, float] = json.loads(process.stdout.readline())
    return told


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=384)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve, given.url, given.calls))
    else:
        measure(given.peers.split(","), given.calls)


if __name__ == "__main__":
    main()
