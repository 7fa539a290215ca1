# ruff: noqa: ANN401, S106 - networks without types; tokens are no passwords
"""Chatterbox with small networks and random weights: its own code loads them and runs, and babbles.

Its sizes stand in its code, so a process that is to read such files is told smaller ones first.
What comes of it has no words; how long it lasts, that it is repeated and whose it is can be told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import override

from ttskit.adapters.chatterbox import ChatterboxAdapter
from ttskit.adapters.chatterbox_engine import ChatterboxEngine
from ttskit.adapters.chatterbox_files import find_files
from ttskit.adapters.chatterbox_kinds import LANGUAGES
from ttskit.resources.engine import Recipe

WRITTEN = "The models are written."
"""What a program says that has done so."""
STEPS = 40
"""Speech tokens of everything that the models say unless told otherwise, 40 ms each."""
WIDTH = 64
"""Of what chooses speech."""
LISTENING, CHOOSING = 60.0, 4.0
"""How much of what it is told it minds, and how much it minds which sound it is."""
SPECIAL = ["[STOP]", "[START]", "[UNK]", "[SPACE]"]
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'-"


class TinyEngine(ChatterboxEngine):
    """The engine, in a process where Chatterbox is small."""

    @override
    def load(self) -> None:
        find_files(self._kind, self._folder, downloads=self._downloads)  # before all that is slow
        shrink()
        super().load()


class TinyChatterbox(ChatterboxAdapter):
    """The adapter over it."""

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        made = super().engine(downloads=downloads)
        return Recipe(TinyEngine, made.arguments, made.on_cpu, made.python)


def shrink() -> None:
    """Make every network of Chatterbox that this process builds from now on a small one."""
    import s3tokenizer.model_v2 as ears
    from chatterbox.models.s3gen import s3gen
    from chatterbox.models.t3 import llama_configs
    from chatterbox.models.t3.modules import cond_enc

    if llama_configs.LLAMA_520M_CONFIG_DICT["hidden_size"] == WIDTH:
        return
    # As many layers and heads as the multilingual model looks at.
    llama_configs.LLAMA_520M_CONFIG_DICT.update(
        hidden_size=WIDTH, num_hidden_layers=14, head_dim=4, intermediate_size=32
    )
    llama_configs.GPT2_MEDIUM_CONFIG.update(n_embd=16, hidden_size=16, n_head=2, n_layer=1)
    cond_enc.Perceiver = _smaller(
        cond_enc.Perceiver, pre_attention_query_size=WIDTH, embedding_dim=WIDTH
    )
    ears.S3TokenizerV2.__init__.__defaults__ = (
        ears.ModelConfig(n_audio_state=64, n_audio_head=1, n_audio_layer=1),
    )
    s3gen.CAMPPlus = _smaller(s3gen.CAMPPlus, growth_rate=4, init_channels=16)
    s3gen.UpsampleConformerEncoder = _smaller(
        s3gen.UpsampleConformerEncoder, linear_units=32, num_blocks=1
    )
    s3gen.ConditionalDecoder = _smaller(
        s3gen.ConditionalDecoder, channels=[32], n_blocks=1, num_mid_blocks=1, num_heads=1
    )
    s3gen.ConvRNNF0Predictor = _smaller(s3gen.ConvRNNF0Predictor, cond_channels=16)
    s3gen.HiFTGenerator = _smaller(s3gen.HiFTGenerator, base_channels=32)


def _smaller(network: Any, **sizes: object) -> Any:
    def made(*args: object, **given: object) -> object:
        return network(*args, **{**given, **sizes})

    return made


def write(kind: str, folder: Path, *, steps: int | None = STEPS) -> None:
    """Write the files of a model that has shrunk.

    Args:
        kind: ``english``, ``multilingual`` or ``turbo``.
        folder: For them.
        steps: Speech tokens after which it stops, and ``turbo`` when it likes; None: it goes on as
            long as it is let.
    """
    import torch

    shrink()
    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    {"english": _english, "multilingual": _multilingual, "turbo": _turbo}[kind](folder, steps)
    _voice(folder)


def _english(folder: Path, steps: int | None) -> None:
    from chatterbox.models.s3gen import S3Gen
    from chatterbox.models.t3 import T3
    from chatterbox.models.voice_encoder import VoiceEncoder

    _save(folder / "ve.safetensors", VoiceEncoder())
    _save(folder / "t3_cfg.safetensors", _talker(T3(), steps))
    _save(folder / "s3gen.safetensors", S3Gen())
    _letters([*ALPHABET]).save(str(folder / "tokenizer.json"))


def _multilingual(folder: Path, steps: int | None) -> None:
    import torch
    from chatterbox.models.s3gen import S3Gen
    from chatterbox.models.t3 import T3
    from chatterbox.models.t3.modules.t3_config import T3Config
    from chatterbox.models.voice_encoder import VoiceEncoder

    torch.save(VoiceEncoder().state_dict(), folder / "ve.pt")
    _save(folder / "t3_mtl23ls_v2.safetensors", _talker(T3(T3Config.multilingual()), steps))
    torch.save(S3Gen().state_dict(), folder / "s3gen.pt")
    # Whole texts are one token: in longer ones the model looks for where in the text it is.
    tags = [f"[{language}]" for language in sorted(LANGUAGES)]
    _letters([], tags).save(str(folder / "grapheme_mtl_merged_expanded_v1.json"))


def _turbo(folder: Path, steps: int | None) -> None:
    from chatterbox.models.s3gen import S3Gen
    from chatterbox.models.t3 import T3
    from chatterbox.models.t3.modules.t3_config import T3Config
    from chatterbox.models.voice_encoder import VoiceEncoder
    from transformers import PreTrainedTokenizerFast

    sizes = T3Config(text_tokens_dict_size=50_276)
    sizes.llama_config_name = "GPT2_medium"
    sizes.speech_tokens_dict_size = 6563
    sizes.input_pos_emb = None
    sizes.speech_cond_prompt_len = 375
    sizes.use_perceiver_resampler = False
    sizes.emotion_adv = False
    _save(folder / "ve.safetensors", VoiceEncoder())
    _save(folder / "t3_turbo_v1.safetensors", _turbo_talker(T3(sizes), steps))
    _save(folder / "s3gen_meanflow.safetensors", S3Gen(meanflow=True))
    letters = _letters([*ALPHABET])
    PreTrainedTokenizerFast(
        tokenizer_object=letters, unk_token="[UNK]", eos_token="[STOP]"
    ).save_pretrained(folder)


def _talker(model: Any, steps: int | None) -> Any:
    """Have the model choose among all sounds alike, and stop once it has come so far.

    It tells how far by what stands for the place: one channel in all of them, another in the later
    ones, each far louder than the rest.
    """
    import torch

    everywhere, later = 0, 1
    with torch.no_grad():
        # So little that what comes of it is not brought to the same loudness whatever it says.
        model.cond_enc.emotion_adv_fc.weight *= 0.003
        model.speech_emb.weight *= 0.1
        model.speech_emb.weight[:, : later + 1] = 0
        for layer in model.tfmr.layers:
            layer.self_attn.o_proj.weight *= LISTENING
            layer.self_attn.o_proj.weight[: later + 1] = 0
            layer.mlp.down_proj.weight[: later + 1] = 0
        places = model.speech_pos_emb.emb.weight
        places[:, everywhere], places[:, later] = 10, 0
        head = model.speech_head.weight
        head *= CHOOSING
        head[6561:] = 0
        head[6561:, everywhere] = -100
        if steps is not None:
            places[steps:, later] = 10
            head[model.hp.stop_speech_token, later] = 300
    return model


def _turbo_talker(model: Any, steps: int | None) -> Any:
    """Have the model choose stopping once in a while, whatever it has said."""
    import torch

    with torch.no_grad():
        model.speech_head.weight *= 0.1
        model.speech_head.bias.zero_()
        model.speech_head.bias[6561:] = -20
        if steps is not None:
            model.speech_head.bias[model.hp.stop_speech_token] = 3
    return model


def _letters(letters: list[str], more: list[str] | None = None) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

    special = [*SPECIAL, *(more or [])]
    known = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    if letters:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    split = special if letters else [*(more or [])]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in split])
    return tokenizer


def _voice(folder: Path, tokens: int = 10) -> None:
    import torch

    talker = {
        "speaker_emb": torch.rand(1, 256),
        "cond_prompt_speech_tokens": torch.randint(0, 6561, (1, 150)),
        "emotion_adv": torch.full((1, 1, 1), 0.5),
    }
    sound = {
        "prompt_token": torch.randint(0, 6561, (1, tokens)),
        "prompt_token_len": torch.tensor([tokens]),
        "prompt_feat": torch.rand(1, 2 * tokens, 80),
        "prompt_feat_len": None,
        "embedding": torch.rand(1, 192),
    }
    torch.save({"t3": talker, "gen": sound}, folder / "conds.pt")


def _save(path: Path, model: Any) -> None:
    from safetensors.torch import save_file

    half = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    save_file({name: value.contiguous() for name, value in half.items()}, path)
