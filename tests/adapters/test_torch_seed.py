"""What torch draws within dice comes from them alone, in whatever way it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

pytestmark = pytest.mark.engine("transformers")

DRAWS: dict[str, Callable[[Any, Any], torch.Tensor]] = {
    "rand": lambda torch, _: torch.rand(9),
    "randn on a device": lambda torch, _: torch.randn(9, device="cpu"),
    "randint": lambda torch, _: torch.randint(0, 1_000, (9,)),
    "randperm": lambda torch, _: torch.randperm(99),
    "rand_like": lambda torch, chances: torch.rand_like(chances),
    "randn_like": lambda torch, chances: torch.randn_like(chances),
    "bernoulli": lambda torch, chances: torch.bernoulli(chances, p=0.5),
    "bernoulli, a method": lambda _, chances: chances.bernoulli(),
    "multinomial": lambda torch, chances: torch.multinomial(chances, 50),
    "multinomial, a method": lambda _, chances: chances.multinomial(50),
    "normal of tensors": lambda torch, chances: torch.normal(chances, 1.0),
    "normal by keyword": lambda torch, chances: torch.normal(0.0, std=chances),
    "normal of a size": lambda torch, _: torch.normal(0.0, 1.0, (9,)),
    "poisson": lambda torch, chances: torch.poisson(chances * 100),
    "in place": lambda _, chances: chances.clone().exponential_().uniform_().normal_(),
    "dropout": lambda torch, chances: torch.nn.functional.dropout(chances),
    "dropout, a layer": lambda torch, chances: torch.nn.Dropout(0.5)(chances),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_is_drawn_is_the_seeds_and_nobody_elses(
    draw: Callable[[Any, torch.Tensor], torch.Tensor],
) -> None:
    import torch

    from ttskit.adapters.torch_seed import Dice

    chances = torch.full((100,), 0.5)
    before = torch.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        with Dice(seed, torch.device("cpu")):
            drawn.append(draw(torch, chances))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_dice_within_dice_take_no_throw_from_them() -> None:
    import torch

    from ttskit.adapters.torch_seed import Dice

    first, second = Dice(1, torch.device("cpu")), Dice(1, torch.device("cpu"))
    with first:
        alone = [torch.rand(2) for _ in range(2)]
    with second:
        one = torch.rand(2)
        with Dice(2, torch.device("cpu")):
            torch.rand(5)
        other = torch.rand(2)
    assert torch.equal(torch.stack(alone), torch.stack([one, other]))
