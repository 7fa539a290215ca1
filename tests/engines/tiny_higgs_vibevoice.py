"""Random checkpoints of Higgs Audio v2 and VibeVoice. Chat templates follow the published ones."""

from __future__ import annotations

from pathlib import Path

from tests.engines.tiny_parts import dac_config, heed, letter_tokenizer, scatter, token_id

HIGGS_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% for item in message['content'] %}"
    "{% if item['type'] == 'text' %}{{ item['text'] }}\n"
    "{% else %}<|audio_out_bos|><|AUDIO_OUT|><|audio_eos|>{% endif %}"
    "{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><|audio_out_bos|>{% endif %}"
)
VIBEVOICE_TEMPLATE = (
    "{% set seen = namespace(roles='') %}"
    "{% for message in messages %}{% for item in message['content'] %}"
    "{% if item['type'] == 'audio' and message['role'] not in seen.roles %}"
    "{% set seen.roles = seen.roles + message['role'] + ',' %}"
    " Speaker {{ message['role'] }}:<|vision_start|><|vision_pad|><|vision_end|>\n"
    "{% endif %}{% endfor %}{% endfor %}"
    " Text input:\n"
    "{% for message in messages %}{% for item in message['content'] %}"
    "{% if item['type'] == 'text' %} Speaker {{ message['role'] }}: {{ item['text'] }}\n{% endif %}"
    "{% endfor %}{% endfor %}"
    " Speech output:\n<|vision_start|>"
)


def make_higgs(directory: Path) -> None:
    from transformers import (
        DacFeatureExtractor,
        GenerationConfig,
        HiggsAudioV2Config,
        HiggsAudioV2ForConditionalGeneration,
        HiggsAudioV2Processor,
        HiggsAudioV2TokenizerConfig,
        HiggsAudioV2TokenizerModel,
        HubertConfig,
    )

    tokenizer = letter_tokenizer(
        [
            "<|system|>",
            "<|scene|>",
            "<|user|>",
            "<|assistant|>",
            "<|AUDIO_OUT|>",
            "<|audio_out_bos|>",
            "<|audio_eos|>",
            "<|reserved_special_token_6|>",
        ]
    )
    acoustic = dac_config(
        n_codebooks=4, codebook_size=64, sampling_rate=24_000, hidden_size=16
    ).to_dict()
    acoustic["downsampling_ratios"] = [8, 5, 4, 2, 3]
    acoustic["upsampling_ratios"] = [8, 5, 4, 2, 3]
    codec = HiggsAudioV2TokenizerModel(
        HiggsAudioV2TokenizerConfig(
            acoustic_model_config=acoustic,
            semantic_model_config=HubertConfig(
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=16,
                conv_dim=(16,) * 7,
            ).to_dict(),
            target_bandwidths=[0.6],
            codebook_size=64,
            codebook_dim=8,
        )
    )
    scatter(codec)
    codec.save_pretrained(directory / "codec")
    codec = HiggsAudioV2TokenizerModel.from_pretrained(directory / "codec")
    books = int(codec.config.num_quantizers)
    model = HiggsAudioV2ForConditionalGeneration(
        HiggsAudioV2Config(
            vocab_size=len(tokenizer) + 4,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            num_codebooks=books,
            codebook_size=66,
            pad_token_id=token_id(tokenizer, "[PAD]"),
            bos_token_id=token_id(tokenizer, "[BOS]"),
            eos_token_id=token_id(tokenizer, "[EOS]"),
            audio_token_id=token_id(tokenizer, "<|AUDIO_OUT|>"),
            audio_bos_token_id=token_id(tokenizer, "<|audio_out_bos|>"),
            audio_delay_token_id=token_id(tokenizer, "<|reserved_special_token_6|>"),
            audio_stream_bos_id=64,
            audio_stream_eos_id=65,
        )
    )
    heed(model)
    model.generation_config = GenerationConfig(
        max_new_tokens=30,
        do_sample=True,
        pad_token_id=token_id(tokenizer, "[PAD]"),
        eos_token_id=token_id(tokenizer, "[EOS]"),
        ras_win_len=7,
        ras_win_max_num_repeat=2,
    )
    HiggsAudioV2Processor(
        DacFeatureExtractor(sampling_rate=24_000, hop_length=960),
        tokenizer,
        codec,
        chat_template=HIGGS_TEMPLATE,
        audio_stream_bos_id=64,
        audio_stream_eos_id=65,
    ).save_pretrained(directory)
    model.save_pretrained(directory)


def make_vibevoice(directory: Path) -> None:
    from transformers import (
        GenerationConfig,
        Qwen2Config,
        VibeVoiceAcousticTokenizerFeatureExtractor,
        VibeVoiceConfig,
        VibeVoiceForConditionalGeneration,
        VibeVoiceProcessor,
    )

    tokenizer = letter_tokenizer(["<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"])
    codec = {
        "num_filters": 2,
        "downsampling_ratios": [2, 2, 4, 5, 5, 8],
        "depths": [1] * 7,
        "kernel_size": 3,
        "initializer_range": 0.3,
        "layer_scale_init_value": 0.1,
    }
    config = VibeVoiceConfig(
        text_config=Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
        ).to_dict(),
        audio_config={"model_type": "vibevoice_acoustic_tokenizer", "hidden_size": 8, **codec},
        semantic_model_config={
            "model_type": "vibevoice_acoustic_tokenizer_encoder",
            "hidden_size": 8,
            **codec,
        },
        diffusion_head_config={"num_hidden_layers": 1, "intermediate_size": 16},
        pad_token_id=token_id(tokenizer, "[PAD]"),
        eos_token_id=token_id(tokenizer, "[EOS]"),
        audio_bos_token_id=token_id(tokenizer, "<|vision_start|>"),
        audio_eos_token_id=token_id(tokenizer, "<|vision_end|>"),
        audio_token_id=token_id(tokenizer, "<|vision_pad|>"),
    )
    model = VibeVoiceForConditionalGeneration(config)
    heed(model.model.language_model, model.model.diffusion_head)
    model.generation_config = GenerationConfig(
        max_new_tokens=12,
        max_length=None,
        do_sample=False,
        guidance_scale=1.3,
        num_diffusion_steps=2,
        # It goes on speaking.
        suppress_tokens=[
            token_id(tokenizer, name) for name in ("[EOS]", "<|vision_start|>", "<|vision_end|>")
        ],
        pad_token_id=token_id(tokenizer, "[PAD]"),
        eos_token_id=token_id(tokenizer, "[EOS]"),
        bos_token_id=token_id(tokenizer, "[BOS]"),
    )
    VibeVoiceProcessor(
        VibeVoiceAcousticTokenizerFeatureExtractor(sampling_rate=24_000),
        tokenizer,
        chat_template=VIBEVOICE_TEMPLATE,
    ).save_pretrained(directory)
    model.save_pretrained(directory)
