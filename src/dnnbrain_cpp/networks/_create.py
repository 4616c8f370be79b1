"""A network from a name: one of ours, or a function of the user's."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from dnnbrain_cpp._torchvision import import_torchvision
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.networks import _torchvision_networks as torchvision_networks
from dnnbrain_cpp.networks._architecture import Constructor
from dnnbrain_cpp.networks._network import ImageTransform, Network
from dnnbrain_cpp.networks._state_dict import load_weights, read_state_dict
from dnnbrain_cpp.networks._weights import (
    Weights,
    WeightSource,
    permute_parameters,
    seeded,
    weight_source,
)
from dnnbrain_cpp.networks.deepcluster import deepcluster_alexnet

__all__ = ["available", "create"]

_CONSTRUCTORS: dict[str, Constructor] = {
    "deepcluster_alexnet": deepcluster_alexnet,
    **{name: getattr(torchvision_networks, name) for name in torchvision_networks.__all__},
}


def available() -> list[str]:
    """Return the names that `create` knows, sorted."""
    return sorted(_CONSTRUCTORS)


def create(
    name: str,
    *,
    weights: Weights = "random",
    seed: int = 0,
    layers: str | Sequence[str] | None = None,
    transform: ImageTransform | None = None,
    **options: Any,
) -> Network:
    """Make a network from its name.

    Parameters
    ----------
    name : str
        One of `available`; or ``"package.module:function"`` or ``"path/to/file.py:function"``,
        where the function returns a module or a `Network`. Running such a function runs its code.
    weights, seed, layers, transform
        As for the constructors. A function is called as after ``torch.manual_seed(seed)``, and
        ``"random"`` leaves what it returns as it is.
    **options
        Passed on to the constructor (``n_classes``) or to the function.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If there is no such name, or the weights do not fit.
    TypeError
        If the function returns something else.

    Examples
    --------
    >>> network = create("alexnet", weights="random", seed=3, layers="type:ReLU")
    >>> len(network.layers)
    7
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string; got {name!r}. Wrap a module in Network(module).")
    if ":" in name:
        return _from_function(name, weights, seed, layers, transform, options)
    if name not in _CONSTRUCTORS:
        close = difflib.get_close_matches(name, _CONSTRUCTORS, n=3)
        hint = f"Close: {', '.join(map(repr, close))}. " if close else ""
        raise ValueError(
            f"network must be one of {', '.join(available())}, or 'module:function' or "
            f"'file.py:function'; got {name!r}. {hint}".rstrip()
        )
    return _CONSTRUCTORS[name](
        weights=weights, seed=seed, layers=layers, transform=transform, **options
    )


def _from_function(
    target: str,
    weights: Weights,
    seed: int,
    layers: str | Sequence[str] | None,
    transform: ImageTransform | None,
    options: dict[str, Any],
) -> Network:
    source = weight_source(weights)
    if source.kind == "torchvision":
        raise ValueError(
            f"weights of {target!r} must be 'random', a path or 'permuted:PATH'; got "
            f"{str(weights)!r}. Let the function itself load weights of torchvision."
        )
    seed = check_integer(seed, "seed", minimum=0)
    function = _load_function(target)
    with seeded(seed):
        made = function(**options)
    if isinstance(made, nn.Module):
        made = Network(made, name=target.rpartition(":")[2])
    if not isinstance(made, Network):
        raise TypeError(
            f"{target!r} must return a torch.nn.Module or a Network; got an object of {type(made)}."
        )
    _apply(made, source, seed)
    keeps = source.kind == "random" and made.weights is not None
    return Network(
        made.module,
        made.layers if layers is None else layers,
        transform=made.transform if transform is None else transform,
        name=made.name,
        weights=made.weights if keeps else str(source),
        seed=made.seed if keeps else (seed if source.has_seed else None),
        aliases=made.aliases,
        train_only=made.train_only,
    )


def _apply(network: Network, source: WeightSource, seed: int) -> None:
    if source.path is None:
        return
    load_weights(
        network.module, read_state_dict(source.path), name=network.name, source=source.path
    )
    if source.kind == "permuted":
        permute_parameters(network.module, seed=seed)


def _load_function(target: str) -> Callable[..., Any]:
    location, _, attribute = target.rpartition(":")
    # What is imported next may import torchvision, which must then be whole.
    import_torchvision()
    module = _load_file(Path(location)) if location.endswith(".py") else _load_module(location)
    function = getattr(module, attribute, None)
    if not callable(function):
        names = [known for known, value in vars(module).items() if callable(value)]
        close = difflib.get_close_matches(attribute, names, n=3)
        hint = f" Close: {', '.join(map(repr, close))}." if close else ""
        raise ValueError(f"{location} must have a function {attribute!r}; it has none.{hint}")
    return function  # type: ignore[no-any-return]


def _load_module(location: str) -> ModuleType:
    try:
        return importlib.import_module(location)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{location}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks something itself
        raise ValueError(
            f"network must name a module that can be imported before its ':'; {location!r} is not "
            "one. Give a file as 'path/to/file.py:function'."
        ) from error


def _load_file(path: Path) -> ModuleType:
    file = path.expanduser().resolve()
    if not file.is_file():
        raise ValueError(f"network must name an existing file before its ':'; there is no {file}.")
    name = f"dnnbrain_cpp_user_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"network must name a Python file before its ':'; {file} is not one.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles of the file look its module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
