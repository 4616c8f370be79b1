"""Incremental PCA against scikit-learn's, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import decomposition
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp.linear import IncrementalPCA
from tolerances import TOLERANCES

LEARNT = [
    "components_",
    "singular_values_",
    "explained_variance_",
    "explained_variance_ratio_",
    "mean_",
    "var_",
    "noise_variance_",
]


@parametrize_with_checks([IncrementalPCA(), IncrementalPCA(batch_size=10, whiten=True)])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(n: int, p: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.7
    rotation = np.linalg.qr(rng.standard_normal((p, p)))[0]
    return np.asarray(x @ rotation + 5 * rng.standard_normal(p) + np.arange(n)[:, None] / n)


def check_equal(ours: Any, theirs: Any, tolerance: float) -> None:
    for name in LEARNT:
        a, b = getattr(ours, name), getattr(theirs, name)
        scale = 1.0 if name == "components_" else np.abs(b).max()
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=name)
    assert ours.n_samples_seen_ == theirs.n_samples_seen_


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("p", [12, 60, 1500])
@pytest.mark.parametrize("sizes", [(20, 20, 20), (30, 12, 25), (12, 40)], ids=str)
def test_equal_to_scikit_learn(sizes: tuple[int, ...], p: int, dtype: type) -> None:
    x = draw(sum(sizes), p).astype(dtype)
    ours, theirs = IncrementalPCA(7), decomposition.IncrementalPCA(7)
    tolerance = TOLERANCES["fp64_factor" if dtype is np.float64 else "fp32_reduction"]
    for batch in np.split(x, np.cumsum(sizes)[:-1]):
        before = batch.copy()
        ours.partial_fit(batch)
        theirs.partial_fit(batch.copy())
        check_equal(ours, theirs, tolerance)
        np.testing.assert_array_equal(batch, before)
    new = draw(9, p, seed=1)
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), atol=1e2 * tolerance)


@pytest.mark.parametrize("n_components", [None, 5])
@pytest.mark.parametrize("batch_size", [None, 11, 16])
@pytest.mark.parametrize("whiten", [False, True])
def test_fit(n_components: int | None, batch_size: int | None, whiten: bool) -> None:
    x = draw(70, 10, seed=2)
    options = {"n_components": n_components, "batch_size": batch_size, "whiten": whiten}
    ours = IncrementalPCA(**options).fit(x)
    theirs = decomposition.IncrementalPCA(**options).fit(x)
    check_equal(ours, theirs, TOLERANCES["fp64_factor"])
    np.testing.assert_allclose(
        ours.fit_transform(x), theirs.transform(x), atol=TOLERANCES["fp64_factor"]
    )
    scores = theirs.transform(x)
    np.testing.assert_allclose(
        ours.inverse_transform(scores), theirs.inverse_transform(scores), rtol=1e-7
    )
    assert ours.fit(x).n_samples_seen_ == 70  # begins anew
    assert ours.batch_size_ == theirs.batch_size_


def stack_twin(x: NDArray[Any], sizes: list[int], k: int) -> tuple[Any, Any]:
    """Return components and singular values of the stacks, by NumPy's decomposition."""
    values, components, mean, seen = np.zeros(0), np.zeros((0, x.shape[1])), np.zeros(1), 0
    for batch in np.split(x, np.cumsum(sizes)[:-1]):
        m = len(batch)
        rows = [values[:, None] * components, batch - batch.mean(0)]
        if seen:
            rows.append(np.sqrt(seen * m / (seen + m)) * (mean - batch.mean(0))[None])
        _, values, components = np.linalg.svd(np.vstack(rows), full_matrices=False)
        values, components = values[:k], components[:k]
        mean = (seen * mean + m * batch.mean(0)) / (seen + m)
        seen += m
    largest = np.abs(components).argmax(1)
    return components * np.sign(components[np.arange(k), largest])[:, None], values


@pytest.mark.parametrize("sizes", [[20, 3], [20, 1, 1, 2], [15, 5, 40, 1]], ids=str)
def test_small_batches(sizes: list[int]) -> None:
    """scikit-learn would want each to have as many rows as components."""
    x = draw(sum(sizes), 33, seed=3)
    ours = IncrementalPCA(9)
    for batch in np.split(x, np.cumsum(sizes)[:-1]):
        ours.partial_fit(batch)
    components, values = stack_twin(x, sizes, 9)
    np.testing.assert_allclose(ours.components_, components, atol=TOLERANCES["fp64_factor"])
    np.testing.assert_allclose(ours.singular_values_, values, rtol=TOLERANCES["fp64_factor"])
    np.testing.assert_allclose(ours.mean_, x.mean(0))
    np.testing.assert_allclose(ours.var_, x.var(0))


def test_offset_in_float32() -> None:
    x = np.round(draw(60, 40, seed=4) * 8) / 8
    far = (x + 2.0**20).astype(np.float32)
    near = x.astype(np.float32)
    ours, without, exact = (IncrementalPCA(4, batch_size=20).fit(a) for a in (far, near, x))
    # The offset itself costs nothing: the mean is known to 2**20 eps, which is what enters its
    # correction.
    np.testing.assert_allclose(ours.components_, without.components_, atol=1e-8)
    np.testing.assert_allclose(ours.var_, without.var_, rtol=1e-8)
    # Products of a float32 batch are float32.
    tolerance = TOLERANCES["fp32_reduction"]
    np.testing.assert_allclose(ours.components_, exact.components_, atol=tolerance)
    np.testing.assert_allclose(ours.var_, exact.var_, rtol=tolerance)
    np.testing.assert_allclose(ours.mean_ - 2.0**20, exact.mean_, atol=tolerance)


def test_without_rank() -> None:
    """As many components as rows, constant columns: still an orthonormal basis, and no NaN."""
    x = draw(30, 5, seed=5)
    x = np.hstack([x, x, np.full((30, 10), 0.1)])
    ours = IncrementalPCA(10)
    for batch in np.split(x, 3):
        ours.partial_fit(batch)
        identity = ours.components_ @ ours.components_.T
        np.testing.assert_allclose(identity, np.eye(10), atol=TOLERANCES["fp64_factor"])
        assert np.isfinite(ours.explained_variance_ratio_).all()
    exact = decomposition.PCA(5).fit(x)  # nothing was left out
    np.testing.assert_allclose(
        ours.components_[:5], exact.components_, atol=TOLERANCES["fp64_factor"]
    )
    np.testing.assert_array_equal(ours.singular_values_[5:], 0)


def test_tensors() -> None:
    x = draw(40, 30, seed=6)
    wanted = IncrementalPCA(4, batch_size=20).fit(x)
    ours = IncrementalPCA(4, batch_size=20).fit(torch.from_numpy(x))
    assert isinstance(ours.components_, torch.Tensor)
    np.testing.assert_array_equal(ours.components_.numpy(), wanted.components_)
    assert isinstance(ours.transform(torch.from_numpy(x)), torch.Tensor)
    single = IncrementalPCA(4).partial_fit(torch.from_numpy(x).float().T.contiguous().T)
    assert single.transform(torch.from_numpy(x).float()).dtype == torch.float32


def test_any_number_of_threads() -> None:
    """LAPACK's eigenvectors alone depend on it, in their last digits."""
    x = draw(150, 700, seed=7)
    found = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        found.append(IncrementalPCA(20, batch_size=70).fit(x))
    torch.set_num_threads(1)
    np.testing.assert_array_equal(found[0].mean_, found[1].mean_)
    np.testing.assert_array_equal(found[0].var_, found[1].var_)
    np.testing.assert_allclose(
        found[0].components_, found[1].components_, atol=TOLERANCES["fp64_reduction"]
    )


def test_bad_arguments() -> None:
    x = draw(20, 8)
    for count in (9, 21):
        with pytest.raises(ValueError, match="rows of the first batch and the columns, 20 and 8"):
            IncrementalPCA(count).fit(x)
    with pytest.raises(ValueError, match="columns, 4 and 8; got 5"):
        IncrementalPCA(5, batch_size=4).fit(x)
    with pytest.raises(ValueError, match="columns, 4 and 8; got 5"):
        IncrementalPCA(5).partial_fit(x[:4])
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        IncrementalPCA(batch_size=0).fit(x)
    with pytest.raises(ValueError, match="n_components must be at least 1"):
        IncrementalPCA(0).fit(x)
    ours = IncrementalPCA(2).partial_fit(x)
    with pytest.raises(ValueError, match="features"):
        ours.partial_fit(x[:, :5])
    learnt = ours.components_.copy()
    x[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        ours.partial_fit(x)
    np.testing.assert_array_equal(ours.components_, learnt)
