"""onnxruntime sessions that leave the other cores alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Named(Protocol):
    """An input or output of a model."""

    name: str
    type: str
    """Such as ``tensor(float)``."""


class Session(Protocol):
    """What is used of ``onnxruntime.InferenceSession``."""

    def run(
        self, names: list[str] | None, inputs: dict[str, NDArray[np.generic]]
    ) -> list[NDArray[np.generic]]:
        """Return the model's outputs, all of them where ``names`` is None."""

    def get_inputs(self) -> Sequence[Named]:
        """Return what the model takes."""

    def get_outputs(self) -> Sequence[Named]:
        """Return what it gives."""


def quiet_session(model: str | bytes, *, threads: int = 1) -> Session:
    """Return a session on the CPU whose threads sleep while they have nothing to do.

    onnxruntime's default, all cores and spinning, costs 1.7 to 1.9 times the processor time of
    one thread for the same speech (measured on two cores).

    Args:
        model: A path, or the model itself.
        threads: Within one call of the session.
    """
    import onnxruntime  # optional, and slow to import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return cast("Session", session)
