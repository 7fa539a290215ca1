"""A network with Kokoro's inputs and outputs, and voices for it, made on the spot.

The real ones are files of 90 to 310 MB that no package carries with English voices. This one lets
a tone sound for each phoneme and is silent at punctuation: it says nothing, but how long, when and
with which voice can be told. What reads the text, cuts it, times it and runs the network is
kokoro-onnx itself, with espeak-ng in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FRAME = 600
"""Samples, as in the real network."""
FRAMES = 4
"""Of a phoneme at speed 1: 0.1 s."""
SILENT = (0, 1, 2, 3, 4, 5, 6, 16)
"""The pad and the vocabulary's punctuation and space."""
VOICES = ("af_heart", "af_sky", "am_adam", "bf_emma", "ff_siwis", "jf_alpha")


def make(directory: Path, *, is_timed: bool = True, speed: str = "FLOAT") -> tuple[Path, Path]:
    """Save a model and its voices and return their paths.

    Args:
        directory: Where to.
        is_timed: It tells how long each phoneme lasts.
        speed: The type of its input ``speed``: exports differ.
    """
    model, voices = directory / "kokoro.onnx", directory / "voices.bin"
    _save_network(model, is_timed=is_timed, speed=speed)
    styles = {
        name: np.full((510, 1, 256), number + 1, np.float32) for number, name in enumerate(VOICES)
    }
    with voices.open("wb") as file:
        np.savez(file, **styles)  # type: ignore[arg-type] # its stub takes them for an option
    return model, voices


def _save_network(path: Path, *, is_timed: bool, speed: str) -> None:
    from onnx import TensorProto, checker, helper, save

    def constant(name: str, kind: int, values: list[float]) -> object:
        shape = [len(values)] if values[1:] else []
        return helper.make_tensor(name, kind, shape, values)

    node = helper.make_node
    nodes = [
        # Frames of a phoneme, and of all of them.
        node("Cast", ["speed"], ["pace"], to=TensorProto.FLOAT),
        node("Div", ["frames", "pace"], ["exact"]),
        node("Ceil", ["exact"], ["whole"]),
        node("Cast", ["whole"], ["each"], to=TensorProto.INT64),
        node("Shape", ["tokens"], ["shape"]),
        node("Gather", ["shape", "one"], ["count"]),
        node("Unsqueeze", ["count", "zeros"], ["counts"]),
        node("Expand", ["each", "counts"], ["duration"]),
        # A tone for each: its pitch by phoneme and voice, its time in samples.
        node("Mul", ["each", "frame"], ["long"]),
        node("Squeeze", ["long"], ["length"]),
        node("Range", ["zero", "length", "one"], ["steps"]),
        node("Cast", ["steps"], ["time"], to=TensorProto.FLOAT),
        node("Squeeze", ["tokens", "zeros"], ["phonemes"]),
        node("Mod", ["phonemes", "pitches"], ["low"]),
        node("Cast", ["low"], ["note"], to=TensorProto.FLOAT),
        node("ReduceMean", ["style"], ["timbre"], keepdims=0),
        node("Add", ["note", "timbre"], ["pitch"]),
        node("Mul", ["pitch", "turn"], ["angle"]),
        node("Unsqueeze", ["angle", "ones"], ["column"]),
        node("Mul", ["column", "time"], ["phase"]),
        node("Sin", ["phase"], ["tones"]),
        # Silence at punctuation.
        node("Unsqueeze", ["phonemes", "ones"], ["upright"]),
        node("Equal", ["upright", "silent"], ["matches"]),
        node("Cast", ["matches"], ["hits"], to=TensorProto.FLOAT),
        node("ReduceSum", ["hits", "ones"], ["hit"], keepdims=1),
        node("Sub", ["loud", "hit"], ["gate"]),
        node("Mul", ["tones", "gate"], ["gated"]),
        node("Mul", ["gated", "level"], ["sound"]),
        node("Reshape", ["sound", "flat"], ["audio"]),
    ]
    number, real = TensorProto.INT64, TensorProto.FLOAT
    constants = [
        constant("frames", real, [FRAMES]),
        constant("frame", number, [FRAME]),
        constant("zero", number, [0]),
        constant("one", number, [1]),
        helper.make_tensor("zeros", number, [1], [0]),
        helper.make_tensor("ones", number, [1], [1]),
        helper.make_tensor("flat", number, [1], [-1]),
        constant("pitches", number, [17]),
        constant("turn", real, [2 * np.pi * 40 / 24_000]),
        constant("silent", number, list(SILENT)),
        constant("loud", real, [1]),
        constant("level", real, [0.3]),
    ]
    value = helper.make_tensor_value_info
    outputs = [value("audio", real, ["samples"])]
    if is_timed:
        outputs.append(value("duration", number, ["phonemes"]))
    graph = helper.make_graph(
        nodes,
        "kokoro",
        [
            value("tokens", number, [1, "phonemes"]),
            value("style", real, [1, 256]),
            value("speed", getattr(TensorProto, speed), [1]),
        ],
        outputs,
        constants,
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(network)
    save(network, str(path))
