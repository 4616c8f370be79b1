"""Rows of the encoding table: partial least squares in ten folds."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cross_decomposition import PLSRegression
from sklearn.model_selection import KFold

from _problem import Job, Problem
from dnnbrain_cpp.linear import FoldPlan
from dnnbrain_cpp.linear._pls import HeldOutPls, cross_validate_pls

__all__ = ["PROBLEMS"]

N_STIM, N_FEAT, N_VOX, N_COMP, N_FOLD = 1000, 43_264, 1000, 10, 10
PEER_FOLDS = 1

Folds = list[NDArray[Any]]


@cache
def _data() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features with a power-law spectrum, means that are not zero, and R2 from 0.05 to 0.3."""
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((N_STIM, N_STIM), dtype=np.float32)
    latent *= np.arange(1, N_STIM + 1, dtype=np.float32) ** -0.5
    x = latent @ rng.standard_normal((N_STIM, N_FEAT), dtype=np.float32)
    x += 0.3 * x.std() * rng.standard_normal((N_STIM, N_FEAT), dtype=np.float32)
    x += rng.standard_normal(N_FEAT, dtype=np.float32)
    signal = latent @ rng.standard_normal((N_STIM, N_VOX), dtype=np.float32)
    r2 = rng.uniform(0.05, 0.3, N_VOX)
    y = np.sqrt(r2) * signal / signal.std(0)
    y += np.sqrt(1 - r2) * rng.standard_normal((N_STIM, N_VOX))
    return x, y.astype(np.float32)


def _ours(algorithm: str) -> HeldOutPls:
    x, y = _data()
    plan = FoldPlan.make(N_FOLD, n_stim=N_STIM)
    return cross_validate_pls(x, y, plan, N_COMP, algorithm=algorithm, predictions=True)


def _scikit_learn() -> tuple[Folds, list[list[int]]]:
    """Predict the held-out rows of the last folds."""
    x, y = _data()
    predictions, n_iter = [], []
    for train, test in list(KFold(N_FOLD).split(x))[-PEER_FOLDS:]:
        model = PLSRegression(N_COMP).fit(x[train], y[train])
        predictions.append(model.predict(x[test].astype(np.float64)))
        n_iter.append(list(model.n_iter_))
    return predictions, n_iter


def _difference(ours: HeldOutPls, theirs: tuple[Folds, list[list[int]]]) -> str:
    _, y = _data()
    r_off = 0.0
    for fold in range(N_FOLD - PEER_FOLDS, N_FOLD):
        _, test = list(KFold(N_FOLD).split(y))[fold]
        expected = theirs[0][fold - N_FOLD]
        p, m = expected - expected.mean(0), y[test] - y[test].mean(0, dtype=np.float64)
        r = (p * m).sum(0) / np.sqrt((p**2).sum(0) * (m**2).sum(0))
        r_off = max(r_off, float(np.abs(ours.scores[0, fold].numpy() - r).max()))
    ours_iter, theirs_iter = ours.n_iter[-PEER_FOLDS:].tolist(), theirs[1]
    counts = "the same" if ours_iter == theirs_iter else "other"
    return f"r within {r_off:.1e}, {counts} iteration counts"


def _job(algorithm: str) -> Job:
    _data()
    return Job(
        ours={algorithm: lambda: _ours(algorithm)},
        peers={"default": _scikit_learn},
        difference=_difference,
        share=PEER_FOLDS / N_FOLD,
    )


PROBLEMS = [
    Problem(
        name=f"pls-{algorithm}",
        title=f"PLS({N_COMP}) {algorithm}, {N_FOLD} folds, n {N_STIM}, p {N_FEAT}, t {N_VOX}",
        peer="scikit-learn PLSRegression",
        goal=goal,
        make=lambda algorithm=algorithm: _job(algorithm),  # type: ignore[misc]
    )
    for algorithm, goal in (("nipals", 25.0), ("exact", 60.0))
]
