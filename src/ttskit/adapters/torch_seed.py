"""Random numbers from a generator of one's own in code that takes torch's.

Imports torch: import it where it is used. torch's default generator belongs to the process: seeding
it would change what others draw, and whoever draws beside us would change what is drawn here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from typing_extensions import override

_LIKE = {torch.randn_like: torch.randn, torch.rand_like: torch.rand}
_MAKING = frozenset({torch.randn, torch.rand, torch.randint, torch.randperm})
_FROM_TENSORS = frozenset(
    {torch.multinomial, torch.bernoulli, torch.normal, torch.poisson}
    | {torch.Tensor.multinomial, torch.Tensor.bernoulli}
    | {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.bernoulli_}
    | {torch.Tensor.exponential_, torch.Tensor.geometric_, torch.Tensor.log_normal_}
    | {torch.Tensor.cauchy_, torch.Tensor.random_}
)
"""What takes a generator, but for ``randint_like``. Source: torch 2.13, random sampling."""


class Dice(TorchFunctionMode):  # type: ignore[misc] # torch is not followed
    """A context in which this thread's draws come from ``seed``.

    What a model draws that speaks: all that takes a generator, and dropout of a layer's own.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        super().__init__()
        self._seed = seed
        self._device = device
        self._generators: dict[str, torch.Generator] = {}

    @override
    def __torch_function__(
        self,
        func: Callable[..., torch.Tensor],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> torch.Tensor:
        del types
        given = dict(kwargs or {})
        if given.get("generator") is not None:
            return func(*args, **given)
        if func in _LIKE:
            return self._like(_LIKE[func], *args)
        if func is torch.nn.functional.dropout:
            return self._dropout(func, *args, **given)
        if func in _FROM_TENSORS:
            given["generator"] = self._on(self._place(args, given))
        elif func in _MAKING:
            given["device"] = torch.device(given.get("device") or self._device)
            given["generator"] = self._on(given["device"])
        return func(*args, **given)

    def _place(self, args: Sequence[Any], given: Mapping[str, Any]) -> torch.device:
        """Return where numbers are drawn that are told by tensors."""
        told = [one.device for one in (*args, *given.values()) if isinstance(one, torch.Tensor)]
        return told[0] if told else torch.device(given.get("device") or "cpu")

    def _on(self, device: torch.device) -> torch.Generator:
        """Return the generator of a device: a model on a GPU may draw some numbers beside it."""
        if str(device) not in self._generators:
            self._generators[str(device)] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[str(device)]

    def _like(self, draw: Callable[..., torch.Tensor], model: torch.Tensor) -> torch.Tensor:
        return draw(
            model.shape, generator=self._on(model.device), dtype=model.dtype, device=model.device
        )

    def _dropout(
        self,
        func: Callable[..., torch.Tensor],
        values: torch.Tensor,
        p: float = 0.5,
        training: bool = True,  # noqa: FBT001, FBT002 - torch's own signature
        inplace: bool = False,  # noqa: FBT001, FBT002
    ) -> torch.Tensor:
        if not training or not 0 < p < 1:
            return func(values, p, training, inplace)
        kept = self._like(torch.rand, values) >= p
        return values * kept / (1 - p)
