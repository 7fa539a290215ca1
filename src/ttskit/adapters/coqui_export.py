"""A VITS model as three ONNX graphs: made once by Coqui's own export, kept by content.

Coqui exports the network whole. It is cut here at two places, where its second noise is drawn and
before its decoder: so the noise can come from a seed, the durations can be had, and the sound can
be made in pieces. Read: coqui-tts 0.28.0, ``vits.py``, ``export_onnx``.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ttskit.errors import ModelLoadError, TTSError
from ttskit.files import write_atomically
from ttskit.resources.shelf import user_cache

if TYPE_CHECKING:
    import torch
    from onnx import GraphProto, ModelProto, NodeProto

    from ttskit.adapters.coqui_files import CoquiFiles

VERSION = 1
"""Of the cut and of the files; one that another version wrote is not read."""
_LOGGER = logging.getLogger(__name__)
_NOISE = "RandomNormalLike"
_DECODER_WEIGHT = "waveform_decoder.conv_pre.weight"


@dataclass(frozen=True, slots=True)
class Graphs:
    """The three graphs, serialised, and what their tensors of interest are called."""

    text: bytes
    """Ids to durations and to the mean of each frame."""
    flow: bytes
    """Mean and noise to what the decoder reads."""
    decoder: bytes
    names: Mapping[str, str]
    """``durations``, ``mean``, ``noise``, ``z``, and ``rhythm`` where the rhythm is drawn."""

    def packed(self) -> bytes:
        """Return everything in one piece that can tell whether it is whole."""
        parts = [self.text, self.flow, self.decoder]
        body = b"".join(parts)
        head = {
            "version": VERSION,
            "sizes": [len(part) for part in parts],
            "sha256": hashlib.sha256(body).hexdigest(),
            "names": dict(self.names),
        }
        return json.dumps(head).encode() + b"\n" + body

    @staticmethod
    def unpacked(data: bytes) -> Graphs:
        """Return what ``packed`` made.

        Raises:
            ValueError: It is damaged, or another version's.
        """
        line, _, body = data.partition(b"\n")
        head = json.loads(line)
        if head["version"] != VERSION or hashlib.sha256(body).hexdigest() != head["sha256"]:
            raise ValueError("damaged")
        first, second, _ = head["sizes"]
        middle = first + second
        return Graphs(body[:first], body[first:middle], body[middle:], head["names"])


class GraphStore:
    """Exported models in a directory, one file each, named by what they were made of.

    Args:
        folder: Where; None: the user's cache directory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or user_cache("models")

    def get(self, files: CoquiFiles, load: Callable[[], torch.nn.Module]) -> Graphs:
        """Return a model's graphs; where none are kept, or damaged ones, they are made anew.

        Args:
            files: Of the model; their content is the key.
            load: Returns the model, on the CPU; only called where there is something to make.

        Raises:
            ModelLoadError: This model cannot be exported.
        """
        path = self._folder / f"coqui-{_fingerprint(files)}.graphs"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return Graphs.unpacked(path.read_bytes())
        _LOGGER.info("exporting %s for onnxruntime, once", files.name)
        graphs = cut(_exported(load(), files.name))
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, graphs.packed(), within=self._folder)
        except (OSError, TTSError) as error:
            _LOGGER.warning("the export of %s is not kept (%s)", files.name, type(error).__name__)
        return graphs


def cut(model: ModelProto) -> Graphs:
    """Return an exported VITS network in its three parts.

    Raises:
        ModelLoadError: The network is not made as VITS is.
    """
    import onnx  # optional, and slow to import

    model = onnx.shape_inference.infer_shapes(model)
    network = _Network(model.graph)
    durations, noise, z = network.landmarks()
    mean = noise.input[0]
    output = model.graph.output[0].name
    ends = [[mean, durations], [z], [output]]
    parts, taken = [], network.noises()
    for wanted in ends:
        part = network.before(wanted) - taken
        taken |= part
        parts.append(part)
    rhythm = [node.output[0] for node in network.drawn() if node is not noise]
    names = {"durations": durations, "mean": mean, "noise": noise.output[0], "z": z}
    names |= {"rhythm": rhythm[0]} if rhythm else {}
    graphs = [
        network.part(part, kept=set(wanted) | network.needs(*parts[number + 1 :]))
        for number, (part, wanted) in enumerate(zip(parts, ends, strict=True))
    ]
    text, flow, decoder = (
        onnx.helper.make_model(
            graph, opset_imports=model.opset_import, ir_version=model.ir_version
        ).SerializeToString()
        for graph in graphs
    )
    return Graphs(text, flow, decoder, names)


class _Network:
    """A graph, and who makes what in it. Nodes are known by their places."""

    def __init__(self, graph: GraphProto) -> None:
        self._nodes: list[NodeProto] = list(graph.node)
        self._makers = {name: at for at, node in enumerate(self._nodes) for name in node.output}
        self._weights = {weight.name: weight for weight in graph.initializer}
        described = [*graph.value_info, *graph.input, *graph.output]
        self._types = {one.name: one.type for one in described}
        self._constants = {at for at, one in enumerate(self._nodes) if one.op_type == "Constant"}

    def landmarks(self) -> tuple[str, NodeProto, str]:
        """Return the durations, the node that draws the sound's noise, the decoder's input."""
        rounded = [node.output[0] for node in self._nodes if node.op_type == "Ceil"]
        decoders = [node.input[0] for node in self._nodes if _DECODER_WEIGHT in node.input]
        if len(rounded) == 1 and len(decoders) == 1:
            ceil = self._makers[rounded[0]]
            # The frames' noise has as many as the durations say; the rhythm's is drawn before.
            noises = [one for one in self.drawn() if ceil in self.before(one.input)]
            if len(noises) == 1:
                return rounded[0], noises[0], decoders[0]
        raise ModelLoadError("the exported network is not made as VITS is")

    def drawn(self) -> list[NodeProto]:
        """Return the nodes that draw random numbers."""
        return [node for node in self._nodes if node.op_type == _NOISE]

    def noises(self) -> set[int]:
        """Return the places of ``drawn``."""
        return {at for at, node in enumerate(self._nodes) if node.op_type == _NOISE}

    def before(self, tensors: Iterable[str]) -> set[int]:
        """Return every node that the tensors are made of."""
        found: set[int] = set()
        left = list(tensors)
        while left:
            at = self._makers.get(left.pop())
            if at is not None and at not in found:
                found.add(at)
                left += self._nodes[at].input
        return found

    def needs(self, *parts: set[int]) -> set[str]:
        """Return the tensors that some parts read."""
        return {name for part in parts for at in part for name in self._nodes[at].input if name}

    def part(self, places: set[int], *, kept: set[str]) -> GraphProto:
        """Return some nodes as a graph; ``kept`` are the tensors wanted of it."""
        import onnx  # optional, and slow to import

        read = self.needs(places)
        nodes = places | {self._makers[one] for one in read & set(self._makers)} & self._constants
        made = {name for at in nodes for name in self._nodes[at].output}
        fixed = {name for at in self._constants for name in self._nodes[at].output}
        return onnx.helper.make_graph(
            [self._nodes[at] for at in sorted(nodes)],
            "part",
            list(self._described(read - made - set(self._weights))),
            list(self._described(made & kept - fixed)),
            [self._weights[name] for name in sorted(read & set(self._weights))],
        )

    def _described(self, names: Iterable[str]) -> Iterator[object]:
        import onnx  # optional, and slow to import

        return (onnx.helper.make_value_info(name, self._types[name]) for name in sorted(names))


def _exported(model: torch.nn.Module, name: str) -> ModelProto:
    import onnx  # optional, and slow to import
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        try:
            with warnings.catch_warnings():
                # The tracer warns of every branch that it takes for good.
                warnings.simplefilter("ignore")
                model.export_onnx(path, verbose=False)
        except (RuntimeError, TypeError, ValueError, torch.onnx.OnnxExporterError) as error:
            raise ModelLoadError(
                f"{name} cannot be exported ({type(error).__name__}); set runtime: torch"
            ) from error
        return onnx.load(path)


def _fingerprint(files: CoquiFiles) -> str:
    """Return a name for what a model's graphs are made of."""
    made_by = (str(VERSION), *(importlib.metadata.version(one) for one in ("coqui-tts", "torch")))
    digest = hashlib.sha256(" ".join(made_by).encode())
    for path in (files.checkpoint, files.config):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]
