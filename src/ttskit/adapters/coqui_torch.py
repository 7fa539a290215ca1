"""A VITS network of Coqui, run by torch.

Imports torch: import it where it is used. Read: coqui-tts 0.28.0, ``vits.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional
from torch.nn.utils import parametrize
from typing_extensions import override

from ttskit.adapters.coqui_pieces import Decoder
from ttskit.adapters.coqui_vits import VitsRuntime
from ttskit.adapters.torch_seed import Dice

if TYPE_CHECKING:
    from ttskit.adapters.coqui_vits import Manner
    from ttskit.codecs.pcm import Samples


class VitsArguments(Protocol):
    """What is used of Coqui's ``VitsArgs``."""

    resblock_type_decoder: str
    resblock_kernel_sizes_decoder: list[int]
    resblock_dilation_sizes_decoder: list[list[int]]
    upsample_rates_decoder: list[int]
    upsample_kernel_sizes_decoder: list[int]
    inference_noise_scale: float
    inference_noise_scale_dp: float
    length_scale: float


def decoder_of(arguments: VitsArguments) -> Decoder:
    """Return the sizes of a model's decoder."""
    return Decoder(
        block=arguments.resblock_type_decoder,
        kernels=arguments.resblock_kernel_sizes_decoder,
        dilations=arguments.resblock_dilation_sizes_decoder,
        rates=arguments.upsample_rates_decoder,
        rate_kernels=arguments.upsample_kernel_sizes_decoder,
    )


@dataclass(frozen=True, slots=True)
class TorchLatent:
    """What the decoder makes sound of: shape (1, channels, frames), and the speaker's own."""

    z: torch.Tensor
    speaker: torch.Tensor | None
    durations: Sequence[float]
    decoder: torch.nn.Module

    @property
    def frames(self) -> int:
        """Of the decoder."""
        return int(self.z.shape[-1])

    def decode(self, begin: int, finish: int) -> Samples:
        """Return the sound of some frames."""
        return decoded([(self, begin, finish)])[0]


def decoded(pieces: Sequence[tuple[TorchLatent, int, int]]) -> list[Samples]:
    """Return the sound of pieces of sentences of one model, made in one batch.

    What is shorter than the longest is followed by silence while it is made, and then by nothing.

    Args:
        pieces: A sentence each, with the first of the piece's frames and the one behind its last.
    """
    longest = max(finish - begin for _, begin, finish in pieces)
    frames = torch.cat(
        [
            functional.pad(latent.z[:, :, begin:finish], (0, longest - finish + begin))
            for latent, begin, finish in pieces
        ]
    )
    speakers = [latent.speaker for latent, _, _ in pieces if latent.speaker is not None]
    with torch.inference_mode():
        sounds = pieces[0][0].decoder(frames, g=torch.cat(speakers) if speakers else None)
    hop = sounds.shape[-1] // longest
    rows: list[Samples] = [
        sound[0, : (finish - begin) * hop].float().cpu().numpy()
        for sound, (_, begin, finish) in zip(sounds, pieces, strict=True)
    ]
    return rows


class TorchVits(VitsRuntime):
    """Coqui's own ``Vits``, its decoder taken out so that it can be run in pieces.

    Args:
        model: Loaded, on its device. Its weights are changed for speaking: it can be trained no
            more.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        merge_weight_norm(model)
        decoder = decoder_of(model.args)
        self.radius = decoder.radius()
        self.hop = 1
        for rate in decoder.rates:
            self.hop *= rate
        self._model = model
        self._decoder = model.waveform_decoder
        self._device = next(model.parameters()).device

    @override
    def latent(self, ids: list[int], manner: Manner) -> TorchLatent:
        return self.latents([(ids, manner)])[0]

    def latents(self, calls: Sequence[tuple[list[int], Manner]]) -> list[TorchLatent]:
        """Return what sentences are to sound like, made in one batch.

        Args:
            calls: Ids and manner of each; the manners differ in speaker and language at most.
        """
        manner = calls[0][1]
        kept = _Kept()
        front = sharing(self._model, waveform_decoder=kept)
        front.length_scale = manner.length_scale
        front.inference_noise_scale = manner.noise_scale
        front.inference_noise_scale_dp = manner.noise_scale_dp
        who = "d_vectors" if isinstance(manner.speaker, tuple) else "speaker_ids"
        asked = {
            who: self._each([manner.speaker for _, manner in calls]),
            "language_ids": self._each([manner.language for _, manner in calls]),
            "x_lengths": self._each([len(ids) for ids, _ in calls]),
        }
        longest = max(len(ids) for ids, _ in calls)
        padded = [ids + [0] * (longest - len(ids)) for ids, _ in calls]
        with self._dice(manner.seed):
            made = front.inference(torch.tensor(padded, device=self._device), aux_input=asked)
        frames = made["y_mask"].sum(dim=(1, 2)).long().tolist()
        return [
            TorchLatent(
                made["model_outputs"][row : row + 1, :, : frames[row]],
                None if kept.speaker is None else kept.speaker[row : row + 1],
                made["durations"][row].flatten()[: len(ids)].tolist(),
                self._decoder,
            )
            for row, (ids, _) in enumerate(calls)
        ]

    def _each(self, values: Sequence[int | tuple[float, ...] | None]) -> torch.Tensor | None:
        return None if values[0] is None else torch.tensor(values, device=self._device)

    def _dice(self, seed: int | None) -> AbstractContextManager[object]:
        return nullcontext() if seed is None else Dice(seed, self._device)


class _Kept(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """Stands where the decoder was and lets everything through."""

    def __init__(self) -> None:
        super().__init__()
        self.speaker: torch.Tensor | None = None

    @override
    def forward(self, z: torch.Tensor, g: torch.Tensor | None = None) -> torch.Tensor:
        self.__dict__["speaker"] = g
        return z


def sharing(model: torch.nn.Module, **replaced: torch.nn.Module) -> torch.nn.Module:
    """Return the model with settings of its own, the same weights, and some parts replaced.

    Coqui keeps settings of a call on the model; so every call has a model of its own.
    """
    shared = copy.copy(model)
    shared.__dict__["_modules"] = dict(model.named_children()) | replaced
    return shared


def merge_weight_norm(model: torch.nn.Module) -> None:
    """Reckon each weight from its direction and length once, not in every call."""
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
