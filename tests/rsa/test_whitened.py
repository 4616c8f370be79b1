"""Whitened comparators and CKA: against rsatoolbox, dense covariances and kernels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

from dnnbrain_cpp import rsa
from oracle.rsa import relabel
from tolerances import TOLERANCES

N_COND = 8
ROUNDING = TOLERANCES["fp64_score"]


def draw(n_rdm: int, seed: int, n_cond: int = N_COND) -> NDArray[np.float64]:
    """Squared distances between patterns."""
    rng = np.random.default_rng(seed)
    return np.array([pdist(rng.standard_normal((n_cond, 5)), "sqeuclidean") for _ in range(n_rdm)])


def covariance(sigma: NDArray[Any]) -> NDArray[np.float64]:
    """V, entry by entry."""
    n = len(sigma)
    rows, columns = np.triu_indices(n, 1)
    contrasts = np.eye(n)[rows] - np.eye(n)[columns]
    return np.asarray((contrasts @ sigma @ contrasts.T) ** 2)


def whitened_cosine(x: NDArray[Any], y: NDArray[Any], v: NDArray[Any]) -> float:
    inverse = np.linalg.inv(v)
    return float(x @ inverse @ y / np.sqrt((x @ inverse @ x) * (y @ inverse @ y)))


def a_covariance(seed: int) -> NDArray[np.float64]:
    half = np.random.default_rng(seed).standard_normal((3 * N_COND, N_COND))
    return np.asarray(half.T @ half / len(half))


SIGMAS = [None, np.linspace(0.5, 2, N_COND), a_covariance(0)]


@pytest.mark.parametrize("method", ["cosine_cov", "corr_cov"])
@pytest.mark.parametrize("sigma_k", SIGMAS, ids=["equal", "variances", "covariance"])
def test_scores_are_cosines_in_the_metric_of_the_inverse(method: str, sigma_k: Any) -> None:
    models, data = draw(3, 1), draw(2, 2)
    full = np.eye(N_COND) if sigma_k is None else sigma_k
    v = covariance(np.diag(full) if full.ndim == 1 else full)
    centre = 1.0 if method == "corr_cov" else 0.0
    expected = [
        [whitened_cosine(x - centre * x.mean(), y - centre * y.mean(), v) for y in data]
        for x in models
    ]
    result = rsa.compare(models, data, method=method, sigma_k=sigma_k)
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=ROUNDING)
    assert result.method == method
    assert result.ceiling is not None
    assert result.ceiling.method == method


@pytest.mark.parametrize("method", ["cosine_cov", "corr_cov"])
@pytest.mark.parametrize("sigma_k", SIGMAS, ids=["equal", "variances", "covariance"])
def test_scores_equal_rsatoolbox(method: str, sigma_k: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        toolbox = pytest.importorskip("rsatoolbox")
        models, data = draw(3, 3), draw(2, 4)
        # Given variances alone, it centres its kernels as if they were equal: other numbers.
        full = np.diag(sigma_k) if sigma_k is not None and sigma_k.ndim == 1 else sigma_k
        expected = toolbox.rdm.compare(
            toolbox.rdm.RDMs(models), toolbox.rdm.RDMs(data), method=method, sigma_k=full
        )
    result = rsa.compare(models, data, method=method, sigma_k=sigma_k)
    # Its solver of sparse systems stops at a relative change of 1e-5.
    atol = ROUNDING if sigma_k is None else TOLERANCES["rsatoolbox_whitening"]
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=atol)


def test_equal_variances_are_the_default() -> None:
    models, data = draw(2, 5), draw(2, 6)
    for method in ("cosine_cov", "corr_cov"):
        default = rsa.compare(models, data, method=method).scores
        told = rsa.compare(models, data, method=method, sigma_k=np.full(N_COND, 3.0)).scores
        np.testing.assert_allclose(told, default, rtol=0, atol=ROUNDING)


def gram(squared: NDArray[Any]) -> NDArray[np.float64]:
    square = squareform(squared)
    centring = np.eye(len(square)) - 1 / len(square)
    return np.asarray(-0.5 * centring @ square @ centring)


def unbiased_hsic(k: NDArray[Any], m: NDArray[Any]) -> float:
    """As Song et al. (2012) write it."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    return float(
        (
            np.trace(k @ m)
            + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * (one @ k @ m @ one)
        )
        / (n * (n - 3))
    )


def test_cka_is_that_of_the_inner_products() -> None:
    models, data = draw(3, 7), draw(2, 8)
    cka = rsa.compare(models, data, method="cka").scores
    unbiased = rsa.compare(models, data, method="cka-unbiased").scores
    for (i, x), (j, y) in ((a, b) for a in enumerate(models) for b in enumerate(data)):
        k, m = gram(x), gram(y)
        expected = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
        assert cka[i, j] == pytest.approx(expected, abs=ROUNDING)
        norms = unbiased_hsic(k, k) * unbiased_hsic(m, m)
        expected = unbiased_hsic(k, m) / np.sqrt(norms)
        assert unbiased[i, j] == pytest.approx(expected, abs=ROUNDING)


def test_unbiased_cka_of_unrelated_patterns_is_zero_on_average() -> None:
    """Biased CKA is not: with more units than stimuli it is close to 1."""
    rng = np.random.default_rng(9)
    x, y = (
        np.array([pdist(rng.standard_normal((12, 200)), "sqeuclidean") for _ in range(60)])
        for _ in range(2)
    )
    pairs = np.arange(60)
    biased = rsa.compare(x, y, method="cka").scores[pairs, pairs]
    unbiased = rsa.compare(x, y, method="cka-unbiased").scores[pairs, pairs]
    assert biased.mean() > 0.9
    assert abs(unbiased.mean()) < 4 * unbiased.std() / np.sqrt(60)


@pytest.mark.parametrize("method", ["cosine_cov", "corr_cov", "cka", "cka-unbiased"])
def test_relabelling_both_changes_nothing_and_one_is_tested(method: str) -> None:
    x, y = draw(1, 10)[0], draw(1, 11)[0]
    order = np.random.default_rng(12).permutation(N_COND)
    score = rsa.compare(x, y, method=method).scores[0, 0]
    both = rsa.compare(relabel(x, order), relabel(y, order), method=method).scores[0, 0]
    assert both == pytest.approx(score, abs=ROUNDING)
    result = rsa.compare(draw(2, 13, 11), draw(3, 14, 11), method=method, n_perm=99, random_state=0)
    assert result.p_values is not None
    assert ((result.p_values >= 0.01) & (result.p_values <= 1)).all()


def test_rdms_without_a_score_are_named() -> None:
    good = draw(1, 15)
    effects = np.random.default_rng(16).random(N_COND)
    rows, columns = np.triu_indices(N_COND, 1)
    additive = effects[rows] + effects[columns]
    with pytest.raises(ValueError, match=r"cka-unbiased needs RDMs .* sums of one number for each"):
        rsa.compare(good, additive, method="cka-unbiased")
    with pytest.raises(ValueError, match="cka needs RDMs whose dissimilarities are not all zero"):
        rsa.compare(good, np.zeros(len(good[0])), method="cka")
    with pytest.raises(ValueError, match=r"corr_cov needs RDMs .* not all equal"):
        rsa.compare(good, np.ones(len(good[0])), method="corr_cov")
    with pytest.raises(ValueError, match="needs at least 4 conditions; models have 3"):
        rsa.compare([1.0, 2.0, 4.0], [1.0, 2.0, 4.0], method="cka-unbiased")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "corr"}, "sigma_k is for the comparators corr_cov and cosine_cov"),
        ({"n_perm": 9}, "noise of conditions differs"),
        ({"sigma_k": np.ones(5)}, r"of shape \(8, 8\) or \(8,\)"),
        ({"sigma_k": np.triu(np.ones((8, 8)))}, "symmetric"),
        ({"sigma_k": np.zeros(8)}, "full rank"),
        ({"sigma_k": np.full(8, np.nan)}, "finite"),
    ],
)
def test_wrong_covariances(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"method": "corr_cov", "sigma_k": np.ones(8)}
    with pytest.raises(ValueError, match=message):
        rsa.compare(draw(1, 17), draw(1, 18), **(arguments | change))
