"""Weighted sums of kernels, factorised in every fold, against refitting by linear systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from tolerances import TOLERANCES

N = 160
WEIGHTS = np.array([[0.5, 0.5], [1.0, 0.0], [1e-9, 1.0]])
GRIDS = {
    "coarse": np.array([0.3, 30.0]),
    "dense": np.logspace(-1, 6, 30),
    "far": np.logspace(1, 20, 20),
}
ONES = torch.ones(N, dtype=torch.float64)


def folds() -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Three blocks of unequal size, the last with a gap."""
    rows = np.arange(N)
    cuts = ((0, 20, 0, 20), (20, 90, 20, 90), (90, 155, 85, N))
    return [(np.r_[rows[:begin], rows[end:]], rows[first:last]) for first, last, begin, end in cuts]


def draw(n_vox: int, sizes: tuple[int, int] = (40, 170)) -> tuple[torch.Tensor, NDArray[Any]]:
    """Return kernels (2, N, N), and targets of which the first does not vary."""
    rng = np.random.default_rng(0)
    bands = [rng.standard_normal((N, p)) * np.arange(1, p + 1) ** -0.7 * 9 + 1 for p in sizes]
    y = sum(band @ rng.standard_normal((band.shape[1], n_vox)) for band in bands)
    y += rng.standard_normal((N, n_vox)) * 20 + 50
    y[:, 0] = 7
    return torch.from_numpy(np.stack([band @ band.T for band in bands])), y


def scores_of(
    kernels: torch.Tensor,
    y: NDArray[Any],
    alphas: NDArray[np.float64],
    scoring: str = "mse",
    *,
    fit_intercept: bool = True,
    progress: Callable[[int, int], bool | None] | None = None,
) -> NDArray[np.float64]:
    return core.score_kernel_sums(
        kernels,
        torch.from_numpy(WEIGHTS),
        torch.from_numpy(np.tile(alphas, (len(WEIGHTS), 1))),
        torch.from_numpy(y),
        ONES[:, None] if fit_intercept else ONES.new_empty((N, 0)),
        ONES,
        [(torch.from_numpy(train), torch.from_numpy(test)) for train, test in folds()],
        core.RidgeScore[scoring],
        progress,
    ).numpy()


def solve(
    kernel: NDArray[Any], y: NDArray[Any], alpha: float, *, fit_intercept: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return dual coefficients and intercepts."""
    n = len(kernel)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = kernel + alpha * np.eye(n)
    if not fit_intercept:
        return np.linalg.solve(system[:n, :n], y), np.zeros(y.shape[1])
    # Scaled alike, so that a large alpha does not drown the constraint.
    system[:n, n] = system[n, :n] = alpha
    solution = np.linalg.solve(system, np.vstack([y, np.zeros((1, y.shape[1]))]))
    return solution[:n], solution[n] * alpha


def naive(
    kernels: torch.Tensor,
    y: NDArray[Any],
    alphas: NDArray[np.float64],
    scoring: str,
    *,
    fit_intercept: bool,
) -> NDArray[np.float64]:
    out = np.empty((len(WEIGHTS), len(folds()), len(alphas), y.shape[1]))
    for g, weights in enumerate(WEIGHTS):
        total = np.tensordot(weights, kernels.numpy(), 1)
        for f, (train, test) in enumerate(folds()):
            for a, alpha in enumerate(alphas):
                dual, intercept = solve(
                    total[np.ix_(train, train)], y[train], alpha, fit_intercept=fit_intercept
                )
                p = total[np.ix_(test, train)] @ dual + intercept
                error = ((y[test] - p) ** 2).mean(0)
                if scoring == "mse":
                    out[g, f, a] = -error
                elif scoring == "r2":
                    with np.errstate(divide="ignore", invalid="ignore"):
                        out[g, f, a] = 1 - error / y[test].var(0)
                else:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        out[g, f, a] = [
                            np.corrcoef(p[:, t], y[test, t])[0, 1] for t in range(y.shape[1])
                        ]
    return out


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("scoring", ["mse", "r2", "r"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_against_linear_systems(grid: str, scoring: str, fit_intercept: bool) -> None:
    kernels, y = draw(4)
    # Beyond this, a system of its own loses what it predicts to rounding.
    alphas = GRIDS[grid][GRIDS[grid] < 1e9]
    ours = scores_of(kernels, y, GRIDS[grid], scoring, fit_intercept=fit_intercept)
    expected = naive(kernels, y, alphas, scoring, fit_intercept=fit_intercept)
    if scoring != "mse":
        assert np.isnan(ours[..., 0]).all()
    varies = slice(0 if scoring == "mse" else 1, None)
    scale = np.abs(expected[..., varies]).max()
    np.testing.assert_allclose(
        ours[:, :, : len(alphas), varies],
        expected[..., varies],
        rtol=0,
        atol=TOLERANCES["fp64_score"] * max(scale, 1),
    )


def test_beyond_the_last_penalty_only_the_scale_changes() -> None:
    kernels, y = draw(4)
    r = scores_of(kernels, y, np.array([1e12, 1e16, 1e20]), "r")[..., 1:]
    np.testing.assert_allclose(r[:, :, 0], r[:, :, 2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("sizes", [(5, 3), (40, 170)])
@pytest.mark.parametrize("grid", GRIDS)
def test_float32(grid: str, sizes: tuple[int, int]) -> None:
    """Through several tiles of targets."""
    kernels, y = draw(300, sizes)
    y /= y[:, 1:].std()
    exact = scores_of(kernels, y, GRIDS[grid])
    rounded = scores_of(kernels, y.astype(np.float32), GRIDS[grid])
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=2e-5)


def test_nothing_to_learn_from() -> None:
    kernels, y = draw(3)
    ours = scores_of(kernels * 0, y, GRIDS["dense"])
    for f, (train, test) in enumerate(folds()):
        expected = -((y[test] - y[train].mean(0)) ** 2).mean(0)
        np.testing.assert_allclose(
            ours[:, f], np.broadcast_to(expected, ours[:, f].shape), atol=1e-12
        )


def test_same_bits_for_any_number_of_threads_and_progress() -> None:
    kernels, y = draw(300)
    calls: list[tuple[int, int]] = []
    before = torch.get_num_threads()
    try:
        results = []
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            results.append(
                scores_of(
                    kernels,
                    y.astype(np.float32),
                    GRIDS["dense"],
                    progress=lambda done, total: calls.append((done, total)),
                )
            )
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*results)
    assert calls[-1][0] == calls[-1][1] == len(WEIGHTS) * len(folds()) * 300


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solutions(fit_intercept: bool, dtype: type) -> None:
    kernels, y = draw(12)
    chosen = torch.tensor([0, 2, 2, 0, 2, 0, 0, 2, 2, 2, 0, 2])
    alphas = torch.tensor([1.0, 1e4] + [30.0, 400.0] * 5, dtype=torch.float64)
    dual = core.solve_kernel_sums(
        kernels,
        torch.from_numpy(WEIGHTS),
        chosen,
        alphas,
        torch.from_numpy(y.astype(dtype)),
        ONES[:, None] if fit_intercept else ONES.new_empty((N, 0)),
    ).numpy()
    assert dual.dtype == dtype
    for t, (which, alpha) in enumerate(zip(chosen.tolist(), alphas.tolist(), strict=True)):
        total = np.tensordot(WEIGHTS[which], kernels.numpy(), 1)
        expected, _ = solve(total, y[:, [t]], alpha, fit_intercept=fit_intercept)
        atol = np.abs(expected).max() * (1e-9 if dtype == np.float64 else 1e-5)
        np.testing.assert_allclose(dual[:, [t]], expected, rtol=0, atol=atol + 1e-13)
