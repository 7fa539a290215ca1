"""Every family of transformers: its rate, its seeds, its end, its settings, on random checkpoints.

What is heard of these says nothing; what is tested is what ttskit adds to the library.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ttskit.adapters.transformers_engine import FAMILIES
from ttskit.codecs.pcm import Samples
from ttskit.errors import InvalidParameterError, TextTooLongError, UnsupportedFeatureError
from ttskit.resources.engine import EngineJob

from .transformers_speech import ONE_BY_ONE, RATES, TEXT, MakeEngine, say

pytestmark = [
    pytest.mark.engine("transformers"),
    # diffusers 0.42 with torch 2.13.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


@pytest.mark.parametrize("family", ONE_BY_ONE)
def test_every_family_makes_audio_at_its_own_rate(kept_engine: MakeEngine, family: str) -> None:
    job = EngineJob(TEXT, seed=1)  # how long a random model speaks is a matter of chance
    (chunk, *_) = kept_engine(family).synthesize(job, threading.Event())
    assert chunk.sample_rate == RATES[family]
    assert chunk.samples.dtype == np.float32
    assert chunk.samples.ndim == 1
    assert len(chunk.samples) > RATES[family] / 20
    assert np.abs(chunk.samples).max() > 0


def test_every_family_is_tested() -> None:
    assert RATES.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", ONE_BY_ONE)
def test_a_seed_makes_repeats_identical(kept_engine: MakeEngine, family: str) -> None:
    first, again, other = [say(kept_engine(family), seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_a_seed_speech_varies(kept_engine: MakeEngine) -> None:
    first, other = [say(kept_engine("vits"), seed=None) for _ in range(2)]
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("family", ONE_BY_ONE)
def test_a_seed_is_nobody_elses(kept_engine: MakeEngine, family: str) -> None:
    import torch

    engine = kept_engine(family)
    say(engine, seed=1)  # loading draws, too
    before = torch.get_rng_state()
    say(engine, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_requests_at_a_time_repeat_as_alone(kept_engine: MakeEngine) -> None:
    engines = [kept_engine("vits"), kept_engine("csm"), kept_engine("pocket_tts")]
    alone = [say(engine) for engine in engines]
    together: dict[int, list[Samples]] = {0: [], 1: [], 2: []}

    def speak(number: int) -> None:
        together[number] += [say(engines[number]) for _ in range(3)]

    threads = [threading.Thread(target=speak, args=(number,)) for number in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, heard in together.items():
        assert all(np.array_equal(samples, alone[number]) for samples in heard)


class StopsAfter(threading.Event):
    """A stop that comes when it has been asked about so many times."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("family", ONE_BY_ONE)
def test_a_generation_ends_within_a_step_or_two(kept_engine: MakeEngine, family: str) -> None:
    stop = StopsAfter(2)
    assert list(kept_engine(family).synthesize(EngineJob(TEXT, seed=1), stop)) == []
    assert stop.left >= -2


@pytest.mark.parametrize("family", ONE_BY_ONE)
def test_after_a_stop_it_speaks_as_before(kept_engine: MakeEngine, family: str) -> None:
    before = say(kept_engine(family))
    list(kept_engine(family).synthesize(EngineJob(TEXT), StopsAfter(3)))
    assert np.array_equal(say(kept_engine(family)), before)


# Settings


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_vits_speaks_at_the_speed_asked_for(kept_engine: MakeEngine, speed: float) -> None:
    plain, heard = [say(kept_engine("vits steady"), speed=one) for one in (1.0, speed)]
    assert len(plain) / len(heard) == pytest.approx(speed, rel=0.25)


def test_one_requests_settings_are_not_the_nexts(kept_engine: MakeEngine) -> None:
    before = say(kept_engine("vits"))
    say(kept_engine("vits"), options={"noise_scale": 0.0, "noise_scale_duration": 0.0}, speed=2.0)
    assert np.array_equal(say(kept_engine("vits")), before)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("vits", {"noise_scale": 0.0}),
        ("speecht5", {"max_length_ratio": 2.0}),
        ("bark", {"max_new_tokens": 10}),
        ("dia", {"max_new_tokens": 60}),
        ("csm", {"max_new_tokens": 4}),
        ("vibevoice", {"max_new_tokens": 3}),
        ("vibevoice", {"diffusion_steps": 5}),
        ("pocket_tts", {"temperature": 3.0}),
        ("gradium_phonon_tts", {"eos_threshold": -100.0}),
        pytest.param(
            "higgs_audio_v2", {"temperature": 5.0}, marks=pytest.mark.engine("torchaudio")
        ),
        pytest.param(
            "higgs_audio_v2", {"scene": "a cave."}, marks=pytest.mark.engine("torchaudio")
        ),
    ],
)
def test_what_is_set_is_heard(
    kept_engine: MakeEngine, family: str, options: dict[str, object]
) -> None:
    assert not np.array_equal(say(kept_engine(family)), say(kept_engine(family), options=options))


def test_a_setting_of_tts_yaml_holds_where_a_request_has_none(
    kept_engine: MakeEngine, make_engine: MakeEngine
) -> None:
    short = make_engine("csm", defaults={"max_new_tokens": 4})
    assert np.array_equal(say(short), say(kept_engine("csm"), options={"max_new_tokens": 4}))
    assert len(say(short, options={"max_new_tokens": 8})) > len(say(short))


@pytest.mark.parametrize(
    ("family", "options", "named"),
    [
        ("vits", {"temperature": 1.0}, "no 'temperature'; it takes noise_scale"),
        ("bark", {"scene": "a cave"}, "no 'scene'"),
        ("pocket_tts", {"guidance_scale": 2.0}, "it takes eos_threshold"),
    ],
)
def test_a_setting_of_another_family_is_refused(
    make_engine: MakeEngine, family: str, options: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidParameterError, match=named):
        say(make_engine(family), options=options)
    with pytest.raises(InvalidParameterError, match=named):
        make_engine(family, defaults=options).load()


@pytest.mark.parametrize("family", ["bark", "csm", "speecht5"])
def test_speed_is_refused_where_there_is_none(kept_engine: MakeEngine, family: str) -> None:
    with pytest.raises(UnsupportedFeatureError, match="one speed"):
        say(kept_engine(family), speed=1.2)


@pytest.mark.parametrize("family", ["bark", "dia", "speecht5"])
def test_a_text_whose_end_would_be_cut_off_is_refused(kept_engine: MakeEngine, family: str) -> None:
    with pytest.raises(TextTooLongError):
        say(kept_engine(family), "word " * 200)
