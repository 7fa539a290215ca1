"""Random checkpoints of Pocket TTS and Phonon. The chat template follows the published one."""

# ruff: noqa: S105 - a token is no password
from __future__ import annotations

from pathlib import Path

from tests.engines.tiny_parts import letter_tokenizer, token_id

POCKET_TEMPLATE = (
    "{% for message in messages %}{% for item in message['content'] %}"
    "{% if item['type'] == 'audio' %}BOS_MARK<voice>{% endif %}{% endfor %}"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'text' %}{{ item['text'] }}{% endif %}{% endfor %}<go>{% endfor %}"
)


def make_pocket(directory: Path, *, is_phonon: bool = False) -> None:
    import transformers
    from transformers import (
        GenerationConfig,
        PocketTTSAudioTokenizerConfig,
        PocketTTSAudioTokenizerModel,
        PocketTTSFeatureExtractor,
        PocketTTSProcessor,
    )

    names = {
        "audio_prompt_token": "<voice>",
        "audio_latent_token": "<sound>",
        "audio_bos_token": "<go>",
    }
    if not is_phonon:
        names["audio_prompt_bos_token"] = "<voice_bos>"
    tokenizer = letter_tokenizer(list(names.values()), **names)
    codec = PocketTTSAudioTokenizerModel(
        PocketTTSAudioTokenizerConfig(
            hidden_size=16,
            num_filters=4,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            intermediate_size=16,
            upsample_groups=16,
            latent_dim=8,
        )
    )
    codec.save_pretrained(directory / "codec")
    codec = PocketTTSAudioTokenizerModel.from_pretrained(directory / "codec")
    ids = {
        "pad_token_id": token_id(tokenizer, "[PAD]"),
        "audio_prompt_token_id": token_id(tokenizer, "<voice>"),
        "audio_latent_token_id": token_id(tokenizer, "<sound>"),
        "audio_bos_token_id": token_id(tokenizer, "<go>"),
    }
    if is_phonon:
        ids["audio_prompt_dim"] = 8
    else:
        ids["audio_prompt_bos_token_id"] = token_id(tokenizer, "<voice_bos>")
    kind = "GradiumPhononTTS" if is_phonon else "PocketTTS"
    config = getattr(transformers, f"{kind}Config")(
        flow_head_config={
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "latent_dim": 8,
            "condition_dim": 16,
            "frequency_embedding_size": 16,
        },
        vocab_size=len(tokenizer) + 4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        latent_dim=8,
        **ids,
    )
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        return_dict_in_generate=True,
        max_length=None,
        eos_threshold=100.0,  # it goes on for as long as the text allows
        pad_token_id=ids["pad_token_id"],
    )
    mark = "" if is_phonon else "<voice_bos>"
    PocketTTSProcessor(
        PocketTTSFeatureExtractor(),
        tokenizer,
        audio_tokenizer=codec,
        chat_template=POCKET_TEMPLATE.replace("BOS_MARK", mark),
    ).save_pretrained(directory)
    model.save_pretrained(directory)
