"""A VITS network of Coqui, run by onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.adapters.coqui_vits import VitsRuntime
from ttskit.adapters.onnx import quiet_session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ttskit.adapters.coqui_export import Graphs
    from ttskit.adapters.coqui_pieces import Decoder
    from ttskit.adapters.coqui_vits import Manner
    from ttskit.codecs.pcm import Samples

    Tensors = dict[str, NDArray[np.generic]]

_RHYTHM_CHANNELS = 2
"""Of the stochastic duration predictor's noise: (1, 2, ids)."""


@dataclass(frozen=True, slots=True)
class OnnxLatent:
    """What the decoder reads: its main input of shape (1, channels, frames), and the others."""

    z: NDArray[np.generic]
    others: Tensors
    durations: Sequence[float]
    decoder: _Graph
    name: str
    """The main input's."""

    @property
    def frames(self) -> int:
        """Of the decoder."""
        return int(self.z.shape[-1])

    def decode(self, begin: int, finish: int) -> Samples:
        """Return the sound of some frames."""
        import numpy as np  # an adapter is imported long before it speaks

        piece = {self.name: self.z[:, :, begin:finish]}
        (sound,) = self.decoder.run(self.others | piece).values()
        return sound.astype(np.float32, copy=False).ravel()


class OnnxVits(VitsRuntime):
    """The three graphs of a model.

    Args:
        graphs: As ``coqui_export`` cut them.
        decoder: The sizes of the model's decoder.
        threads: Within one call.
    """

    def __init__(self, graphs: Graphs, *, decoder: Decoder, threads: int) -> None:
        self._text = _Graph(graphs.text, threads=threads)
        self._flow = _Graph(graphs.flow, threads=threads)
        self._decoder = _Graph(graphs.decoder, threads=threads)
        self._names = graphs.names
        self.radius = decoder.radius()
        self.hop = 1
        for rate in decoder.rates:
            self.hop *= rate

    @override
    def latent(self, ids: list[int], manner: Manner) -> OnnxLatent:
        import numpy as np  # an adapter is imported long before it speaks

        rng = np.random.default_rng(manner.seed)
        tensors: Tensors = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(
                [manner.noise_scale, manner.length_scale, manner.noise_scale_dp], np.float32
            ),
            # A model that knows people by embeddings cannot be exported.
            "sid": np.array([manner.speaker if isinstance(manner.speaker, int) else 0], np.int64),
            "langid": np.array([manner.language or 0], np.int64),
        }
        if "rhythm" in self._names:
            shape = (1, _RHYTHM_CHANNELS, len(ids))
            tensors[self._names["rhythm"]] = rng.standard_normal(shape, np.float32)
        tensors |= self._text.run(tensors)
        shape = tensors[self._names["mean"]].shape
        tensors[self._names["noise"]] = rng.standard_normal(shape, np.float32)
        tensors |= self._flow.run(tensors)
        durations = tensors[self._names["durations"]].astype(np.float64).ravel().tolist()
        name = self._names["z"]
        return OnnxLatent(tensors.pop(name), tensors, durations, self._decoder, name)


class _Graph:
    """A session that takes what it needs from all tensors there are."""

    def __init__(self, content: bytes, *, threads: int) -> None:
        self._session = quiet_session(content, threads=threads)
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs = [one.name for one in self._session.get_outputs()]

    def run(self, tensors: Tensors) -> Tensors:
        """Return the graph's outputs by name."""
        made = self._session.run(self._outputs, {name: tensors[name] for name in self._inputs})
        return dict(zip(self._outputs, made, strict=True))
