"""Single units against cross-validating a regression of every pair, as DNNBrain does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import cross_val_score

from _problem import Job, Problem
from dnnbrain_cpp.encoding import UnivariateScores, univariate

__all__ = ["PROBLEMS"]

N_STIM, N_FEAT, N_VOX, N_FOLD = 1000, 9216, 1000, 10

PAIRS = 200
"""That the peer does; every 46,080th of the 9,216,000."""


def _simulate() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Units of a layer, and voxels of which the best unit explains 5 to 30 %."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N_STIM, N_FEAT), dtype=np.float32)
    share = rng.uniform(0.05, 0.3, N_VOX).astype(np.float32)
    signal = x[:, rng.integers(0, N_FEAT, N_VOX)] * np.sqrt(share)
    noise = rng.standard_normal((N_STIM, N_VOX), dtype=np.float32) * np.sqrt(1 - share)
    return x, signal + noise


def _pearson(measured: NDArray[Any], predicted: NDArray[Any]) -> float:
    return float(np.corrcoef(measured, predicted)[0, 1])


def _make() -> Job:
    x, y = _simulate()
    chosen = np.linspace(0, N_FEAT * N_VOX - 1, PAIRS).astype(int)
    units, targets = np.unravel_index(chosen, (N_FEAT, N_VOX))
    r = make_scorer(_pearson)

    def peer() -> NDArray[np.float64]:
        means = [
            cross_val_score(LinearRegression(), x[:, [u]], y[:, t], cv=N_FOLD, scoring=r).mean()
            for u, t in zip(units, targets, strict=True)
        ]
        return np.asarray(means)

    def difference(_: UnivariateScores, theirs: NDArray[np.float64]) -> str:
        kept = univariate(x, y, cv=N_FOLD, selection="non-nested", return_unit_means=True)
        means = kept.unit_means["features"][units, targets]
        return f"max |difference in mean r| {np.abs(means - theirs).max():.1e} over {PAIRS} pairs"

    return Job(
        ours={"closed form": lambda: univariate(x, y, cv=N_FOLD, selection="non-nested")},
        peers={"cross_val_score(LinearRegression) per pair": peer},
        difference=difference,
        share=PAIRS / (N_FEAT * N_VOX),
    )


PROBLEMS: list[Problem] = [
    Problem(
        name="univariate",
        title=f"univariate r, n {N_STIM} p {N_FEAT} t {N_VOX}, {N_FOLD} folds",
        peer="DNNBrain's way: scikit-learn per unit and target",
        goal=1000,
        make=_make,
    )
]
