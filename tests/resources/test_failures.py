"""What engines raise, as errors of ours."""

from __future__ import annotations

import pytest
from typing_extensions import override

from ttskit.errors import GenerationError, GPUOutOfMemoryError, OutOfMemoryError
from ttskit.resources.failures import breaks_gpu, translated

BROKEN = [
    "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: unspecified launch failure",
    "CUDA error: misaligned address",
    "CUDA error: an illegal instruction was encountered",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=x",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
]


class OutOfMemory(RuntimeError):  # noqa: N818 - the library's name
    """As torch's own, which is a RuntimeError."""


class UnreadableError(RuntimeError):
    """Its words are octets of some other encoding."""

    @override
    def __str__(self) -> str:
        return str(self.args[0], "utf-8")


@pytest.mark.parametrize("words", BROKEN)
def test_a_gpu_that_can_do_no_more_is_recognised(words: str) -> None:
    assert breaks_gpu(RuntimeError(words))


def test_an_error_that_cannot_be_shown_is_a_failure_like_any_other() -> None:
    error = UnreadableError(b"\xff")
    assert not breaks_gpu(error)
    assert type(translated(error, "acme", GenerationError)) is GenerationError


@pytest.mark.parametrize("words", BROKEN)
def test_it_is_recognised_behind_another_error(words: str) -> None:
    outer = ValueError("in the vocoder")
    outer.__cause__ = RuntimeError(words)
    assert breaks_gpu(outer)


@pytest.mark.parametrize(
    "words",
    ["CUDA out of memory. Tried to allocate 2 GiB", "CUDA error: out of memory", "shape mismatch"],
)
def test_what_passes_is_no_broken_gpu(words: str) -> None:
    assert not breaks_gpu(RuntimeError(words))


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (MemoryError(), OutOfMemoryError),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            OutOfMemoryError,
        ),
        (RuntimeError("std::bad_alloc"), OutOfMemoryError),
        (OutOfMemory("CUDA out of memory. Tried to allocate 2 GiB"), GPUOutOfMemoryError),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), GPUOutOfMemoryError),
        (RuntimeError("MPS backend out of memory"), GPUOutOfMemoryError),
        (
            RuntimeError("Failed to allocate memory for requested buffer of size 9"),
            OutOfMemoryError,
        ),
        (ValueError("a text about being out of memory"), GenerationError),
    ],
)
def test_want_of_memory_is_told_apart(error: Exception, family: type[Exception]) -> None:
    assert type(translated(error, "acme", GenerationError)) is family
