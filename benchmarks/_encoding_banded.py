"""Banded ridge by random search: himalaya's draws, penalties and folds.

Bands have power-law spectra; targets listen to them in different measures, with an R2 between 0.05
and 0.3. Both sides start from features and end with dual coefficients of all targets.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from _problem import Job, Problem
from dnnbrain_cpp.linear import BandedRidgeCV

__all__ = ["PROBLEMS"]

N_STIM, N_FEAT, N_VOX, N_DRAW, N_FOLD = 1000, 500, 2000, 20, 5
_TUTORIAL_GRID = np.logspace(1, 20, 20)
_GRID = np.logspace(-1, 6, 20)

Bands = list[NDArray[np.float32]]


def _draw(n_band: int) -> tuple[Bands, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    scale = (np.arange(1, N_FEAT + 1) ** -0.5 * np.sqrt(N_FEAT)).astype(np.float32)
    bands, signal = [], np.zeros((N_STIM, N_VOX), dtype=np.float32)
    shares = rng.dirichlet([0.5] * n_band, N_VOX).T.astype(np.float32)
    for share in shares:
        latent = rng.standard_normal((N_STIM, N_FEAT), dtype=np.float32) * scale
        bands.append(latent + 0.5 * np.roll(latent, 1, axis=1) - 0.25 * np.roll(latent, 7, axis=1))
        part = bands[-1] @ rng.standard_normal((N_FEAT, N_VOX), dtype=np.float32)
        signal += part / part.std(0) * np.sqrt(share)
    signal /= signal.std(0)
    r2 = rng.uniform(0.05, 0.3, N_VOX).astype(np.float32)
    noise = rng.standard_normal((N_STIM, N_VOX), dtype=np.float32)
    return bands, signal * np.sqrt(r2) + noise * np.sqrt(1 - r2)


def _himalaya(
    bands: Bands,
    Y: NDArray[np.float32],
    alphas: NDArray[np.float32],
    backend: str,
    batch: int | None,
) -> Any:
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV

    set_backend(backend)
    numpy = backend == "numpy"
    kernels: Any
    if numpy:
        centred = [band - band.mean(0) for band in bands]
        kernels = np.stack([band @ band.T for band in centred])
    else:
        tensors = [torch.from_numpy(band) for band in bands]
        kernels = torch.stack([(x - x.mean(0)) @ (x - x.mean(0)).T for x in tensors])
    model = MultipleKernelRidgeCV(
        kernels="precomputed",
        fit_intercept=True,
        cv=N_FOLD,
        random_state=0,
        solver_params={
            "n_iter": N_DRAW,
            "alphas": alphas if numpy else torch.from_numpy(alphas),
            "n_targets_batch": batch,
            "progress_bar": False,
        },
    )
    model.fit(kernels, Y if numpy else torch.from_numpy(Y))
    return np.asarray(model.cv_scores_), np.asarray(model.deltas_)


def _ours(bands: Bands, Y: NDArray[np.float32], alphas: NDArray[np.float32]) -> Any:
    model = BandedRidgeCV([N_FEAT] * len(bands), alphas, n_iter=N_DRAW, cv=N_FOLD, random_state=0)
    model.fit(np.hstack(bands), Y)
    return model.cv_scores_, model.deltas_


def _differ(ours: Any, theirs: Any) -> str:
    score = np.abs(ours[0] - theirs[0]).max()
    same = np.isclose(ours[1], theirs[1], atol=1e-2).all(0)
    # Where the choice differs, by how much the one that they made scores less for us.
    lost = ours[0].max(0) - np.take_along_axis(ours[0], theirs[0].argmax(0)[None], 0)[0]
    return (
        f"max |d mse| {score:.1e} (variance 1), same weights and alpha {100 * same.mean():.1f} %, "
        f"others tied to {lost.max():.0e}"
    )


def _make(n_band: int, alphas: NDArray[np.float64]) -> Job:
    bands, Y = _draw(n_band)
    grid = alphas.astype(np.float32)
    peers = {
        f"{backend}, {batch} targets at once": partial(_himalaya, bands, Y, grid, backend, batch)
        for backend in ("numpy", "torch")
        for batch in (500, None)
    }
    return Job({"BandedRidgeCV": partial(_ours, bands, Y, grid)}, peers, _differ)


PROBLEMS = [
    Problem(
        name=f"banded{n_band}{suffix}",
        title=f"{n_band} bands of {N_FEAT}, {N_DRAW} draws, n {N_STIM} t {N_VOX}, "
        f"20 alphas {span}, {N_FOLD} folds",
        peer="himalaya MultipleKernelRidgeCV",
        goal=3,
        make=partial(_make, n_band, grid),
    )
    for n_band in (2, 4)
    for suffix, span, grid in (
        ("", "1e1 to 1e20", _TUTORIAL_GRID),
        ("_dense", "1e-1 to 1e6", _GRID),
    )
]
