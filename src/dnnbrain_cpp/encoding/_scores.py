"""Cross-validated scores per layer, fold and target."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp.encoding import _maps
from dnnbrain_cpp.encoding._layers import Part
from dnnbrain_cpp.encoding._scoring import better_is_less
from dnnbrain_cpp.io import VolumeGeometry

__all__ = ["Scores"]


class Scores:
    """Scores of an encoding model, a decoder or a probe.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_fold, n_vox)
        Per layer, or per channel or position of one. NaN where a target is constant in the held-out
        stimuli. One row where predictions were pooled over folds.
    scoring : str
        What the scores are.
    route : mapping of str to str
        Per layer, what ran: natively, or through scikit-learn and why.
    targets : sequence, optional
        Names of the targets; by default their numbers.
    rois : sequence of str, optional
        Region of each target.
    fold_average : {"mean", "pooled"}
        Whether there is a score per fold, or one over all held-out predictions.
    parts : mapping of str to Part, optional
        Which channel or position of which layer a name stands for.
    geometry : VolumeGeometry, optional
        Where the targets lie; needed to write volumes.
    predictions : mapping of str to ndarray of shape (n_stim, n_vox), optional
        Held-out predictions per layer, NaN for stimuli that no fold held out.
    chance : sequence of float of length n_vox, optional
        What a guess scores, per target.
    """

    def __init__(
        self,
        scores: Mapping[str, NDArray[np.float64]],
        *,
        scoring: str,
        route: Mapping[str, str],
        targets: Sequence[object] | None = None,
        rois: Sequence[str] | None = None,
        fold_average: str = "mean",
        parts: Mapping[str, Part] | None = None,
        geometry: VolumeGeometry | None = None,
        predictions: Mapping[str, NDArray[Any]] | None = None,
        chance: Sequence[float] | None = None,
    ) -> None:
        self.scores = dict(scores)
        self.scoring = scoring
        self.route = dict(route)
        n_vox = next(iter(self.scores.values())).shape[1]
        self.targets = list(range(n_vox)) if targets is None else list(targets)
        self.rois = None if rois is None else tuple(rois)
        self.fold_average = fold_average
        self.parts = {name: Part(name, {}) for name in self.scores} if parts is None else parts
        self.geometry = geometry
        self.chance = None if chance is None else np.asarray(chance, dtype=np.float64)
        self._predictions = predictions

    @property
    def layers(self) -> list[str]:
        """Names of the layers, or of their channels or positions."""
        return list(self.scores)

    @property
    def n_vox(self) -> int:
        """Number of targets."""
        return len(self.targets)

    @property
    def predictions(self) -> dict[str, NDArray[Any]]:
        """Held-out predictions per layer, shape (n_stim, n_vox).

        Rows are in the order of the features. A stimulus that was held out several times has the
        mean of its predictions; one that never was, NaN.
        """
        if self._predictions is None:
            raise AttributeError(
                "predictions were not kept; ask for them with return_predictions=True."
            )
        return dict(self._predictions)

    @property
    def fallbacks(self) -> dict[str, str]:
        """Layers that did not run natively, and why."""
        return {
            layer: note.rpartition("; ")[2]
            for layer, note in self.route.items()
            if not note.startswith("native")
        }

    def mean(self, layer: str) -> NDArray[np.float64]:
        """Return each target's mean over folds, shape (n_vox,); folds without a score left out."""
        folds = self.scores[layer]
        counted = np.isfinite(folds)
        n_fold = counted.sum(0)
        total = np.where(counted, folds, 0.0).sum(0)
        return np.where(n_fold > 0, total / np.maximum(n_fold, 1), np.nan)

    def means(self) -> NDArray[np.float64]:
        """Return the mean over folds of all layers, shape (n_layer, n_vox)."""
        return np.stack([self.mean(layer) for layer in self.layers])

    def to_frame(self) -> pd.DataFrame:
        """Return one row per layer, target and fold.

        Columns: layer, [channel | row, column,] target, [roi,] [fold,] score. Without folds where
        predictions were pooled.
        """
        frames = []
        for name, folds in self.scores.items():
            n_fold, n_vox = folds.shape
            columns: dict[str, Any] = {"layer": self.parts[name].layer, **self.parts[name].place}
            columns["target"] = np.tile(np.asarray(self.targets), n_fold)
            if self.rois is not None:
                columns["roi"] = np.tile(np.asarray(self.rois), n_fold)
            if self.fold_average == "mean":
                columns["fold"] = np.repeat(np.arange(n_fold), n_vox)
            columns["score"] = folds.ravel()
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def to_xarray(self) -> Any:
        """Return an `xarray.DataArray` over (layer, fold, target), with all that is known of each.

        Coordinates: the names of layers and targets, ``roi``, and ``channel`` or ``row`` and
        ``column`` of each layer's part. Without the axis of folds where predictions were pooled.
        """
        import xarray as xr

        values = np.stack(list(self.scores.values()))
        coords: dict[str, Any] = {"layer": self.layers, "target": self.targets}
        if self.rois is not None:
            coords["roi"] = ("target", list(self.rois))
        for axis in self._first_part().place:
            coords[axis] = ("layer", [self.parts[name].place[axis] for name in self.layers])
        dims = ["layer", "fold", "target"]
        if self.fold_average == "mean":
            coords["fold"] = np.arange(values.shape[1])
        else:
            values, dims = values[:, 0], ["layer", "target"]
        attributes = {"scoring": self.scoring, "fold_average": self.fold_average}
        return xr.DataArray(values, coords=coords, dims=dims, name="score", attrs=attributes)

    def to_img(
        self, layer: str | None = None, *, mask: _maps.Mask | None = None, values: Any = None
    ) -> Any:
        """Return mean scores as a NIfTI image, NaN outside the mask.

        Parameters
        ----------
        layer : str, optional
            By default all layers, along the fourth axis in the order of `layers`.
        mask : VolumeGeometry, Responses, or path, optional
            Where the targets lie. By default as read with the responses.
        values : array_like of shape (n_vox,) or (k, n_vox), optional
            Write these in place of the scores, such as p-values or `best_layer`'s numbers.

        Returns
        -------
        nibabel.Nifti1Image or nibabel.Nifti2Image
            float32, with affine, zooms, units and codes of the source.

        Raises
        ------
        ValueError
            If the places of the targets are not known, or are not as many.
        """
        geometry = self.geometry if mask is None else _maps.geometry_of(mask)
        if geometry is None:
            raise ValueError(
                "maps need the places of the targets; give mask=, or encode Responses that were "
                "read from NIfTI."
            )
        return geometry.to_img(self._map_values(layer) if values is None else values)

    def to_gifti(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        layer: str | None = None,
        vertices: ArrayLike | None = None,
        n_vertices: int | None = None,
        structure: str | None = None,
    ) -> Any:
        """Return mean scores as a GIFTI image of one hemisphere, one data array per layer.

        Parameters
        ----------
        path : path_like, optional
            Where to write it too, such as ``r.lh.func.gii``.
        layer : str, optional
            By default all.
        vertices : array_like of int of shape (n_vox,), optional
            Vertex of each target; by default targets are all vertices in order.
        n_vertices : int, optional
            Of the surface; needed with `vertices`. Others are NaN.
        structure : str, optional
            Such as "CortexLeft", for the image's metadata.

        Returns
        -------
        nibabel.gifti.GiftiImage
        """
        return _maps.to_gifti(
            np.atleast_2d(self._map_values(layer)),
            self.layers if layer is None else [layer],
            path,
            vertices=vertices,
            n_vertices=n_vertices,
            structure=structure,
        )

    def to_cifti(
        self,
        template: Any,
        path: str | os.PathLike[str] | None = None,
        *,
        layer: str | None = None,
    ) -> Any:
        """Return mean scores as a CIFTI-2 image of scalars, one map per layer.

        Parameters
        ----------
        template : path_like or nibabel.Cifti2Image
            Whose grayordinates the targets are, in order, such as the series they were read from.
        path : path_like, optional
            Where to write it too; ends in ``.dscalar.nii``.
        layer : str, optional
            By default all.

        Returns
        -------
        nibabel.Cifti2Image
        """
        return _maps.to_cifti(
            np.atleast_2d(self._map_values(layer)),
            self.layers if layer is None else [layer],
            template,
            path,
        )

    def best_layer(self) -> pd.DataFrame:
        """Return each target's best layer by mean score: target, [roi,] layer, score.

        With channels or positions, their columns too. A target without any score has no layer.
        """
        means = self.means()
        known = np.isfinite(means)
        best = self.best_places()
        found = [
            self.parts[self.layers[i]] if known[i, place] else None for place, i in enumerate(best)
        ]
        columns: dict[str, Any] = {"target": self.targets}
        if self.rois is not None:
            columns["roi"] = list(self.rois)
        columns["layer"] = [None if part is None else part.layer for part in found]
        for axis in self._first_part().place:
            places = [None if part is None else part.place[axis] for part in found]
            columns[axis] = pd.Series(places, dtype="Int64")
        columns["score"] = means[best, np.arange(means.shape[1])]
        return pd.DataFrame(columns)

    def best_places(self) -> NDArray[np.int64]:
        """Return the place of each target's best layer among `layers`, 0 where none has a score."""
        means = self.means()
        worst = np.inf if better_is_less(self.scoring) else -np.inf
        ranked = np.where(np.isfinite(means), means, worst)
        best: NDArray[np.int64] = ranked.argmin(0) if worst > 0 else ranked.argmax(0)
        return best

    def by_roi(
        self, *, p_values: Mapping[str, ArrayLike] | None = None, alpha: float = 0.05
    ) -> pd.DataFrame:
        """Return one row per layer and region: layer, roi, score, median, n_vox, [n_significant].

        Parameters
        ----------
        p_values : mapping of str to array_like of shape (n_vox,), optional
            Per layer, corrected as you see fit.
        alpha : float
            Targets with p of at most this are significant.

        Notes
        -----
        ``score`` is the mean over targets that have a score, which ``n_vox`` counts.
        """
        rois = np.asarray(["all"] * self.n_vox if self.rois is None else self.rois)
        rows = []
        for name in self.layers:
            mean = self.mean(name)
            p = None if p_values is None else self._p_of(p_values, name)
            for roi in dict.fromkeys(rois):
                inside = (rois == roi) & np.isfinite(mean)
                some = bool(inside.any())
                row: dict[str, Any] = {"layer": self.parts[name].layer, **self.parts[name].place}
                row["roi"] = str(roi)
                row["score"] = float(mean[inside].mean()) if some else np.nan
                row["median"] = float(np.median(mean[inside])) if some else np.nan
                row["n_vox"] = int(inside.sum())
                if p is not None:
                    row["n_significant"] = int((p[inside] <= alpha).sum())
                rows.append(row)
        return pd.DataFrame(rows)

    def _p_of(self, p_values: Mapping[str, ArrayLike], name: str) -> NDArray[np.float64]:
        if name not in p_values:
            raise ValueError(f"p_values must have every layer; {name!r} is missing.")
        p = np.asarray(p_values[name], dtype=np.float64)
        if p.shape != (self.n_vox,):
            raise ValueError(f"p_values must have shape ({self.n_vox},) per layer; got {p.shape}.")
        return p

    def _first_part(self) -> Part:
        return self.parts[self.layers[0]]

    def _map_values(self, layer: str | None) -> NDArray[np.float64]:
        if layer is None:
            return self.means()
        if layer not in self.scores:
            raise ValueError(f"layer must be one of {', '.join(self.layers)}; got {layer!r}.")
        return self.mean(layer)

    def __repr__(self) -> str:
        n_fold, n_vox = next(iter(self.scores.values())).shape
        folds = f"{n_fold} folds" if self.fold_average == "mean" else "pooled over folds"
        lines = [f"Scores: {self.scoring}, {n_vox} targets, {folds}"]
        if self.chance is not None:
            low, high = self.chance.min(), self.chance.max()
            lines[0] += f", chance {low:.4g}" + (f" to {high:.4g}" if high > low else "")
        shown = self.layers if len(self.layers) <= 24 else self.layers[:12]
        width = max(len(layer) for layer in shown)
        best_of = np.min if better_is_less(self.scoring) else np.max
        for layer in shown:
            mean = self.mean(layer)
            scored = mean[np.isfinite(mean)]
            middle = f"{np.median(scored):7.4f}" if len(scored) else "    nan"
            best = f"{best_of(scored):7.4f}" if len(scored) else "    nan"
            lines.append(
                f"  {layer:<{width}}  median {middle}  best {best}  {self.route.get(layer, '')}"
            )
        if len(shown) < len(self.layers):
            lines.append(f"  ... and {len(self.layers) - len(shown)} more")
        return "\n".join(lines)
