"""AWS's own SDK and our adapter say the same to a server."""

from __future__ import annotations

import json
import re

import pytest

from tests.clouds.contract import KEY
from tests.clouds.test_polly import ACCESS_KEY, REGION, TOKEN, is_signed
from ttskit.adapters.base import Utterance
from ttskit.adapters.polly import PollyAdapter
from ttskit.adapters.polly_options import PollyOptions
from ttskit.request import Timestamps
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Received

pytestmark = [pytest.mark.engine("boto3"), pytest.mark.anyio]

TEXT = "Åse said “no” & left."
MARKUP = "<speak>One<break time='1s'/> two.</speak>"
PAGE = {"Voices": [{"Id": "Amy", "SupportedEngines": ["neural"]}], "NextToken": "to/ken+ 2=&~"}


def meaning(received: Received) -> dict[str, object]:
    authorization = received.headers["authorization"]
    return {
        "method": received.method,
        "target": received.target,
        "content type": received.headers.get("content-type"),
        "token": received.headers.get("x-amz-security-token"),
        "signed": re.findall(r"SignedHeaders=([^,]+)", authorization),
        "key": re.findall(r"Credential=([^/]+)/\d{8}/([^,]+)", authorization),
        "is signed": is_signed(received),
        "body": json.loads(received.body or b"{}"),
    }


def by_sdk(server: FaultyServer, token: str | None) -> None:
    import boto3

    client = boto3.client(
        "polly",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=KEY,
        aws_session_token=token,
    )
    usual = {"VoiceId": "Amy", "Engine": "neural", "LexiconNames": ["names"]}
    timed = {"OutputFormat": "json", "SpeechMarkTypes": ["word", "viseme"]}
    pcm = {"OutputFormat": "pcm", "SampleRate": "8000"}
    marked = {"Text": MARKUP, "TextType": "ssml"}
    for asked in ({"Text": TEXT, **timed}, {"Text": TEXT, **pcm}, {**marked, **pcm}):
        with client.synthesize_speech(**usual, **asked)["AudioStream"] as audio:
            audio.read()
    client.describe_voices(Engine="neural")
    client.describe_voices(Engine="neural", NextToken=PAGE["NextToken"])
    client.close()


async def by_us(server: FaultyServer, token: str | None) -> None:
    options = {
        "base_url": server.url,
        "region": REGION,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": KEY,
        "session_token": token,
        "model": "neural",
        "voice": "Amy",
        "sample_rate": 8_000,
        "lexicons": ["names"],
    }
    adapter, resources = PollyAdapter(PollyOptions.model_validate(options)), Resources()
    await adapter.open(resources)
    for utterance in (
        Utterance(TEXT, timestamps=Timestamps.WORD),
        Utterance(MARKUP, is_ssml=True),
    ):
        async with adapter.synthesize(utterance) as source:
            assert [chunk async for chunk in source.chunks]
    await adapter.voices()
    await adapter.close()
    await resources.aclose()


def spoken(received: Received) -> bytes:
    is_timed = json.loads(received.body)["OutputFormat"] == "json"
    return b'{"time":0,"type":"viseme","value":"sil"}\n' if is_timed else b"\0\0"


@pytest.mark.parametrize("token", [None, TOKEN], ids=["lasting keys", "temporary keys"])
async def test_both_ask_for_speech_times_and_voices_alike(token: str | None) -> None:
    with FaultyServer(spoken, content_type="audio/pcm") as server:
        server.serve("/v1/voices", json.dumps(PAGE).encode(), content_type="application/json")
        by_sdk(server, token)
        await by_us(server, token)
    theirs, ours = server.requests[:5], server.requests[5:]
    assert [meaning(one) for one in ours] == [meaning(one) for one in theirs]
    assert all(is_signed(one) for one in ours)
