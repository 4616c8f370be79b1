"""What a named network is, and how its constructor makes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from dnnbrain_cpp import transforms
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.networks._aliases import ALIASES
from dnnbrain_cpp.networks._network import ImageTransform, Network
from dnnbrain_cpp.networks._state_dict import load_weights, n_outputs, read_state_dict
from dnnbrain_cpp.networks._weights import (
    Weights,
    permute_parameters,
    seeded,
    weight_source,
)

__all__ = ["Architecture", "Constructor", "constructor"]

_N_CLASSES = 1000


@dataclass(frozen=True)
class Architecture:
    """A network that this package knows by name.

    Parameters
    ----------
    name : str
    title : str
        First sentence of the constructor's documentation.
    reference : str
        The paper.
    build : callable
        From the number of classes to a module in its own initialisation.
    head : str
        Name of the weight whose first dimension is the number of classes.
    resize, crop : int
        The default transform, in pixels.
    train_only : tuple of str
        Modules that do not run in evaluation mode.
    pretrained : callable, optional
        From torchvision's weights (name or enum member) to the module that has them and the
        transform that they were trained for.
    """

    name: str
    title: str
    reference: str
    build: Callable[[int], nn.Module]
    head: str
    resize: int = 256
    crop: int = 224
    train_only: tuple[str, ...] = ()
    pretrained: Callable[[Weights], tuple[nn.Module, ImageTransform]] | None = None


class Constructor(Protocol):
    """The signature that all constructors share."""

    __name__: str

    def __call__(
        self,
        *,
        weights: Weights = "random",
        seed: int = 0,
        layers: str | Sequence[str] | None = None,
        transform: ImageTransform | None = None,
        n_classes: int | None = None,
    ) -> Network: ...


_DOCUMENTATION = """{title}

    Parameters
    ----------
    weights : str, path_like or torchvision weights enum, default "random"
        ``"random"``: the module's own initialisation after ``torch.manual_seed(seed)``. A path:
        that state dict or ``.safetensors`` file, all names and shapes checked.
        ``"permuted:PATH"``: the file's values, shuffled by `seed` within each parameter tensor.
        ``"torchvision:NAME"`` (such as ``IMAGENET1K_V1``) or a member of torchvision's enum:
        those weights, downloaded if they are not in torch's cache{pretrained}.
    seed : int, default 0
        Of random and permuted weights. The global random state is not touched.
    layers : str or sequence of str, optional
        Patterns of the default layers, see `Network.resolve`; all leaf modules by default.
    transform : callable, optional
        Shorter side to {resize} pixels, central {crop} x {crop} and ImageNet's normalisation by
        default.
    n_classes : int, optional
        Size of the output layer: that of the weights by default, {n_classes} for random ones.

    Returns
    -------
    Network

    Raises
    ------
    FileNotFoundError
        If there is no file of weights.
    ValueError
        If the weights cannot be read or do not fit, or a pattern matches nothing.

    References
    ----------
    {reference}
    """


def constructor(architecture: Architecture) -> Constructor:
    """Return the public function that makes networks of `architecture`."""

    def construct(
        *,
        weights: Weights = "random",
        seed: int = 0,
        layers: str | Sequence[str] | None = None,
        transform: ImageTransform | None = None,
        n_classes: int | None = None,
    ) -> Network:
        source = weight_source(weights)
        seed = check_integer(seed, "seed", minimum=0)
        if n_classes is not None:
            n_classes = check_integer(n_classes, "n_classes", minimum=1)
        if source.kind == "torchvision":
            module, trained_for = _pretrained(architecture, weights, n_classes)
        else:
            module = _own(architecture, source.path, seed, n_classes)
            trained_for = transforms.resize_crop(architecture.resize, architecture.crop)
        if source.kind == "permuted":
            permute_parameters(module, seed=seed)
        return Network(
            module,
            layers,
            transform=trained_for if transform is None else transform,
            name=architecture.name,
            weights=str(source),
            seed=seed if source.has_seed else None,
            aliases=ALIASES.get(architecture.name),
            train_only=architecture.train_only,
        )

    construct.__module__ = "dnnbrain_cpp.networks"
    construct.__name__ = construct.__qualname__ = architecture.name
    construct.__doc__ = _DOCUMENTATION.format(
        title=architecture.title,
        reference=architecture.reference,
        resize=architecture.resize,
        crop=architecture.crop,
        n_classes=_N_CLASSES,
        pretrained="" if architecture.pretrained else "; this network has none",
    )
    return construct


def _own(
    architecture: Architecture, path: str | None, seed: int, n_classes: int | None
) -> nn.Module:
    """Build the module here, with random weights or those of the file at `path`."""
    state = None if path is None else read_state_dict(path)
    if n_classes is None and state is not None:
        n_classes = n_outputs(state, architecture.head)
    with seeded(seed):
        module = architecture.build(n_classes or _N_CLASSES)
    if state is not None:
        load_weights(module, state, name=architecture.name, source=str(path))
    return module


def _pretrained(
    architecture: Architecture, weights: Weights, n_classes: int | None
) -> tuple[nn.Module, ImageTransform]:
    if architecture.pretrained is None:
        raise ValueError(
            f"weights of {architecture.name} must be 'random', a path or 'permuted:PATH'; got "
            f"{str(weights)!r}, and torchvision does not have this network."
        )
    if n_classes not in (None, _N_CLASSES):
        raise ValueError(
            f"n_classes must be {_N_CLASSES} with weights of torchvision; got {n_classes}. "
            "Leave it out, or use other weights."
        )
    return architecture.pretrained(weights)
