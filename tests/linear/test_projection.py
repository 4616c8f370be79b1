"""Random projections: against their own matrix, and by what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp._native import core
from dnnbrain_cpp.linear import CountSketch, SparseRandomProjection
from tolerances import TOLERANCES

KINDS = [
    SparseRandomProjection(30, random_state=0),
    SparseRandomProjection(30, density=1.0, random_state=0),
    SparseRandomProjection(7, density=0.4, random_state=0),
    CountSketch(30, random_state=0),
]


@parametrize_with_checks([SparseRandomProjection(3), CountSketch(3)])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(n: int, p: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal((n, p))


@pytest.mark.parametrize("kind", KINDS, ids=repr)
@pytest.mark.parametrize("shape", [(1, 1), (65, 40), (130, 5000)], ids=str)
def test_product_with_its_matrix(kind: Any, shape: tuple[int, int]) -> None:
    x = draw(*shape)
    projected = kind.fit(x).transform(x)
    wanted = x @ kind.components_.toarray().T
    np.testing.assert_allclose(projected, wanted, atol=TOLERANCES["fp64_reduction"] * 100)
    single = kind.transform(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(
        single, wanted, atol=TOLERANCES["fp32_reduction"] * np.linalg.norm(wanted)
    )


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_any_cut_and_any_threads(kind: Any) -> None:
    x = draw(150, 300)
    whole = kind.fit(x).transform(x)
    parts = [kind.transform(part) for part in np.split(x, [1, 64, 70])]
    np.testing.assert_array_equal(np.vstack(parts), whole)
    torch.set_num_threads(2)
    np.testing.assert_array_equal(kind.transform(x), whole)
    torch.set_num_threads(1)
    # A feature's entries do not depend on how many features there are.
    few = kind.fit(x[:, :20]).components_.toarray()
    if kind.get_params().get("density") != "auto":
        np.testing.assert_array_equal(kind.fit(x).components_.toarray()[:, :20], few)
    tensor = kind.fit(torch.from_numpy(x)).transform(torch.from_numpy(x))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), whole)
    np.testing.assert_allclose(
        kind._on_device(torch.from_numpy(x)).numpy(), whole, atol=TOLERANCES["fp64_reduction"] * 100
    )


@pytest.mark.parametrize("density", [0.02, 0.3, 0.9, 1.0])
def test_density_and_signs(density: float) -> None:
    projection = SparseRandomProjection(50, density=density, random_state=1).fit(draw(1, 400))
    matrix = projection.components_.toarray()
    nonzero = matrix[matrix != 0]
    np.testing.assert_allclose(np.abs(nonzero), 1 / np.sqrt(density * 50))
    assert binomtest(int((nonzero > 0).sum()), len(nonzero), 0.5).pvalue > 1e-3
    if density < 1:
        assert binomtest(len(nonzero), matrix.size, density).pvalue > 1e-3
    else:
        assert len(nonzero) == matrix.size
    by_column = (matrix != 0).sum(1)
    assert chisquare(by_column).pvalue > 1e-3


def test_count_sketch_spreads_evenly() -> None:
    matrix = CountSketch(10, random_state=2).fit(draw(1, 5000)).components_.toarray()
    np.testing.assert_array_equal(np.abs(matrix).sum(0), 1)
    assert chisquare((matrix != 0).sum(1)).pvalue > 1e-3
    assert binomtest(int((matrix > 0).sum()), 5000, 0.5).pvalue > 1e-3


@pytest.mark.parametrize(
    "make",
    [
        lambda s: SparseRandomProjection(400, random_state=s),
        lambda s: CountSketch(400, random_state=s),
    ],
)
def test_distances_are_kept(make: Any) -> None:
    x = draw(12, 3000)
    errors = []
    for seed in range(5):
        y = make(seed).fit_transform(x)
        kept = ((y[0] - y[1:]) ** 2).sum(1) / ((x[0] - x[1:]) ** 2).sum(1)
        errors.append(kept - 1)
    # The standard deviation of one is sqrt(2 / 400) = 0.07.
    assert np.abs(errors).max() < 0.3
    assert abs(np.mean(errors)) < 0.03
    assert np.std(errors) > 0.01


def test_seed() -> None:
    x = draw(3, 500)
    a, b, c = (SparseRandomProjection(20, random_state=s).fit_transform(x) for s in (5, 5, 6))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.01
    projection = SparseRandomProjection(20).fit(x)
    again = SparseRandomProjection(20, random_state=projection.seed_).fit(x)
    np.testing.assert_array_equal(again.transform(x), projection.transform(x))


def test_arguments() -> None:
    x = draw(50, 4000)
    assert SparseRandomProjection().fit(x[:, :3700]).n_components_ == 3353
    with pytest.raises(ValueError, match="'auto' asks for 3353"):
        SparseRandomProjection().fit(x[:, :300])
    assert SparseRandomProjection(2).fit(x).density_ == pytest.approx(1 / np.sqrt(4000))
    for density in (0, 1.1, -0.5, "half"):
        with pytest.raises(ValueError, match="density must be in"):
            SparseRandomProjection(2, density=density).fit(x)
    for kind in (SparseRandomProjection, CountSketch):
        with pytest.raises(ValueError, match="n_components must be at least 1"):
            kind(0).fit(x)
    for density in (-0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match="density in"):
            core.project_rows(x, 0, 5, density, 1, None)
