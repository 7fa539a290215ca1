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
_DRAWING = frozenset({torch.randn, torch.rand})


class Dice(TorchFunctionMode):  # type: ignore[misc] # torch is not followed
    """A context in which this thread's draws come from ``seed``.

    Normal and uniform numbers, choices and dropout are covered: what models draw that speak.
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
        if func in _LIKE:
            return self._like(_LIKE[func], *args)
        if func is torch.nn.functional.dropout:
            return self._dropout(func, *args, **given)
        if func is torch.multinomial:
            given["generator"] = self._on(args[0].device)
        elif func in _DRAWING:
            given["device"] = torch.device(given.get("device") or self._device)
            given["generator"] = self._on(given["device"])
        return func(*args, **given)

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
