"""Ridge with a penalty per target, chosen by cross-validation: himalaya and scikit-learn.

Features have a power-law spectrum, as those of trained networks do, and targets an R2 between 0.05
and 0.3, so that several penalties of the grid are chosen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from _problem import Job, Problem
from dnnbrain_cpp.linear import RidgeCV

__all__ = ["PROBLEMS", "draw_encoding"]

_WIDE_GRID = np.logspace(1, 20, 20)
_GRID = np.logspace(-1, 6, 20)


def draw_encoding(
    n_stim: int, n_feat: int, n_vox: int, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return features of a power-law spectrum and responses with R2 from 0.05 to 0.3."""
    rng = np.random.default_rng(seed)
    scale = (np.arange(1, n_feat + 1) ** -0.5).astype(np.float32)
    latent = rng.standard_normal((n_stim, n_feat), dtype=np.float32) * scale
    # A random rotation would cost more than all that is timed; random signs and a mixing of
    # neighbours leave no feature an axis of its own.
    features = latent + 0.5 * np.roll(latent, 1, axis=1) - 0.25 * np.roll(latent, 7, axis=1)
    weights = rng.standard_normal((n_feat, n_vox), dtype=np.float32)
    signal = features @ weights
    signal /= signal.std(0)
    r2 = rng.uniform(0.05, 0.3, n_vox).astype(np.float32)
    noise = rng.standard_normal((n_stim, n_vox), dtype=np.float32)
    return features, signal * np.sqrt(r2) + noise * np.sqrt(1 - r2)


def _himalaya(
    kind: str,
    X: NDArray[np.float32],
    Y: NDArray[np.float32],
    alphas: NDArray[np.float64],
    n_fold: int,
    backend: str,
    batch: int | None,
) -> Any:
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV as TheirKernelRidgeCV
    from himalaya.ridge import RidgeCV as TheirRidgeCV

    set_backend(backend)
    model_of = TheirRidgeCV if kind == "primal" else TheirKernelRidgeCV
    asis: Callable[[Any], Any] = torch.from_numpy if backend == "torch" else np.asarray
    model = model_of(
        alphas=alphas.astype(np.float32),
        cv=n_fold,
        fit_intercept=True,
        solver_params={"n_targets_batch": batch},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the other form would be faster
        model.fit(asis(X), asis(Y))
    return np.asarray(model.cv_scores_), np.asarray(model.best_alphas_)


def _ours(
    X: NDArray[np.float32], Y: NDArray[np.float32], alphas: NDArray[np.float64], n_fold: int
) -> Any:
    # himalaya's alphas are float32, and so are the ones that are compared.
    grid = alphas.astype(np.float32).astype(np.float64)
    model = RidgeCV(grid, cv=n_fold).fit(X, Y)
    return model.best_score_, model.alpha_


def _differ(ours: Any, theirs: Any) -> str:
    n_target = len(theirs[0])
    score = np.abs(ours[0][:n_target] - theirs[0]).max()
    same = np.isclose(ours[1][:n_target], theirs[1], rtol=1e-3).mean()
    return f"max |d mse| {score:.1e} (variance 1), same alpha {100 * same:.1f} %"


def _make(
    n: int,
    p: int,
    t: int,
    n_fold: int,
    alphas: NDArray[np.float64],
    kind: str,
    batches: list[int | None],
    backends: tuple[str, ...] = ("numpy", "torch"),
    t_peer: int | None = None,
) -> Job:
    X, Y = draw_encoding(n, p, t)
    some = Y[:, :t_peer].copy()
    peers = {
        f"{backend}, {batch} targets at once": partial(
            _himalaya, kind, X, some, alphas, n_fold, backend, batch
        )
        for backend in backends
        for batch in batches
    }
    return Job(
        {"RidgeCV": partial(_ours, X, Y, alphas, n_fold)},
        peers,
        _differ,
        share=some.shape[1] / t,
    )


def _make_loo(per_target: bool, dtype: type) -> Job:
    from sklearn.linear_model import RidgeCV as SklearnRidgeCV

    X, Y = draw_encoding(2000, 5000, 500)
    grid = np.logspace(-2, 7, 99)

    def ours() -> Any:
        model = RidgeCV(grid, cv="loo", alpha_per_target=per_target)
        model.fit(X.astype(dtype), Y.astype(dtype))
        return np.atleast_1d(model.best_score_), np.atleast_1d(model.alpha_)

    def theirs() -> Any:
        model = SklearnRidgeCV(grid, alpha_per_target=per_target).fit(X, Y)
        return np.atleast_1d(model.best_score_), np.atleast_1d(model.alpha_)

    return Job({"RidgeCV, loo": ours}, {"scikit-learn": theirs}, _differ)


def _problem(name: str, title: str, peer: str, goal: float, make: Callable[[], Job]) -> Problem:
    return Problem(name=name, title=title, peer=peer, goal=goal, make=make)


PROBLEMS = [
    _problem(
        "tall",
        "ridge, n 4000 p 300 t 5000, 20 alphas, 5 folds",
        "himalaya RidgeCV",
        20,
        partial(_make, 4000, 300, 5000, 5, _GRID, "primal", [1000, None]),
    ),
    _problem(
        "script",
        "ridge, n 2400 p 1000 t 30,000, 20 alphas, 3 folds",
        "himalaya RidgeCV",
        3,
        partial(_make, 2400, 1000, 30_000, 3, np.logspace(-3, 20, 20), "primal", [5000]),
    ),
    _problem(
        "nsd",
        "ridge, n 9000 p 1000 t 15,724, 20 alphas, 5 folds",
        "himalaya RidgeCV",
        18,
        partial(_make, 9000, 1000, 15_724, 5, _GRID, "primal", [2000], ("torch",), 4000),
    ),
    _problem(
        "wide",
        "ridge, n 1000 p 3000 t 10,000, 20 alphas to 1e6, 5 folds",
        "himalaya KernelRidgeCV",
        2.5,
        partial(_make, 1000, 3000, 10_000, 5, _GRID, "dual", [1000, 5000, None]),
    ),
    _problem(
        "wide-grid",
        "the same, alphas from 10 to 1e20",
        "himalaya KernelRidgeCV",
        4,
        partial(_make, 1000, 3000, 10_000, 5, _WIDE_GRID, "dual", [1000, 5000, None]),
    ),
    _problem(
        "loo-shared",
        "leave one out, n 2000 p 5000 t 500, 99 alphas, one for all; float32",
        "scikit-learn RidgeCV",
        5,
        partial(_make_loo, False, np.float32),
    ),
    _problem(
        "loo",
        "the same, an alpha per target; float32",
        "scikit-learn RidgeCV",
        5,
        partial(_make_loo, True, np.float32),
    ),
    _problem(
        "loo-fp64",
        "the same, an alpha per target; float64",
        "scikit-learn RidgeCV",
        5,
        partial(_make_loo, True, np.float64),
    ),
]
