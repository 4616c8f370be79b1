"""Eigenpairs of a symmetric matrix, all or the largest, against LAPACK's."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._native import core

N = 300
RNG = np.random.default_rng(31)


def _covariance(n: int, n_row: int) -> NDArray[np.float64]:
    x = RNG.standard_normal((n, n_row))
    product: NDArray[np.float64] = x @ x.T
    return product


def _with_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    q, _ = np.linalg.qr(RNG.standard_normal((len(values), len(values))))
    return (q * values) @ q.T


def _power_law() -> NDArray[np.float64]:
    x = RNG.standard_normal((N, N)) * np.arange(1, N + 1) ** -0.5
    return x @ x.T


def _duplicates() -> NDArray[np.float64]:
    x = RNG.standard_normal((40, 500))[RNG.integers(0, 40, N)]
    return x @ x.T


def _laplacian() -> NDArray[np.float64]:
    return 2 * np.eye(N) - np.eye(N, k=1) - np.eye(N, k=-1)


def _wilkinson() -> NDArray[np.float64]:
    """Pairs of eigenvalues that agree to rounding, with vectors at opposite ends."""
    return np.diag(np.abs(np.arange(N) - (N - 1) / 2)) + np.eye(N, k=1) + np.eye(N, k=-1)


CASES = {
    "white": _covariance(N, 3 * N),
    "power law": _power_law(),
    "rank 20": _covariance(N, 20),
    "duplicate stimuli": _duplicates(),
    "a cluster of 70": _with_values(np.r_[1 + 1e-13 * np.arange(70), 0.5 * RNG.random(N - 70)]),
    "negative": -_covariance(N, 20),
    "both signs": _with_values(RNG.standard_normal(N)),
    "identity": np.eye(N),
    "zero": np.zeros((N, N)),
    "diagonal": np.diag(np.r_[np.ones(50), np.zeros(N - 50)]),
    "tridiagonal": _laplacian(),
    "Wilkinson's": _wilkinson(),
    "tiny": 1e-200 * _covariance(N, N),
    "huge": 1e200 * _covariance(N, N),
    "one large entry": np.diag(np.r_[np.zeros(N - 1), 1e12]) + _covariance(N, N),
}


def _check(matrix: NDArray[np.float64], k: int) -> None:
    values, vectors = core.top_eigenpairs(torch.from_numpy(matrix), k)
    found, columns = values.numpy(), vectors.numpy()
    expected = np.linalg.eigvalsh(matrix)[::-1][:k]
    size = max(float(np.abs(np.linalg.eigvalsh(matrix)).max()), 1e-300)
    np.testing.assert_allclose(
        found / size, expected / size, rtol=0, atol=1e-14 * np.sqrt(len(matrix))
    )
    np.testing.assert_allclose(columns.T @ columns, np.eye(k), rtol=0, atol=1e-13)
    residual = (matrix / size) @ columns - columns * (found / size)
    np.testing.assert_allclose(residual, 0, rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 16, 60, N])
def test_pairs_are_those_of_the_whole(case: str, k: int) -> None:
    _check(CASES[case], k)


@pytest.mark.parametrize("n", [1, 2, 3, 31, 32, 33, 97, 101, 128, 129, 130, 131, 257])
def test_any_order(n: int) -> None:
    for k in sorted({1, max(1, n // 3), n}):
        _check(_covariance(n, 2 * n), k)


def test_the_same_bits_for_any_number_of_threads() -> None:
    matrix = torch.from_numpy(CASES["power law"])
    before = torch.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            found.append(core.top_eigenpairs(matrix, 40))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("k", [0, N + 1])
def test_there_are_so_many_pairs(k: int) -> None:
    with pytest.raises(ValueError, match="there are 1 to 300 eigenpairs; got"):
        core.top_eigenpairs(torch.eye(N, dtype=torch.float64), k)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_does_not_pass_for_numbers(bad: float) -> None:
    matrix: NDArray[Any] = np.eye(N)
    matrix[3, 3] = bad
    with contextlib.suppress(RuntimeError):
        values, _ = core.top_eigenpairs(torch.from_numpy(matrix), 5)
        assert not torch.isfinite(values).all()
