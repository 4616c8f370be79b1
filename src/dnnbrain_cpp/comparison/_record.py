"""What a run did, as plain data for ``run.json``."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dnnbrain_cpp._native import build_info
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.networks import Network
from dnnbrain_cpp.transforms import Transform

if TYPE_CHECKING:
    from dnnbrain_cpp.comparison._settings import Settings

__all__ = ["Clock", "environment_record", "network_record", "settings_record"]

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pandas",
    "pillow",
    "scikit-learn",
    "nibabel",
    "h5py",
    "matplotlib",
)


class Clock:
    """Seconds that each kind of step took, over all networks."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Count the time inside the block for `step`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[step] = self._seconds.get(step, 0.0) + time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each step so far."""
        return {step: round(seconds, 3) for step, seconds in self._seconds.items()}


def network_record(network: Network, features: Features) -> dict[str, Any]:
    """Return what a network is, and the layers that were looked at."""
    alias_of = {path: alias for alias, path in network.aliases.items()}
    table = network.layer_table()
    types = dict(zip(table["layer"], table["type"], strict=True))
    transform = network.transform
    words = repr(transform)
    if isinstance(transform, Transform):
        words = words.removeprefix("Transform(").removesuffix(")")
    return {
        "name": network.name,
        "weights": network.weights or "as given",
        "seed": network.seed,
        "transform": transform.to_dict() if isinstance(transform, Transform) else words,
        "transform_in_words": words,
        "layers": [
            {
                "layer": name,
                "label": alias_of.get(name, name),
                "type": types.get(name, ""),
                "activation": list(features.shapes.get(name, ())),
                "reduce": features.reduce.get(name, ""),
                "n_feat": layer.n_feat if isinstance(layer, Gram) else int(layer.shape[1]),
            }
            for name, layer in features.items()
        ],
        "fidelity": features.fidelity,
    }


def settings_record(settings: Settings) -> dict[str, Any]:
    """Return the settings of a run in words and numbers."""
    layers, reduce = settings.layers, settings.reduce
    extraction = {
        name: value if value is None or isinstance(value, int | str) else str(value)
        for name, value in settings.extraction.items()
    }
    return {
        "layers": layers if layers is None or isinstance(layers, str) else list(layers),
        "reduce": dict(reduce) if isinstance(reduce, Mapping) else reduce,
        "metric": settings.metric,
        "method": settings.method,
        "n_perm": settings.n_perm,
        "alternative": settings.alternative,
        "noise_ceiling": "mean-rdm",
        "estimator": None if settings.estimator is None else repr(settings.estimator),
        "cv": settings.cv if isinstance(settings.cv, int) else repr(settings.cv),
        "groups": settings.groups is not None,
        "random_state": settings.seed,
        **extraction,
    }


def environment_record() -> dict[str, Any]:
    """Return the versions of everything that numbers may depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # an optional one
            continue
    return {
        "platform": platform.platform(),
        "versions": versions,
        "build_info": build_info(),
    }
