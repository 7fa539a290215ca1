"""What engines raise, as errors of ours: in one place, for threads and worker processes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ttskit.errors import (
    DependencyMissingError,
    GPUOutOfMemoryError,
    ModelLoadError,
    OutOfMemoryError,
    TTSError,
)

_NO_GPU_MEMORY = re.compile(
    r"(CUDA|HIP|MPS|XPU)\b.{0,40}out of memory|CUDA failure 2\b|CUBLAS_STATUS_ALLOC_FAILED"
    r"|CUDNN_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
"""Messages of torch 2.13, onnxruntime's CUDA provider, cuBLAS and cuDNN."""
_NO_MEMORY = re.compile(
    r"bad_alloc|bad allocation|cannot allocate memory|can't allocate memory"
    r"|failed to allocate memory|out of memory|unable to allocate",
    re.IGNORECASE,
)
"""Messages of libstdc++, the C library, torch's CPU allocator, onnxruntime's arena and numpy."""
_BROKEN_GPU = re.compile(
    r"device-side assert|illegal memory access|unspecified launch failure"
    r"|misaligned address|illegal instruction was encountered|invalid program counter"
    r"|hardware stack error|uncorrectable ECC|operation not supported on global/shared"
    r"|(CUDA|CUDNN|cuDNN|CUBLAS|HIP)\S*.{0,20}(failure|error) 7(00|1[0-9])\b"
    r"|CUD(NN|A)_STATUS_EXECUTION_FAILED|CUBLAS_STATUS_EXECUTION_FAILED",
    re.IGNORECASE,
)
"""Errors after which a CUDA context answers every further call with the same. Source: CUDA runtime
API, cudaError 700, 701 and 710 to 719: "the process must be terminated"."""
_LONGEST = 2_000
"""Characters of a message that are looked at."""


def translated(error: BaseException, provider: str, otherwise: type[TTSError]) -> TTSError:
    """Return any exception of an engine as one of ours; its own words may quote the text."""
    if isinstance(error, TTSError):
        error.provider = error.provider or provider
        return error
    kind = type(error).__name__
    if is_out_of_memory(error):
        on_gpu = any(_NO_GPU_MEMORY.search(words) for words in _said(error))
        family = GPUOutOfMemoryError if on_gpu else OutOfMemoryError
        where = "GPU memory" if on_gpu else "memory"
        return family(f"the engine found no {where}", provider=provider, cause=error)
    if isinstance(error, ModuleNotFoundError):
        return DependencyMissingError(
            f"the engine needs the package {error.name!r}", provider=provider, cause=error
        )
    what = "cannot be loaded" if otherwise is ModelLoadError else "failed"
    return otherwise(f"the engine {what} ({kind})", provider=provider, cause=error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the engine failed because there was no memory, of this machine or of its GPU."""
    if isinstance(error, MemoryError):
        return True
    native = isinstance(error, RuntimeError | OSError) or type(error).__module__ != "builtins"
    return native and any(tells_of_no_memory(words) for words in _said(error))


def tells_of_no_memory(words: str) -> bool:
    """Whether a native library says with these words that it found no memory."""
    return bool(_NO_GPU_MEMORY.search(words) or _NO_MEMORY.search(words))


def breaks_gpu(error: BaseException) -> bool:
    """Whether the process can do nothing more on its GPU after this error."""
    return any(_BROKEN_GPU.search(words) for words in _said(error))


def _said(error: BaseException) -> Iterator[str]:
    """Yield the words of the error and of those behind it."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield _words(following)
        following = following.__cause__ or following.__context__


def _words(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST]
    except Exception:  # noqa: BLE001 - a library's own mistake: it says nothing
        return ""
