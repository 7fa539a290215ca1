"""Random checkpoints of one person each: VITS, SpeechT5, Bark."""

# ruff: noqa: ANN401, S106 - the library is not typed; a tokenizer's tokens are no passwords
from __future__ import annotations

import json
from pathlib import Path
from typing import Any  # the library is not typed

import numpy as np

from tests.engines.tiny_parts import heed, letter_tokenizer, louder, scatter

PRESETS = ("v2/en_speaker_1", "v2/de_speaker_3")
PRESET_PARTS = ("semantic_prompt", "coarse_prompt", "fine_prompt")


def make_vits(directory: Path, *, speakers: int = 1, is_steady: bool = False) -> None:
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    directory.mkdir(parents=True, exist_ok=True)
    letters = [*"_abcdefghijklmnopqrstuvwxyz 0123456789'", "<unk>"]
    vocabulary = directory / "vocab.json"
    vocabulary.write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    tokenizer = VitsTokenizer(
        str(vocabulary), pad_token="_", language="eng", add_blank=True, phonemize=False
    )
    config = VitsConfig(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=16,
        flow_size=16,
        spectrogram_bins=9,
        posterior_encoder_num_wavenet_layers=2,
        prior_encoder_num_wavenet_layers=2,
        prior_encoder_num_flows=2,
        upsample_initial_channel=16,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        duration_predictor_num_flows=2,
        duration_predictor_filter_channels=16,
        depth_separable_num_layers=1,
        use_stochastic_duration_prediction=not is_steady,
        num_speakers=speakers,
        speaker_embedding_size=8 if speakers > 1 else 0,
        sampling_rate=16_000,
    )
    model = VitsModel(config)
    # Random weights say a letter in a frame of 16 ms; speech takes about four.
    if is_steady:
        model.duration_predictor.proj.bias.data.fill_(1.5)
    else:
        model.duration_predictor.flows[0].translate.data.fill_(-0.4)
    louder(model.decoder.conv_post)
    tokenizer.save_pretrained(directory)
    model.save_pretrained(directory)


def make_bark(directory: Path) -> None:
    from transformers import BarkProcessor

    _save_presets(directory, semantic=60, codebook=32)
    BarkProcessor(tokenizer=letter_tokenizer([])).save_pretrained(directory)
    # In place of the list that the processor has saved, which is empty.
    listing = {
        name: {part: f"speaker_embeddings/{name}_{part}.npy" for part in PRESET_PARTS}
        for name in PRESETS
    }
    (directory / "speaker_embeddings_path.json").write_text(
        json.dumps({"repo_or_path": str(directory)} | listing)
    )
    _bark(semantic=60, codebook=32).save_pretrained(directory)


def _save_presets(directory: Path, *, semantic: int, codebook: int) -> None:
    draw = np.random.default_rng(3).integers
    for name in PRESETS:
        prompts = (draw(0, semantic, 20), draw(0, codebook, (2, 30)), draw(0, codebook, (4, 30)))
        for part, values in zip(PRESET_PARTS, prompts, strict=True):
            path = directory / "speaker_embeddings" / f"{name}_{part}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values)


def _bark(*, semantic: int, codebook: int) -> Any:
    """Return a model that knows so many semantic tokens, and so many sounds in each codebook."""
    from transformers import BarkConfig, BarkModel, EncodecConfig, GenerationConfig

    shape = {"num_layers": 1, "num_heads": 2, "hidden_size": 16, "block_size": 256}
    coarse = {"input_vocab_size": semantic + 2 * codebook + 8, **shape}
    config = BarkConfig(
        semantic_config={"input_vocab_size": 340, "output_vocab_size": semantic + 20, **shape},
        coarse_acoustics_config=coarse | {"output_vocab_size": coarse["input_vocab_size"]},
        fine_acoustics_config={
            "input_vocab_size": codebook + 1,
            "output_vocab_size": codebook,
            "n_codes_total": 4,
            "n_codes_given": 1,
            **shape,
        },
        codec_config=EncodecConfig(
            target_bandwidths=[1.5],
            sampling_rate=24_000,
            num_filters=4,
            upsampling_ratios=[8, 5, 4, 2],
            codebook_size=codebook,
            codebook_dim=16,
            hidden_size=16,
            num_lstm_layers=1,
        ).to_dict(),
    )
    model = BarkModel(config)
    scatter(model)
    heed(model.semantic, model.coarse_acoustics, model.fine_acoustics)
    model.generation_config = GenerationConfig(
        semantic_config={
            "do_sample": True,
            "max_new_tokens": 30,
            "semantic_vocab_size": semantic,
            "semantic_pad_token": semantic,
            "eos_token_id": semantic,
            "text_encoding_offset": semantic,
            "text_pad_token": 335,
            "semantic_infer_token": 336,
            "max_input_semantic_length": 64,
            "semantic_rate_hz": 50,
        },
        coarse_acoustics_config={
            "do_sample": True,
            "coarse_semantic_pad_token": semantic + 2 * codebook,
            "coarse_infer_token": semantic + 2 * codebook + 1,
            "max_coarse_input_length": 64,
            "max_coarse_history": 60,
            "sliding_window_len": 20,
            "coarse_rate_hz": 75,
            "n_coarse_codebooks": 2,
        },
        fine_acoustics_config={
            "temperature": 0.5,
            "max_fine_history_length": 32,
            "max_fine_input_length": 64,
            "n_fine_codebooks": 4,
        },
        codebook_size=codebook,
        sample_rate=24_000,
    )
    return model


def make_speecht5(directory: Path) -> None:
    import sentencepiece
    from transformers import (
        SpeechT5Config,
        SpeechT5FeatureExtractor,
        SpeechT5ForTextToSpeech,
        SpeechT5HifiGan,
        SpeechT5HifiGanConfig,
        SpeechT5Processor,
        SpeechT5Tokenizer,
    )

    directory.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps over a lazy dog. T I, ? !"] * 20),
        model_prefix=str(directory / "spm_char"),
        vocab_size=40,
        model_type="char",
        hard_vocab_limit=False,
        pad_id=1,
        bos_id=0,
        eos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    tokenizer = SpeechT5Tokenizer(str(directory / "spm_char.model"))
    config = SpeechT5Config(
        vocab_size=len(tokenizer) + 2,
        hidden_size=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        num_mel_bins=8,
        speaker_embedding_dim=12,
        speech_decoder_prenet_units=16,
        speech_decoder_postnet_units=16,
        speech_decoder_postnet_layers=2,
        reduction_factor=2,
        positional_dropout=0.0,
        speech_decoder_prenet_dropout=0.5,
    )
    model = SpeechT5ForTextToSpeech(config)
    model.speech_decoder_postnet.prob_out.bias.data.fill_(-8)  # it stops at maxlenratio
    SpeechT5Processor(
        feature_extractor=SpeechT5FeatureExtractor(num_mel_bins=8), tokenizer=tokenizer
    ).save_pretrained(directory)
    model.save_pretrained(directory)
    vocoder = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=8,
            upsample_initial_channel=16,
            upsample_rates=[4, 4, 4, 4],
            upsample_kernel_sizes=[8, 8, 8, 8],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3]],
        )
    )
    louder(vocoder.conv_post)
    vocoder.save_pretrained(directory / "vocoder")
    for number, name in enumerate(("ann", "bob")):
        vector = np.random.default_rng(number).normal(size=12).astype(np.float32)
        np.save(directory / f"{name}.npy", vector)
