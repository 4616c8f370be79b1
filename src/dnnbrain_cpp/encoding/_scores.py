"""Cross-validated scores per layer, fold and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Scores"]


class Scores:
    """Scores of an encoding model.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_fold, n_vox)
        Per layer. NaN where a target is constant in the held-out stimuli.
    scoring : str
        What the scores are.
    route : mapping of str to str
        Per layer, what ran: natively, or through scikit-learn.
    targets : sequence, optional
        Names of the targets; by default their numbers.
    rois : sequence of str, optional
        Region of each target.
    """

    def __init__(
        self,
        scores: Mapping[str, NDArray[np.float64]],
        *,
        scoring: str,
        route: Mapping[str, str],
        targets: Sequence[object] | None = None,
        rois: Sequence[str] | None = None,
    ) -> None:
        self.scores = dict(scores)
        self.scoring = scoring
        self.route = dict(route)
        n_vox = next(iter(self.scores.values())).shape[1]
        self.targets = list(range(n_vox)) if targets is None else list(targets)
        self.rois = None if rois is None else tuple(rois)

    @property
    def layers(self) -> list[str]:
        """Names of the layers."""
        return list(self.scores)

    def mean(self, layer: str) -> NDArray[np.float64]:
        """Return each target's mean over folds, shape (n_vox,); folds without a score left out."""
        folds = self.scores[layer]
        counted = np.isfinite(folds)
        n_fold = counted.sum(0)
        total = np.where(counted, folds, 0.0).sum(0)
        return np.where(n_fold > 0, total / np.maximum(n_fold, 1), np.nan)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per layer, target and fold: layer, target, [roi,] fold, score."""
        frames = []
        for layer, folds in self.scores.items():
            n_fold, n_vox = folds.shape
            frame = pd.DataFrame(
                {
                    "layer": layer,
                    "target": np.tile(np.asarray(self.targets), n_fold),
                    "fold": np.repeat(np.arange(n_fold), n_vox),
                    "score": folds.ravel(),
                }
            )
            if self.rois is not None:
                frame.insert(2, "roi", np.tile(np.asarray(self.rois), n_fold))
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def best_layer(self) -> pd.DataFrame:
        """Return each target's best layer by mean score: target, [roi,] layer, score.

        A target without any score has no layer.
        """
        means = np.stack([self.mean(layer) for layer in self.layers])
        ranked = np.where(np.isnan(means), -np.inf, means)
        best = ranked.argmax(0)
        scored = ranked.max(0) > -np.inf
        frame = pd.DataFrame(
            {
                "target": self.targets,
                "layer": [
                    self.layers[i] if known else None for i, known in zip(best, scored, strict=True)
                ],
                "score": means[best, np.arange(means.shape[1])],
            }
        )
        if self.rois is not None:
            frame.insert(1, "roi", list(self.rois))
        return frame

    def by_roi(self) -> pd.DataFrame:
        """Return one row per layer and region: layer, roi, score (mean over targets), n_vox."""
        rois = np.asarray(["all"] * len(self.targets) if self.rois is None else self.rois)
        rows = []
        for layer in self.layers:
            mean = self.mean(layer)
            for roi in dict.fromkeys(rois):
                inside = mean[(rois == roi) & np.isfinite(mean)]
                score = float(inside.mean()) if len(inside) else np.nan
                rows.append((layer, str(roi), score, len(inside)))
        return pd.DataFrame(rows, columns=["layer", "roi", "score", "n_vox"])

    def __repr__(self) -> str:
        n_fold, n_vox = next(iter(self.scores.values())).shape
        lines = [f"Scores: {self.scoring}, {n_vox} targets, {n_fold} folds"]
        width = max(len(layer) for layer in self.layers)
        for layer in self.layers:
            mean = self.mean(layer)
            scored = mean[np.isfinite(mean)]
            middle = f"{np.median(scored):7.4f}" if len(scored) else "    nan"
            best = f"{scored.max():7.4f}" if len(scored) else "    nan"
            lines.append(
                f"  {layer:<{width}}  median {middle}  max {best}  {self.route.get(layer, '')}"
            )
        return "\n".join(lines)
