"""Weights in files: reading them without running code, and fitting them name by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["load_weights", "n_outputs", "read_state_dict"]

_N_SHOWN = 10

# Segments that wrappers put into parameter names: DataParallel's and torch.compile's.
_WRAPPERS = frozenset({"module", "_orig_mod"})


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read parameter names and values from a file, running no code of it.

    Parameters
    ----------
    path : path_like
        ``.safetensors``, or anything that ``torch.load(weights_only=True)`` reads: a state dict,
        or a checkpoint that has one under ``state_dict``, ``model_state_dict`` or ``model``.

    Returns
    -------
    dict of str to torch.Tensor
        On the CPU.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, of another kind, or holds more than tensors.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(
            "weights must be 'random', the path of a file, 'permuted:PATH' or 'torchvision:NAME'; "
            f"there is no file {file}."
        )
    try:
        content = _read(file)
    # The readers raise whatever their parsers do; all of it means the same to a user.
    except Exception as error:
        raise ValueError(_unreadable_message(file, error)) from error
    state = _unwrap(content)
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(
            f"weights file {file} must hold a state dict (parameter names and tensors), by itself "
            f"or under 'state_dict' or 'model'; got {_describe(content)}. "
            "Save one with torch.save(model.state_dict(), path)."
        )
    return {str(name): value for name, value in state.items()}


def _read(file: Path) -> Any:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def _unwrap(content: Any) -> Mapping[Any, Any]:
    if not isinstance(content, Mapping):
        return {}
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content.get(key), Mapping):
            return content[key]  # type: ignore[no-any-return]
    return content


def _unreadable_message(file: Path, error: Exception) -> str:
    # torch's sentence about a class that it does not let through.
    if "Unsupported global" in str(error) or "TorchScript" in str(error):
        return (
            f"weights file {file} must hold tensors only; it holds Python objects, which could run "
            "code when loaded. Where you trust it, load it with "
            "torch.load(path, weights_only=False) and save its state dict: "
            "torch.save(model.state_dict(), path)."
        )
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return f"weights file {file} cannot be read: {reason}. It may be damaged or of another format."


def _describe(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"an object of {type(content)}"
    keys = ", ".join(repr(key) for key in list(content)[:_N_SHOWN])
    return f"a dict with keys {keys}" if keys else "an empty dict"


def n_outputs(state: Mapping[str, torch.Tensor], parameter: str) -> int | None:
    """Return the first dimension of `parameter` in `state`, wrapped or not; None if not there."""
    for name, value in state.items():
        if _without_wrappers(name) == parameter and value.ndim:
            return int(value.shape[0])
    return None


def load_weights(
    module: nn.Module, state: Mapping[str, torch.Tensor], *, name: str, source: str
) -> None:
    """Copy `state` into `module`, all of it and nothing missing.

    The segment ``module`` that DataParallel puts into names is taken out where the module itself
    has none; counters of batches, which files older than torch 0.4.1 lack, may be absent.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    state : mapping of str to torch.Tensor
    name, source : str
        What messages call the network and the file.

    Raises
    ------
    ValueError
        If names or shapes differ; the message lists them.
    """
    expected: dict[str, torch.Tensor] = module.state_dict()
    given = _unwrapped(state, expected)
    for key, value in expected.items():
        if key.endswith(".num_batches_tracked"):
            given.setdefault(key, value)
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    shapes = [
        f"{key}: {tuple(given[key].shape)} in the file, {tuple(value.shape)} in the network"
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    if missing or unexpected or shapes:
        lines = [
            f"weights must fit {name} name by name; those of {source} do not.",
            *_listing("missing from the file", missing),
            *_listing("not in the network", unexpected),
            *_listing("of another shape", shapes),
            _hint(missing, unexpected, shapes),
        ]
        raise ValueError("\n".join(lines))
    module.load_state_dict(given)


def _without_wrappers(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)


def _unwrapped(
    state: Mapping[str, torch.Tensor], expected: Iterable[str]
) -> dict[str, torch.Tensor]:
    plain = {_without_wrappers(key): value for key, value in state.items()}
    own = any(_without_wrappers(key) != key for key in expected)
    return dict(state) if own or len(plain) != len(state) else plain


def _listing(title: str, entries: list[str]) -> list[str]:
    if not entries:
        return []
    more = len(entries) - _N_SHOWN
    lines = [f"{len(entries)} {title}:", *(f"  {entry}" for entry in entries[:_N_SHOWN])]
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _hint(missing: list[str], unexpected: list[str], shapes: list[str]) -> str:
    prefixes = {
        key.removesuffix(missing[0]) for key in unexpected if missing and key.endswith(missing[0])
    }
    for prefix in prefixes:
        if {prefix + key for key in missing} <= set(unexpected):
            return f"All names of the file that fit start with {prefix!r}: strip it and save anew."
    if shapes and not (missing or unexpected):
        return "Give n_classes if only the output layer differs."
    return "Build the network that the file was saved from."
