"""Where a checkpoint's files are, on this disk or on the hub, and how they are read.

Whatever is named is brought to a directory first, so that nothing below ever asks the network.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttskit.adapters.hub import snapshot
from ttskit.errors import DependencyMissingError, ModelLoadError, TTSError
from ttskit.resources.failures import is_out_of_memory

_WANTED = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model", "*.npy", "*.npz")
"""No code, and no pickles as long as there is something else."""


@dataclass(frozen=True, slots=True)
class Hub:
    """How files are had; ``downloads``: those that are not on disk are fetched."""

    downloads: bool = False

    def directory(self, name: str, *, revision: str | None = None) -> Path:
        """Return where the files of a checkpoint are: a path as it is, a hub's name on disk.

        Raises:
            ModelLoadError: They are not there, and cannot or must not be fetched.
        """
        path = as_path(name)
        if path.is_dir():
            return path
        if path.is_absolute() or name.count("/") != 1 or name.startswith("."):
            raise ModelLoadError(f"there is no directory {name[-80:]!r} with a checkpoint")
        found = self._snapshot(name, revision, _WANTED)
        if not list(found.rglob("*.safetensors")):
            found = self._snapshot(name, revision, (*_WANTED, "*.bin"))
        return found

    def _snapshot(self, name: str, revision: str | None, wanted: tuple[str, ...]) -> Path:
        # Optional, and slow to import.
        import httpx
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return snapshot(
                name,
                repo_id=name,
                revision=revision,
                allow_patterns=list(wanted),
                local_files_only=not self.downloads,
            )
        except LocalEntryNotFoundError as error:
            if self.downloads:
                raise _unreachable(name) from error
            raise ModelLoadError(
                f"{name} is not on disk, and downloads are off"
                " (resources: {downloads: true} allows them)"
            ) from error
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else "no status"
            raise ModelLoadError(
                f"the hub does not give {name} ({status}): is the name right, and is it free?"
            ) from error
        except (OSError, httpx.HTTPError) as error:
            raise _unreachable(name) from error
        except ValueError as error:  # a name the hub cannot have
            raise ModelLoadError(
                f"{name[:80]!r} is neither a directory nor a hub's name"
            ) from error


def _unreachable(name: str) -> ModelLoadError:
    return ModelLoadError(f"{name} is not on disk, and the hub cannot be reached")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files and how they are to be loaded."""

    directory: Path
    hub: Hub
    device: str = "auto"
    dtype: str = "auto"
    vocoder: str = ""
    """SpeechT5's second half: a directory or a hub's name."""
    recordings: Path | None = None
    """Holds samples of voices: ``NAME.wav``, and what is said in ``NAME.txt``."""

    def config(self, name: str = "config.json") -> dict[str, Any]:
        """Return one of the files of settings; empty where there is none."""
        return read_settings(self.directory / name)

    def samples(self, suffix: str = ".wav") -> dict[str, Path]:
        """Return the recordings of voices by name."""
        if self.recordings is None:
            return {}
        return {path.stem: path for path in sorted(self.recordings.glob(f"*{suffix}"))}

    def place(self) -> str:
        """Return the device by torch's name; ``auto`` takes a GPU where there is one.

        Raises:
            ModelLoadError: The device is not there.
        """
        from ttskit.adapters.torch_device import choose_device, is_here  # they import torch

        if self.device == "auto":
            return str(choose_device("auto"))
        if not is_here(self.device):
            raise ModelLoadError(f"this machine has no device {self.device!r}; auto takes what is")
        return self.device

    def precision(self, *, halves: bool) -> Any:  # noqa: ANN401 - torch.dtype, not imported
        """Return the type of the weights: what was asked for, or what suits the device.

        Raises:
            ModelLoadError: The model would not work in it.
        """
        import torch  # optional, and slow to import

        on_cpu = self.place() == "cpu"
        if self.dtype == "auto":
            return torch.float32 if on_cpu or not halves else "auto"
        if self.dtype != "float32" and (not halves or (on_cpu and self.dtype == "float16")):
            raise ModelLoadError(f"this model does not work in {self.dtype} here; use float32")
        return getattr(torch, self.dtype)

    def model(self, kind: str, *, halves: bool, directory: Path | None = None) -> Any:  # noqa: ANN401
        """Return a model of the library, by its class's name, on its device."""
        where = directory or self.directory
        loaded = load(
            lambda: _library(kind).from_pretrained(
                where,
                local_files_only=True,
                trust_remote_code=False,
                weights_only=True,
                dtype=self.precision(halves=halves),
            )
        )
        return loaded.to(self.place()).eval()

    def reader(self, kind: str) -> Any:  # noqa: ANN401 - a processor or a tokenizer
        """Return what turns text into a model's input, by its class's name."""
        codec = self.config("processor_config.json").get("audio_tokenizer") or {}
        if name := codec.get("audio_tokenizer_name_or_path"):
            self.hub.directory(name)  # the library finds it there
        return load(
            lambda: _library(kind).from_pretrained(
                self.directory, local_files_only=True, trust_remote_code=False
            )
        )


def as_path(name: str) -> Path:
    """Return what may be a directory as a path; a name on the hub is none that exists."""
    return Path(name).expanduser() if name.startswith("~/") else Path(name)


def read_settings(path: Path) -> dict[str, Any]:
    """Return what a JSON file says; empty where there is none.

    Raises:
        ModelLoadError: It is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{path.name} of the checkpoint is damaged") from error
    return found if isinstance(found, dict) else {}


def load(make: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the library made
    """Return what the library loads; whatever it raises becomes one of ours.

    Raises:
        DependencyMissingError: It needs a package more.
        ModelLoadError: Files are missing or damaged, or hold what weights must not.
    """
    import pickle

    try:
        return make()
    except ImportError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        what = lines[0] if lines else "a package"
        raise DependencyMissingError(f"the checkpoint needs more packages: {what}") from error
    except pickle.UnpicklingError as error:
        raise ModelLoadError(
            "the checkpoint's weights are a pickle that could run code; have them as safetensors"
        ) from error
    except TTSError:
        raise
    except Exception as error:  # the border to the library, which raises whatever it meets
        if is_out_of_memory(error):
            raise  # the host says of which
        name = type(error).__name__
        raise ModelLoadError(f"the checkpoint is incomplete or damaged ({name})") from error


def _library(kind: str) -> Any:  # noqa: ANN401 - a class of the library
    import transformers  # optional, and slow to import

    try:
        return getattr(transformers, kind)
    except AttributeError as error:
        raise ModelLoadError(
            f"transformers {transformers.__version__} has no {kind}; upgrade it"
        ) from error
