"""Principal components: inside the folds of an encoding model, and batch by batch."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import decomposition
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from _problem import Job, Problem
from dnnbrain_cpp import linear
from dnnbrain_cpp.encoding import encode

__all__ = ["PROBLEMS"]

_N_COMPONENTS = 100


def _layer(n: int, p: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Units with means of their own, and a spectrum that decays as those of networks do."""
    latent = rng.standard_normal((n, n), dtype=np.float32)
    latent *= np.arange(1, n + 1, dtype=np.float32) ** -0.5
    x = latent @ rng.standard_normal((n, p), dtype=np.float32)
    x += rng.standard_normal(p, dtype=np.float32)
    return x


def _responses(x: NDArray[np.float32], t: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Targets of which the first components explain a part of 0.05 to 0.3."""
    signal = x[:, :200] @ rng.standard_normal((200, t), dtype=np.float32)
    signal = (signal - signal.mean(0)) / signal.std(0)
    part = rng.uniform(0.05, 0.3, t).astype(np.float32)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    return signal * np.sqrt(part) + noise * np.sqrt(1 - part)


def _pcr(n: int = 1000, p: int = 43_264, t: int = 1000, n_fold: int = 10) -> Job:
    rng = np.random.default_rng(0)
    x = _layer(n, p, rng)
    y = _responses(x, t, rng)
    folds = KFold(n_fold)

    def ours() -> NDArray[Any]:
        pipeline = make_pipeline(decomposition.PCA(_N_COMPONENTS), LinearRegression())
        return encode(x, y, estimator=pipeline, cv=folds).scores["features"]

    def theirs(solver: str) -> NDArray[Any]:
        scores = []
        for train, test in folds.split(x):
            pca = decomposition.PCA(_N_COMPONENTS, svd_solver=solver, random_state=0)
            model = make_pipeline(pca, LinearRegression()).fit(x[train], y[train])
            predicted = model.predict(x[test]).astype(np.float64)
            a, b = predicted - predicted.mean(0), y[test] - y[test].mean(0, dtype=np.float64)
            scores.append((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))
        return np.array(scores)

    return Job(
        ours={"encode": ours},
        # Its own choice for these sizes; "full" would be exact, and slower.
        peers={"randomized": lambda: theirs("randomized")},
        difference=lambda a, b: (
            f"mean r {np.mean(a):.4f} and {np.mean(b):.4f}, "
            f"at most {np.abs(a - b).max():.1e} apart (the peer's last components are approximate)"
        ),
    )


def _step(m: int = 300, p: int = 46_656) -> Job:
    rng = np.random.default_rng(0)
    batches = np.split(_layer(2 * m, p, rng), 2)
    ours = linear.IncrementalPCA(_N_COMPONENTS).partial_fit(batches[0])
    theirs = decomposition.IncrementalPCA(_N_COMPONENTS).partial_fit(batches[0])

    def step(started: Any) -> NDArray[Any]:
        fitted = deepcopy(started).partial_fit(batches[1])
        return np.asarray(fitted.components_)

    return Job(
        ours={"IncrementalPCA": lambda: step(ours)},
        peers={"IncrementalPCA": lambda: step(theirs)},
        difference=lambda a, b: f"components at most {np.abs(a - b).max():.1e} apart",
    )


PROBLEMS = [
    Problem(
        name="pcr",
        title="PCA(100) + least squares, 10 folds, n 1000, p 43,264, t 1000",
        peer="scikit-learn pipeline",
        goal=20,
        make=_pcr,
    ),
    Problem(
        name="incremental-pca",
        title="incremental PCA, one step of 300 x 46,656, 100 components",
        peer="scikit-learn IncrementalPCA",
        goal=20,
        make=_step,
        clock="cpu_s",
    ),
]
