"""Random checkpoints of Dia and CSM. The chat template follows the published one."""

from __future__ import annotations

from pathlib import Path

from tests.engines.tiny_parts import dac_config, heed, letter_tokenizer, scatter, token_id

CSM_TEMPLATE = (
    "{% for message in messages %}[BOS][{{ message['role'] }}]"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'text' %}{{ item['text'] }}[EOS]"
    "{% elif item['type'] == 'audio' %}<|AUDIO|><|audio_eos|>{% endif %}"
    "{% endfor %}{% endfor %}"
)


def make_dia(directory: Path) -> None:
    from transformers import (
        DacFeatureExtractor,
        DacModel,
        DiaConfig,
        DiaForConditionalGeneration,
        DiaProcessor,
        DiaTokenizer,
        GenerationConfig,
    )

    codec = DacModel(dac_config(n_codebooks=9, codebook_size=1024, sampling_rate=44_100))
    codec.save_pretrained(directory / "codec")
    codec = DacModel.from_pretrained(directory / "codec")
    attention = {"num_attention_heads": 2, "head_dim": 8, "hidden_size": 16}
    config = DiaConfig(
        encoder_config={
            "num_hidden_layers": 1,
            "num_key_value_heads": 2,
            "intermediate_size": 16,
            **attention,
        },
        decoder_config={
            "num_hidden_layers": 1,
            "num_key_value_heads": 1,
            "intermediate_size": 16,
            "cross_num_attention_heads": 2,
            "cross_head_dim": 8,
            "cross_num_key_value_heads": 2,
            "cross_hidden_size": 16,
            **attention,
        },
        delay_pattern=[0, 8, 9, 10, 11, 12, 13, 14, 15],
    )
    model = DiaForConditionalGeneration(config)
    heed(model)
    model.generation_config = GenerationConfig(
        max_length=120,
        do_sample=True,
        top_k=45,
        guidance_scale=3.0,
        temperature=1.8,
        top_p=0.9,
        bos_token_id=1026,
        pad_token_id=1025,
        eos_token_id=1024,
        decoder_start_token_id=1026,
    )
    DiaProcessor(
        DacFeatureExtractor(sampling_rate=44_100, hop_length=512), DiaTokenizer(), codec
    ).save_pretrained(directory)
    model.save_pretrained(directory)


def make_csm(directory: Path) -> None:
    from transformers import (
        CsmConfig,
        CsmForConditionalGeneration,
        CsmProcessor,
        EncodecFeatureExtractor,
        GenerationConfig,
        MimiConfig,
    )

    tokenizer = letter_tokenizer(["<|AUDIO|>", "<|audio_eos|>"])
    codec = MimiConfig(
        num_filters=4,
        hidden_size=16,
        codebook_size=64,
        codebook_dim=8,
        vector_quantization_hidden_dimension=8,
        num_quantizers=4,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=16,
        upsample_groups=16,
    )
    shape = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 64,
        "num_codebooks": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    config = CsmConfig(
        text_vocab_size=len(tokenizer) + 4,
        codec_config=codec.to_dict(),
        depth_decoder_config={"backbone_hidden_size": 16, **shape},
        pad_token_id=token_id(tokenizer, "[PAD]"),
        bos_token_id=token_id(tokenizer, "[BOS]"),
        audio_token_id=token_id(tokenizer, "<|AUDIO|>"),
        audio_eos_token_id=token_id(tokenizer, "<|audio_eos|>"),
        codebook_pad_token_id=63,
        codebook_eos_token_id=0,
        **shape,
    )
    model = CsmForConditionalGeneration(config)
    scatter(model)
    heed(model.embed_text_tokens, model.backbone_model.layers, model.lm_head)
    model.lm_head.weight.data.mul_(8)
    model.generation_config = GenerationConfig(
        max_new_tokens=12, do_sample=True, temperature=0.9, pad_token_id=63, eos_token_id=None
    )
    model.depth_decoder.generation_config = GenerationConfig(
        max_new_tokens=3, min_new_tokens=3, do_sample=True, temperature=0.9
    )
    CsmProcessor(
        EncodecFeatureExtractor(sampling_rate=24_000), tokenizer, chat_template=CSM_TEMPLATE
    ).save_pretrained(directory)
    model.save_pretrained(directory)
