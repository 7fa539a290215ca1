"""What random checkpoints for transformers are made of: tokenizers, and weights that are heard."""

# ruff: noqa: ANN401, S106 - the library is not typed; its tokens are no passwords
from __future__ import annotations

from typing import Any


def letter_tokenizer(tokens: list[str], **special: str) -> Any:
    """Return a tokenizer that reads letter by letter, with further tokens of its own."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(32, 127)]
    names = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", *tokens, *letters]
    vocabulary = {name: number for number, name in enumerate(dict.fromkeys(names))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        extra_special_tokens=special or list(tokens),
    )


def token_id(tokenizer: Any, token: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(token))


def louder(layer: Any) -> None:
    """Have the last layer of a decoder be heard."""
    layer.weight.data.mul_(30)


def heed(*networks: Any) -> None:
    """Widen weights, so that what comes out depends on what goes in."""
    for network in networks:
        for weights in network.parameters():
            if weights.dim() == 2:
                weights.data.mul_(25)


def scatter(model: Any) -> None:
    """Give a codec's codebooks values: they begin as zeros, and every code would sound alike."""
    for name, values in model.named_buffers():
        if name.endswith(("embed", "embed_sum", "embed_avg")):
            values.normal_()


def dac_config(**more: Any) -> Any:
    from transformers import DacConfig

    return DacConfig(
        encoder_hidden_size=4,
        decoder_hidden_size=32,
        downsampling_ratios=[2, 4, 8, 8],
        codebook_dim=4,
        **more,
    )
