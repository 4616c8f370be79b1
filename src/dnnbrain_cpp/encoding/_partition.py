"""Variance partitioning: what each band of features explains alone, and what they share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp._progress import Progress, ProgressCallback, progress_callback
from dnnbrain_cpp.encoding._layers import LayerData, Sources, read_layers
from dnnbrain_cpp.encoding._routes._base import tell
from dnnbrain_cpp.encoding._routes._inner import check_inner_folds, inner_folds
from dnnbrain_cpp.encoding._scoring import score_columns
from dnnbrain_cpp.encoding._targets import Targets, TargetsLike, read_targets
from dnnbrain_cpp.features import Gram
from dnnbrain_cpp.linear import FoldPlan
from dnnbrain_cpp.linear import _ridge_solvers as solvers
from dnnbrain_cpp.linear._alpha_search import check_alphas

__all__ = ["VariancePartition", "variance_partition"]

_MAX_BANDS = 6
_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-3, 5, 17))

Bands = tuple[str, ...]


@dataclass(frozen=True, repr=False, eq=False)
class VariancePartition:
    """Explained variance of every combination of bands, and its parts.

    Attributes
    ----------
    r2 : mapping of tuple of str to ndarray of shape (n_fold, n_vox)
        Cross-validated, of the model with exactly these bands.
    products : mapping of str to ndarray of shape (n_fold, n_vox)
        Each band's share of the model with all of them.
    targets : list
    rois : tuple of str, optional
    """

    r2: Mapping[Bands, NDArray[np.float64]]
    products: Mapping[str, NDArray[np.float64]]
    targets: list[object]
    rois: tuple[str, ...] | None

    @property
    def bands(self) -> Bands:
        """Names of the bands."""
        return tuple(self.products)

    def total(self) -> NDArray[np.float64]:
        """Return R2 of the model with all bands, mean over folds, shape (n_vox,)."""
        return self._mean(self.bands)

    def common(self, *bands: str) -> NDArray[np.float64]:
        """Return what exactly these bands share, and no other, shape (n_vox,).

        By inclusion and exclusion: ``-sum over T in A of (-1)^|T| R2(T and all bands not in A)``.
        Over all combinations the parts sum to `total`. Cross-validated parts may be negative.
        """
        if not bands:
            raise ValueError(f"bands must be of {', '.join(self.bands)}; got none.")
        chosen = self._in_order(bands)
        others = tuple(band for band in self.bands if band not in chosen)
        total = np.zeros(len(self.targets))
        for size in range(len(chosen) + 1):
            for some in itertools.combinations(chosen, size):
                total -= (-1) ** size * self._mean(self._in_order((*others, *some)))
        return total

    def unique(self, band: str) -> NDArray[np.float64]:
        """Return what no other band explains, ``R2(all) - R2(all others)``, shape (n_vox,)."""
        return self.common(band)

    def product(self, band: str) -> NDArray[np.float64]:
        """Return a band's product measure, shape (n_vox,); over bands they sum to `total`.

        ``sum(2 y yhat_b - yhat_b yhat) / sum(y^2)``, with yhat_b the band's part of the prediction
        of all bands, all centred in the held-out rows.
        """
        self._in_order((band,))
        mean: NDArray[np.float64] = self.products[band].mean(0)
        return mean

    def to_frame(self) -> pd.DataFrame:
        """Return one row per combination of bands and target.

        Columns: bands (joined by "+"), n_band, target, [roi,] r2 (of the model with exactly these),
        common (shared by exactly these; for one band its unique part), product (for one band).
        """
        frames = []
        for bands in self.r2:
            columns: dict[str, Any] = {
                "bands": "+".join(bands),
                "n_band": len(bands),
                "target": self.targets,
            }
            if self.rois is not None:
                columns["roi"] = list(self.rois)
            columns["r2"] = self._mean(bands)
            columns["common"] = self.common(*bands)
            columns["product"] = self.product(bands[0]) if len(bands) == 1 else np.nan
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def _mean(self, bands: Bands) -> NDArray[np.float64]:
        if not bands:
            return np.zeros(len(self.targets))
        mean: NDArray[np.float64] = self.r2[bands].mean(0)
        return mean

    def _in_order(self, bands: Bands) -> Bands:
        unknown = [band for band in bands if band not in self.products]
        if unknown:
            raise ValueError(f"bands must be of {', '.join(self.bands)}; got {bands}.")
        return tuple(band for band in self.bands if band in bands)

    def __repr__(self) -> str:
        n_vox = len(self.targets)
        lines = [f"VariancePartition: {len(self.bands)} bands, {n_vox} targets"]
        width = max(map(len, self.bands))
        for band in self.bands:
            unique, product = np.median(self.unique(band)), np.median(self.product(band))
            lines.append(f"  {band:<{width}}  median unique {unique:7.4f}  product {product:7.4f}")
        lines.append(f"  median R2 of all bands {np.median(self.total()):.4f}")
        return "\n".join(lines)


def variance_partition(
    bands: Sources,
    responses: TargetsLike,
    *,
    alphas: ArrayLike = _ALPHAS,
    cv: Any = 5,
    inner_cv: Any = 5,
    groups: ArrayLike | None = None,
    mask: str | os.PathLike[str] | None = None,
    progress: Progress = False,
) -> VariancePartition:
    """Split cross-validated explained variance among bands of features.

    Every combination of bands is fitted as a kernel ridge of the sum of its bands' kernels, with a
    penalty per target, chosen inside the training set.

    Parameters
    ----------
    bands : Features, or mapping of str to array of shape (n_stim, n_feat)
        Two to six: layers, or groups of features. Gram matrices will do.
    responses : Responses, path, DataFrame, or array_like of shape (n_stim, n_vox)
    alphas : array_like of shape (n_alpha,)
        Penalties, positive. Each band's kernel is divided by its mean square pattern in the
        training set, so that bands count alike whatever their number of features and scale.
    cv : int, splitter, FoldPlan, or iterable of (train, test)
        Folds in which R2 is measured.
    inner_cv : int, splitter, or iterable of (train, test)
        Folds inside each training set, for the penalty.
    groups : array_like of shape (n_stim,), optional
        Kept together in outer and inner folds.
    mask : path_like, optional
        For responses that are a NIfTI path.
    progress : bool or callable

    Returns
    -------
    VariancePartition

    Raises
    ------
    ValueError
        For fewer than two or more than six bands, or penalties that are not positive.

    Notes
    -----
    R2 is ``1 - var(y - yhat) / var(y)`` in the held-out rows of a fold, so that parts add up. A
    target that is constant in a fold has NaN.

    Cost: ``2^n_band - 1`` times per fold an eigendecomposition of n_train and a grid search over
    ``n_alpha``; features are touched once.

    References
    ----------
    Commonality: Nimon and Oswald, Organ. Res. Methods 16, 650 (2013). Product measure: Pratt, in
    Proc. 2nd Tampere Conf. Statistics (1987); Dupré la Tour et al., NeuroImage 264, 119728 (2022).
    """
    layers = read_layers(bands)
    if not 2 <= len(layers.data) <= _MAX_BANDS:
        raise ValueError(f"bands must be from 2 to {_MAX_BANDS}; got {len(layers.data)}.")
    grid = check_alphas(alphas, positive=True)
    targets = read_targets(responses, mask).joined(layers.ids)
    n_stim = len(targets.data)
    layers.check_n_stim(n_stim)
    folds = FoldPlan.make(cv, n_stim=n_stim, groups=groups)
    check_inner_folds(inner_cv, folds, groups, name="inner_cv")
    inner = [inner_folds(inner_cv, train, groups) for train, _ in folds]
    with progress_callback(progress, "variance partition") as report:
        return _partition(layers.data, targets, folds, inner, grid, report)


def _partition(
    layers: Mapping[str, LayerData],
    targets: Targets,
    folds: FoldPlan,
    inner: list[FoldPlan],
    alphas: torch.Tensor,
    report: ProgressCallback | None,
) -> VariancePartition:
    names = tuple(layers)
    subsets = [
        some for size in range(1, len(names) + 1) for some in itertools.combinations(names, size)
    ]
    kernels = {
        name: as_tensor((layer if isinstance(layer, Gram) else Gram.from_features(layer)).kernel)
        for name, layer in layers.items()
    }
    r2: dict[Bands, list[NDArray[np.float64]]] = {subset: [] for subset in subsets}
    products: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    done = itertools.count(1)
    for (train, test), rows, within in zip(folds, folds.tensors(), inner, strict=True):
        parts = {name: _centred(kernel, *rows) for name, kernel in kernels.items()}
        measured = targets.data[test].astype(np.float64)
        for subset in subsets:
            predicted = _predict_bands(
                [parts[name] for name in subset], targets.data[train], within, alphas
            )
            r2[subset].append(score_columns(measured, np.sum(predicted, axis=0), "ev"))
            if subset == names:
                for name, share in zip(names, _product_measure(measured, predicted), strict=True):
                    products[name].append(share)
            tell(report, next(done), len(folds) * len(subsets))
    return VariancePartition(
        {subset: np.stack(rows) for subset, rows in r2.items()},
        {name: np.stack(rows) for name, rows in products.items()},
        list(range(targets.data.shape[1])) if targets.names is None else list(targets.names),
        targets.rois,
    )


def _centred(
    kernel: torch.Tensor, train: torch.Tensor, test: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a kernel's training and held-out parts about the training mean, at unit scale."""
    inside = kernel[train][:, train]
    across = kernel[test][:, train]
    column = inside.mean(0, keepdim=True)
    grand = column.mean()
    inside = inside - column - column.T + grand
    across = across - across.mean(1, keepdim=True) - column + grand
    scale = float(inside.trace()) / len(train)
    # A band that does not vary explains nothing, at any scale.
    scale = scale if scale > 0 else 1.0
    return inside / scale, across / scale


def _predict_bands(
    parts: list[tuple[torch.Tensor, torch.Tensor]],
    responses: NDArray[Any],
    inner: FoldPlan,
    alphas: torch.Tensor,
) -> list[NDArray[np.float64]]:
    """Return what each band adds to the held-out predictions, about the training mean."""
    measured = as_tensor(responses)
    design = solvers.make_design(measured[:, :0], measured, fit_intercept=True)
    kernel = torch.stack([inside for inside, _ in parts]).sum(0)
    factor = core.KernelFactor(kernel, design.nuisance)
    scores, _ = solvers.score_kernel(factor, design, inner.tensors(), alphas)
    best, _ = solvers.best_alphas(scores, alphas, per_target=True, dtype=measured.dtype)
    dual = factor.solve(measured, best)
    return [(across @ dual.to(torch.float64)).numpy() for _, across in parts]


def _product_measure(
    measured: NDArray[np.float64], predicted: list[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    y = measured - measured.mean(0)
    bands = [part - part.mean(0) for part in predicted]
    whole = np.sum(bands, axis=0)
    square = (y * y).sum(0)
    square[(measured == measured[0]).all(0)] = np.nan
    return [((2 * y - whole) * part).sum(0) / square for part in bands]
