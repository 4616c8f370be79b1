"""RSA around every voxel of a volume or vertex of a surface."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import as_float_array, check_finite, check_integer
from dnnbrain_cpp.exceptions import UndefinedRDMWarning
from dnnbrain_cpp.io import Responses, VolumeGeometry, as_geometry, image_responses, read_responses
from dnnbrain_cpp.rsa._coerce import RDMsLike
from dnnbrain_cpp.rsa._conditions import Labels
from dnnbrain_cpp.rsa._local import (
    LocalData,
    channel_rows,
    check_local_method,
    match_models,
    run_patterns,
)
from dnnbrain_cpp.rsa._neighbours import Neighbours, in_ball, on_surface
from dnnbrain_cpp.rsa._rdms import RDM

__all__ = ["SearchlightResult", "searchlight"]

_RADIUS = 10.0  # mm


@dataclass(frozen=True, repr=False, eq=False)
class SearchlightResult:
    """Scores of models around each voxel.

    Attributes
    ----------
    scores : ndarray of shape (n_model, n_vox)
        NaN where a neighbourhood is too small, or its RDM or the comparator is not defined.
    n_neighbours : ndarray of shape (n_vox,), int
        Voxels of each neighbourhood, the centre included.
    models : tuple of str
    method, metric : str
    radius : float or None
        In mm; None for direct neighbours.
    ids : tuple of str or None
        Conditions, in the order of `rdms`.
    geometry : VolumeGeometry or None
        Where the voxels lie.
    rdms : ndarray of shape (n_vox, n_pair) or None
        Condensed RDMs, NaN where not defined; only if they were to be kept.
    """

    scores: NDArray[np.float64]
    n_neighbours: NDArray[np.int64]
    models: tuple[str, ...]
    method: str
    metric: str
    radius: float | None
    ids: tuple[str, ...] | None
    geometry: VolumeGeometry | None
    rdms: NDArray[np.float64] | None

    def map(self, model: str | int = 0) -> NDArray[np.float64]:
        """Return the scores of a model, shape (n_vox,)."""
        if isinstance(model, str):
            if model not in self.models:
                raise KeyError(f"no model {model!r}; there are {', '.join(self.models)}")
            model = self.models.index(model)
        out: NDArray[np.float64] = self.scores[model]
        return out

    def rdm(self, voxel: int) -> RDM:
        """Return the RDM around a voxel, if RDMs were kept."""
        if self.rdms is None:
            raise ValueError("RDMs were not kept; call searchlight with keep_rdms=True.")
        return RDM(self.rdms[voxel], ids=self.ids, name=f"voxel-{voxel}", metric=self.metric)

    def to_img(self, model: str | int | None = None) -> Any:
        """Return the map of a model, or of all as the fourth axis, as a NIfTI image.

        float32 with the affine of the mask, NaN outside it and where there is no score.
        """
        if self.geometry is None:
            raise ValueError(
                "an image needs the places of voxels, and these have none. Give a mask, or see "
                "`scores`."
            )
        return self.geometry.to_img(self.scores if model is None else self.map(model))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per voxel: place in mm where known, neighbours, a column per model."""
        columns: dict[str, Any] = {}
        if self.geometry is not None:
            places = np.argwhere(self.geometry.inside)
            in_mm = places @ self.geometry.affine[:3, :3].T + self.geometry.affine[:3, 3]
            columns |= dict(zip(("x_mm", "y_mm", "z_mm"), in_mm.T, strict=True))
        columns["n_neighbours"] = self.n_neighbours
        columns |= dict(zip(self.models, self.scores, strict=True))
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        n_scored = int(np.isfinite(self.scores).any(0).sum()) if len(self.scores) else 0
        lines = [
            f"SearchlightResult: {len(self.models)} models, {self.scores.shape[1]} voxels "
            f"({n_scored} with a score), {self.method} of {self.metric} RDMs, median "
            f"neighbourhood {np.median(self.n_neighbours):.0f}"
        ]
        for name, scores in zip(self.models, self.scores, strict=True):
            if np.isfinite(scores).any():
                lines.append(
                    f"  {name}: mean {np.nanmean(scores):.4g}, highest {np.nanmax(scores):.4g} "
                    f"at voxel {int(np.nanargmax(scores))}"
                )
        return "\n".join(lines)


def searchlight(
    img: Responses | ArrayLike | str | os.PathLike[str] | Any,
    mask: VolumeGeometry | str | os.PathLike[str] | Any | None = None,
    *,
    models: RDMsLike | None = None,
    radius: float | None = None,
    adjacency: Any | None = None,
    metric: str = "correlation",
    method: str = "spearman",
    conditions: Labels | None = None,
    runs: Labels | None = None,
    min_voxels: int = 5,
    keep_rdms: bool = False,
    n_threads: int | None = None,
    progress: Progress = False,
) -> SearchlightResult:
    """Compare models with the RDM of the voxels around each voxel.

    Parameters
    ----------
    img : path, nibabel image, Responses, or array_like of shape (n_obs, n_vox)
        A volume, or row, for each condition; or several, with `conditions`.
    mask : path, nibabel image or VolumeGeometry, optional
        Voxels that are looked at, as centres and as neighbours: searchlights are truncated at its
        border. On the grid of `img`; by default all voxels of a volume, or those of the responses.
    models : RDMs or array_like, optional
        Joined to `conditions` by id where both have ids, by order otherwise. Without them, RDMs are
        formed and kept.
    radius : float, optional
        In mm by the affine, from centre to centre, the bound included; 10 by default. With
        `adjacency`: along the edges, whose lengths its values are; by default direct neighbours.
    adjacency : sparse or array_like of shape (n_vox, n_vox), optional
        Of a surface: which vertices are neighbours. Instead of a mask.
    metric : {"correlation", "cosine", "euclidean", "sqeuclidean", "crossnobis"}
        Between patterns over the voxels of a searchlight, as in `rdm`. ``"crossnobis"``: squared
        differences crossvalidated over `runs`, divided by the number of voxels. Divide each voxel
        by its noise first; noise is not decorrelated between voxels here.
    method : str
        Comparator, see `compare`.
    conditions : sequence of length n_obs, optional
        What each volume shows; volumes of one condition are averaged (in each run, for crossnobis).
        By default the ids of the responses, if any.
    runs : sequence of length n_obs, optional
        For crossnobis: which run a volume belongs to. Every run must have every condition.
    min_voxels : int
        Smaller searchlights have no score.
    keep_rdms : bool
        Return all RDMs, 8 n_pair bytes a voxel.
    n_threads : int, optional
        By default ``torch.get_num_threads()``. Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    SearchlightResult

    Raises
    ------
    ValueError
        For NaN among the voxels, images on different grids, unequal conditions, or if no
        searchlight has `min_voxels`.

    Warns
    -----
    UndefinedRDMWarning
        If patterns are constant (correlation) or zero (cosine) in some searchlights.

    Notes
    -----
    Kriegeskorte, Goebel & Bandettini (2006). In fp64, for p voxels in a searchlight: n^2 p FLOP
    (times 1 + runs for crossnobis), one ranking of n_pair values where the method ranks, and
    2 n_pair FLOP a model. Memory: the data in fp64, 4 bytes for each voxel of each searchlight, and
    the scores.

    A searchlight's score belongs to its centre, but speaks of all its voxels. For inference over
    subjects, see `stats.cluster_test`.
    """
    method = check_local_method(method)
    min_voxels = check_integer(min_voxels, "min_voxels", minimum=1)
    values, geometry, ids = _read(img, mask, adjacency)
    check_finite(values, "img")
    patterns = run_patterns(
        values, conditions=ids if conditions is None else conditions, runs=runs, metric=metric
    )
    if models is None and not keep_rdms:
        raise ValueError("there must be models to compare with, or keep_rdms=True.")
    rdms = (
        None
        if models is None
        else match_models(models, method, n_cond=patterns.n_cond, ids=patterns.ids)
    )
    neighbours, radius = _neighbours(geometry, adjacency, values.shape[1], radius)
    looked_at = neighbours.with_at_least(min_voxels)
    if not len(looked_at.members):
        raise ValueError(
            f"a searchlight must have {min_voxels} voxels to be looked at; the largest has "
            f"{neighbours.counts.max()}. Take a larger radius, or a smaller min_voxels."
        )
    local = LocalData(
        channel_rows(patterns, metric),
        patterns.n_cond,
        patterns.n_run,
        metric,
        looked_at,
    )
    with progress_callback(progress, "searchlight") as report:
        scores, kept = local.score(
            rdms,
            method,
            keep_rdms=keep_rdms,
            n_threads=resolve_n_threads(n_threads),
            report=report,
        )
    some = scores[:, 0] if rdms is not None else kept[:, 0]
    _warn_of_undefined(int(np.isnan(some[looked_at.counts > 0]).sum()), metric)
    return SearchlightResult(
        scores=np.ascontiguousarray(scores.T),
        n_neighbours=neighbours.counts,
        models=() if rdms is None else rdms.names,
        method=method,
        metric=metric,
        radius=radius,
        ids=patterns.ids,
        geometry=geometry,
        rdms=kept if keep_rdms else None,
    )


def _warn_of_undefined(n_undefined: int, metric: str) -> None:
    if n_undefined:
        what = "constant" if metric == "correlation" else "zero"
        warnings.warn(
            f"{n_undefined} searchlights have no score: a pattern in them, or their RDM, is "
            f"{what}. Leave voxels without signal out of the mask.",
            UndefinedRDMWarning,
            stacklevel=3,
        )


def _neighbours(
    geometry: VolumeGeometry | None, adjacency: Any | None, n_vox: int, radius: float | None
) -> tuple[Neighbours, float | None]:
    if radius is not None and not radius > 0:
        raise ValueError(f"radius must be positive, in mm; got {radius}.")
    if adjacency is not None:
        return on_surface(adjacency, n_vox, radius), radius
    if geometry is None:
        raise ValueError(
            "a searchlight must know where voxels lie: give a mask, or adjacency= of a surface."
        )
    radius = _RADIUS if radius is None else float(radius)
    return in_ball(geometry, radius), radius


def _read(
    img: Any, mask: Any, adjacency: Any | None
) -> tuple[NDArray[Any], VolumeGeometry | None, tuple[str, ...] | None]:
    """Return values of shape (n_obs, n_vox), where the voxels lie, and ids."""
    if adjacency is not None and mask is not None:
        raise ValueError("mask and adjacency exclude each other; give one of them.")
    if isinstance(img, Responses):
        if mask is not None:
            raise ValueError("responses have a mask already; leave mask= out.")
        return img.data, img.geometry, img.ids
    if isinstance(img, str | os.PathLike):
        if mask is None or isinstance(mask, str | os.PathLike):
            found = read_responses(img, mask=mask)
            return found.data, found.geometry, found.ids
        import nibabel as nib

        img = nib.load(Path(img))
    if hasattr(img, "dataobj"):
        found = image_responses(img, mask=mask)
        return found.data, found.geometry, found.ids
    values = as_float_array(img, "img", ndim=2)
    geometry = None if mask is None else as_geometry(mask)
    if geometry is not None and geometry.n_vox != values.shape[1]:
        raise ValueError(
            f"img must have a column for each voxel of the mask, {geometry.n_vox}; got "
            f"{values.shape[1]}."
        )
    return values, geometry, None
