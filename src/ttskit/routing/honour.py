"""Which settings a provider honours, and the notice for each that it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from ttskit.adapters.base import Capabilities, Support
from ttskit.audio import Notice
from ttskit.errors import UnsupportedFeatureError
from ttskit.request import Delivery, SpeechOptions, Timestamps


class Prosody(NamedTuple):
    """What is sent to the engine, and what ttskit does to the audio after it."""

    speed: float
    pitch: float
    volume: float
    """dB asked of the engine."""
    gain: float
    """dB applied to its audio."""


_AS_IS = Prosody(speed=1.0, pitch=0.0, volume=0.0, gain=0.0)


def prosody(capabilities: Capabilities, *, speed: float, pitch: float, volume: float) -> Prosody:
    """Share the settings out between the engine and ttskit; what neither can do falls away."""
    if speed == 1.0 and pitch == volume == 0.0:
        return _AS_IS
    is_native = capabilities.volume is Support.NATIVE
    return Prosody(
        speed=1.0 if _lacks(capabilities.speed) else _within(speed, capabilities.speed_range),
        pitch=0.0 if _lacks(capabilities.pitch) else _within(pitch, capabilities.pitch_range),
        volume=_within(volume, capabilities.volume_range) if is_native else 0.0,
        gain=0.0 if is_native else volume,
    )


def unmet(provider: str, capabilities: Capabilities, options: SpeechOptions) -> list[Notice]:
    """Return a notice for each setting of the request that this provider ignores or emulates.

    Raises:
        UnsupportedFeatureError: A reference voice was given and the provider clones none: another
            person's voice is never an acceptable substitute.
    """
    if _asks_nothing(options):
        return []
    if options.reference is not None and _lacks(capabilities.cloning):
        raise UnsupportedFeatureError("clones no voices from a reference", provider=provider)
    return [
        Notice(code, feature, f"{provider} {message}", provider)
        for code, feature, message in (
            *_unmet_prosody(capabilities, options),
            *_unmet_rest(capabilities, options),
        )
    ]


def _asks_nothing(options: SpeechOptions) -> bool:
    """Whether every setting is what any provider does by itself."""
    return (
        options.speed == 1.0
        and options.pitch == options.volume == 0.0
        and options.model is None
        and options.seed is None
        and options.reference is None
        and options.delivery is Delivery.EXACT
        and options.timestamps is Timestamps.NONE
    )


def _unmet_prosody(
    capabilities: Capabilities, options: SpeechOptions
) -> Iterator[tuple[str, str, str]]:
    # What has no volume of its own is given any by a gain.
    volume = options.volume if capabilities.volume is Support.NATIVE else 0.0
    for feature, value, neutral, support, bounds in (
        ("speed", options.speed, 1.0, capabilities.speed, capabilities.speed_range),
        ("pitch", options.pitch, 0.0, capabilities.pitch, capabilities.pitch_range),
        ("volume", volume, 0.0, capabilities.volume, capabilities.volume_range),
    ):
        if value != neutral and _lacks(support):
            yield "ignored", feature, f"has no control of {feature}"
        elif value != _within(value, bounds):
            yield "limited", feature, f"has {feature} from {bounds[0]:g} to {bounds[1]:g} only"


def _unmet_rest(
    capabilities: Capabilities, options: SpeechOptions
) -> Iterator[tuple[str, str, str]]:
    if options.model is not None and _lacks(capabilities.models):
        yield "ignored", "model", "has one model only"
    if options.seed is not None and _lacks(capabilities.seed):
        yield "ignored", "seed", "takes no seed"
    if options.delivery is Delivery.LIVE and _lacks(capabilities.streaming):
        yield "emulated", "delivery", "gives an utterance when all of it is made"
    if options.timestamps is not Timestamps.NONE and not _times(capabilities, options.timestamps):
        yield "emulated", "timestamps", f"gives no {options.timestamps} times; they are estimated"


def dialogue_characters(capabilities: Capabilities, options: SpeechOptions) -> int:
    """Return how much several voices may say in one utterance; 0: each has one of its own.

    It takes no prosody, and no sample of a voice.
    """
    is_usual = options.speed == 1 and options.pitch == 0 and options.reference is None
    if capabilities.max_voices is None or not is_usual:
        return 0
    return capabilities.max_dialogue_characters or capabilities.max_characters or 0


def narrowest(ables: Iterable[Capabilities]) -> Capabilities:
    """Return what can be done in any case, where several voices of a provider speak."""
    first, *others = dict.fromkeys(ables)
    for other in others:
        first = replace(
            first,
            ssml=first.ssml & other.ssml,
            speed=_weaker(first.speed, other.speed),
            pitch=_weaker(first.pitch, other.pitch),
            volume=_weaker(first.volume, other.volume),
            word_timestamps=_weaker(first.word_timestamps, other.word_timestamps),
            character_timestamps=_weaker(first.character_timestamps, other.character_timestamps),
            context=_weaker(first.context, other.context),
        )
    return first


def _weaker(one: Support, other: Support) -> Support:
    return max(one, other, key=(Support.NATIVE, Support.EMULATED, Support.UNSUPPORTED).index)


def _times(capabilities: Capabilities, wanted: Timestamps) -> bool:
    native = (
        capabilities.character_timestamps
        if wanted is Timestamps.CHARACTER
        else capabilities.word_timestamps
    )
    return native is Support.NATIVE


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def _lacks(support: Support) -> bool:
    return support is Support.UNSUPPORTED
