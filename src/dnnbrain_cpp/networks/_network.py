"""A network as the rest of the package sees it: a module, its layers and its input."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from dnnbrain_cpp import transforms
from dnnbrain_cpp.networks._layers import callable_modules, leaf_paths, resolve_patterns

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageTransform", "Network"]

ImageTransform = Callable[["Image"], torch.Tensor]
"""From one RGB image to one float32 tensor of shape (3, n_row, n_col)."""

_N_SHOWN = 3


class Network:
    """Any `torch.nn.Module`, with the layers to look at and the transform of its images.

    The module is used as it is and never changed: what `evaluating` switches, it switches back.

    Parameters
    ----------
    module : torch.nn.Module
        The network; its forward takes one tensor of shape (n_stim, n_chn, n_row, n_col).
    layers : str or sequence of str, optional
        Patterns of the layers that are looked at unless a call says otherwise; see `resolve`.
        By default all modules without children.
    transform : callable, optional
        From one RGB image to one float32 tensor (n_chn, n_row, n_col). By default
        ``transforms.resize_crop()``: shorter side to 256, central 224 x 224, ImageNet's mean and
        standard deviation.
    name : str, optional
        Used in tables and figures; the class of the module by default.
    weights : str, optional
        Where the weights come from, kept for the record.
    seed : int, optional
        The seed of random or permuted weights, kept for the record.
    aliases : mapping of str to str, optional
        Further names of layers, each with the path of its module.
    train_only : sequence of str, optional
        Paths of modules that run in training mode only, such as auxiliary outputs. Globs, types
        and the default selection pass over them.

    Raises
    ------
    TypeError
        If `module` is not a module or `transform` cannot be called.
    ValueError
        If a pattern or an alias matches nothing, or the module is not ready to run.

    Examples
    --------
    >>> from torch import nn
    >>> network = Network(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), name="small")
    >>> network.layers
    ['0', '1']
    >>> network.resolve("type:ReLU")
    ['1']
    """

    def __init__(
        self,
        module: nn.Module,
        layers: str | Sequence[str] | None = None,
        *,
        transform: ImageTransform | None = None,
        name: str | None = None,
        weights: str | None = None,
        seed: int | None = None,
        aliases: Mapping[str, str] | None = None,
        train_only: Sequence[str] = (),
    ) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(_not_a_module_message(module))
        if transform is not None and not callable(transform):
            raise TypeError(
                f"transform must be a function of one image; got {transform!r}. "
                "See dnnbrain_cpp.transforms."
            )
        self.module = module
        self.name = type(module).__name__ if name is None else name
        self.transform = transforms.resize_crop() if transform is None else transform
        self.weights = weights
        self.seed = seed
        self.aliases = dict(aliases or {})
        self.train_only = tuple(train_only)
        self._check_module()
        if layers is None:
            self._layers = leaf_paths(module, train_only=self.train_only)
        else:
            self._layers = self.resolve(layers)

    def _check_module(self) -> None:
        modules = callable_modules(self.module)
        if not modules:
            raise ValueError(
                f"module must have at least one module inside it; {self.name} has none. "
                "Wrap it: torch.nn.Sequential(module)."
            )
        lazy = UninitializedParameter | UninitializedBuffer
        if any(isinstance(tensor, lazy) for tensor in _tensors(self.module)):
            raise ValueError(
                f"module must have all its parameters; some of {self.name} are not initialised. "
                "Run it once on a batch of the right shape."
            )
        for alias, path in self.aliases.items():
            if path not in modules:
                raise ValueError(
                    f"aliases must point to modules of {self.name}; {alias!r} points to {path!r}, "
                    "which does not exist."
                )

    @property
    def layers(self) -> list[str]:
        """Module paths of the default selection, in order of registration."""
        return list(self._layers)

    def layer_table(self) -> pd.DataFrame:
        """Return everything that can be named as a layer.

        Returns
        -------
        pandas.DataFrame
            One row per module, in order of registration: ``layer`` (its path), ``type`` (its
            class), ``alias`` (a second name, or empty) and ``n_params`` (of the module and all
            below it, so rows of containers include those of their parts).
        """
        alias_of = {path: alias for alias, path in reversed(self.aliases.items())}
        rows = [
            (
                path,
                type(child).__name__,
                alias_of.get(path, ""),
                sum(parameter.numel() for parameter in child.parameters()),
            )
            for path, child in callable_modules(self.module).items()
        ]
        return pd.DataFrame(rows, columns=["layer", "type", "alias", "n_params"])

    def resolve(self, patterns: str | Sequence[str]) -> list[str]:
        """Return the module paths that `patterns` stand for.

        Parameters
        ----------
        patterns : str or sequence of str
            Each one of: a path (``"layer1.0"``; containers too); an alias (``"conv1_relu"``); a
            glob over paths and aliases (``"features.*"``, ``"conv*_relu"``), which of a container
            and its parts takes the parts; or a class (``"type:ReLU"``, ``"type:Conv*"``).

        Returns
        -------
        list of str
            In order of registration in the module, each once, whatever the order of `patterns`.
            A module that is registered twice has its first path.

        Raises
        ------
        TypeError
            If a pattern is not a string.
        ValueError
            If there is no pattern, or one matches nothing; the message names close matches.
        """
        return resolve_patterns(
            self.module,
            patterns,
            aliases=self.aliases,
            train_only=self.train_only,
            name=self.name,
        )

    @contextmanager
    def evaluating(self, device: str | torch.device | None = None) -> Iterator[Self]:
        """Put the module into evaluation mode, on `device`; restore both at the end.

        The mode is kept and restored for each submodule by itself, so a network that is half
        frozen comes back half frozen. Parameters keep their ``requires_grad``, hooks stay.

        Parameters
        ----------
        device : str or torch.device, optional
            Where the module is to run; by default where it is.

        Yields
        ------
        Network
            This network.

        Raises
        ------
        ValueError
            If `device` does not exist here, or the module lies on several devices and cannot be
            moved as one.
        """
        origin = None if device is None else self._origin(_usable_device(device))
        modes = [(child, child.training) for child in self.module.modules()]
        try:
            if origin is not None:
                self.module.to(device)
            # The flag itself, not eval(): a module that overrides train() must not act twice.
            for child, _ in modes:
                child.training = False
            yield self
        finally:
            for child, mode in modes:
                child.training = mode
            if origin is not None:
                self.module.to(origin)

    def _origin(self, target: torch.device) -> torch.device | None:
        """Where the module must return to after a stay on `target`; None if it is there."""
        devices = {tensor.device for tensor in _tensors(self.module)}
        if devices <= {target}:
            return None
        if len(devices) > 1:
            listed = ", ".join(sorted(map(str, devices)))
            raise ValueError(
                f"a module must lie on one device to be moved; {self.name} lies on {listed}. "
                "Leave device at None to run it where it is."
            )
        return devices.pop()

    def __call__(self, pixels: torch.Tensor) -> Any:
        """Run the module on `pixels` as it stands: its mode, its device, its gradients."""
        return self.module(pixels)

    def _summary(self) -> dict[str, str]:
        n_leaf = len(leaf_paths(self.module, train_only=self.train_only))
        shown = self._layers
        if len(shown) > 2 * _N_SHOWN:
            shown = [*shown[:_N_SHOWN], "...", *shown[-_N_SHOWN:]]
        tensors = _tensors(self.module)
        places = sorted({str(tensor.device) for tensor in tensors}) or ["no device"]
        n_params = sum(parameter.numel() for parameter in self.module.parameters())
        seed = "" if self.seed is None else f", seed {self.seed}"
        return {
            "weights": f"{self.weights or 'as given'}{seed}",
            "transform": repr(self.transform),
            "layers": f"{len(self._layers)} selected, {n_leaf} leaves: {', '.join(shown)}",
            "parameters": f"{n_params:,} on {', '.join(places)}",
        }

    def __repr__(self) -> str:
        lines = [f"  {key:<10}  {value}" for key, value in self._summary().items()]
        return "\n".join([f"Network {self.name}", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{key}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for key, value in self._summary().items()
        )
        return f"<table><caption>Network {html.escape(self.name)}</caption>{rows}</table>"


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _usable_device(device: str | torch.device) -> torch.device:
    try:
        # The tensor's own device has an index ("cuda" is "cuda:0"), as those of parameters have.
        return torch.empty(0, device=device).device
    except (AssertionError, RuntimeError, NotImplementedError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(
            f"device must be one that torch can use here; got {str(device)!r} ({reason}). "
            "Use 'cpu', or leave it at None."
        ) from error


def _not_a_module_message(value: object) -> str:
    remedy = "Pass the network itself."
    if isinstance(value, type) and issubclass(value, nn.Module):
        remedy = f"Make an instance of it: {value.__name__}(...)."
    elif isinstance(value, str):
        remedy = f"Build a network from its name: networks.create({value!r})."
    elif isinstance(value, Mapping):
        remedy = "Build the network first and load the state dict into it."
    shown = repr(value) if isinstance(value, str | type) else f"an object of {type(value)}"
    return f"module must be a torch.nn.Module; got {shown}. {remedy}"
