"""PCA against scikit-learn's full singular value decomposition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import decomposition
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp.linear import PCA
from tolerances import TOLERANCES

EXACT = ["gram", "covariance"]


@parametrize_with_checks(
    [PCA(), PCA(svd_solver="gram"), PCA(1, svd_solver="randomized"), PCA(whiten=True)]
)
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(n: int, p: int, seed: int = 0) -> NDArray[np.float64]:
    """Decaying variances along any directions, and means that are larger."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.7
    rotation = np.linalg.qr(rng.standard_normal((p, p)))[0]
    return np.asarray(x @ rotation + 5 * rng.standard_normal(p))


def check_equal(ours: Any, theirs: Any, x: NDArray[Any], tolerance: float) -> None:
    scale = theirs.singular_values_[0]
    np.testing.assert_allclose(
        ours.singular_values_, theirs.singular_values_, atol=tolerance * scale
    )
    for name in ("explained_variance_ratio_", "components_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=tolerance)
    np.testing.assert_allclose(
        ours.explained_variance_, theirs.explained_variance_, rtol=tolerance, atol=0
    )
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=0, atol=tolerance * scale)
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_, rel=tolerance, abs=1e-18)
    assert ours.n_components_ == theirs.n_components_
    new = x[::-1] + 0.5
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), atol=tolerance * scale)
    scores = theirs.transform(new)
    np.testing.assert_allclose(
        ours.inverse_transform(scores), theirs.inverse_transform(scores), atol=tolerance * scale
    )


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (40, 40), (300, 7), (7, 300)], ids=str)
@pytest.mark.parametrize("whiten", [False, True])
def test_equal_to_scikit_learn(shape: tuple[int, int], solver: str, whiten: bool) -> None:
    x = draw(*shape)
    k = min(shape) // 2
    ours = PCA(k, svd_solver=solver, whiten=whiten).fit(x)
    theirs = decomposition.PCA(k, svd_solver="full", whiten=whiten).fit(x)
    check_equal(ours, theirs, x, TOLERANCES["fp64_factor"])
    np.testing.assert_allclose(
        PCA(k, svd_solver=solver, whiten=whiten).fit_transform(x),
        theirs.transform(x),
        atol=TOLERANCES["fp64_factor"],
    )


@pytest.mark.parametrize("shape", [(50, 80), (80, 50)], ids=str)
@pytest.mark.parametrize("n_components", [None, 0.3, 0.9, 0.999999, 1, 50])
def test_number_of_components(shape: tuple[int, int], n_components: Any) -> None:
    x = draw(*shape, seed=1)
    ours = PCA(n_components).fit(x)
    theirs = decomposition.PCA(n_components, svd_solver="full").fit(x)
    assert ours.components_.shape == theirs.components_.shape
    rank = min(shape[0] - 1, shape[1], ours.n_components_)
    np.testing.assert_allclose(
        ours.components_[:rank], theirs.components_[:rank], atol=TOLERANCES["fp64_factor"]
    )
    identity = ours.components_ @ ours.components_.T
    np.testing.assert_allclose(identity, np.eye(len(identity)), atol=TOLERANCES["fp64_factor"])


def test_randomized() -> None:
    x = draw(300, 200, seed=2)
    ours = PCA(8, svd_solver="randomized", iterated_power=40, random_state=3).fit(x)
    theirs = decomposition.PCA(8, svd_solver="full").fit(x)
    check_equal(ours, theirs, x, TOLERANCES["fp64_factor"])
    few = PCA(8, svd_solver="randomized", random_state=3).fit(x)
    assert 0.999 < few.explained_variance_.sum() / theirs.explained_variance_.sum() < 1 + 1e-12
    again = PCA(8, svd_solver="randomized", random_state=3).fit(x)
    np.testing.assert_array_equal(few.components_, again.components_)
    other = PCA(8, svd_solver="randomized", random_state=4, iterated_power=0).fit(x)
    assert np.abs(other.components_ - few.components_).max() > 1e-6


def test_float32_with_an_offset() -> None:
    """A million beside a variance of one, which float32 sums would not survive."""
    rng = np.random.default_rng(0)
    exact = np.round(draw(60, 100) * 8) / 8 + 2.0**20
    x = exact.astype(np.float32)
    assert np.array_equal(x, exact)
    theirs = decomposition.PCA(5, svd_solver="full").fit(exact)
    for solver in (*EXACT, "randomized"):
        ours = PCA(5, svd_solver=solver, random_state=rng.integers(9), iterated_power=60).fit(x)
        assert ours.components_.dtype == np.float32
        assert ours.transform(x).dtype == np.float32
        np.testing.assert_allclose(
            ours.singular_values_, theirs.singular_values_, rtol=TOLERANCES["fp32_reduction"]
        )
        np.testing.assert_allclose(
            ours.transform(x), theirs.transform(exact), atol=10 * TOLERANCES["fp32_reduction"]
        )


@pytest.mark.parametrize("solver", EXACT)
def test_without_rank(solver: str) -> None:
    """Constant and duplicated columns: no direction of their own, still an orthonormal basis."""
    x = draw(20, 6, seed=3)
    x = np.hstack([x, x, np.full((20, 12), 0.1)])
    ours = PCA(svd_solver=solver).fit(x)
    theirs = decomposition.PCA(svd_solver="full").fit(x)
    np.testing.assert_allclose(
        ours.components_[:6], theirs.components_[:6], atol=TOLERANCES["fp64_factor"]
    )
    np.testing.assert_array_equal(ours.singular_values_[6:], 0)
    identity = ours.components_ @ ours.components_.T
    np.testing.assert_allclose(identity, np.eye(20), atol=TOLERANCES["fp64_factor"])
    constant = PCA(2, svd_solver=solver).fit(np.full((5, 4), 0.1))
    np.testing.assert_array_equal(constant.explained_variance_, 0)
    np.testing.assert_array_equal(constant.explained_variance_ratio_, 0)
    one = PCA(svd_solver=solver).fit(x[:, :1])
    np.testing.assert_allclose(one.components_, [[1.0]])


@pytest.mark.parametrize("solver", [*EXACT, "randomized"])
def test_tensors_and_layouts(solver: str, tmp_path: Path) -> None:
    x = draw(30, 50, seed=4)
    wanted = PCA(4, svd_solver=solver, random_state=0).fit(x)
    tensor = PCA(4, svd_solver=solver, random_state=0).fit(torch.from_numpy(x))
    assert isinstance(tensor.components_, torch.Tensor)
    assert isinstance(tensor.transform(torch.from_numpy(x)), torch.Tensor)
    np.testing.assert_array_equal(tensor.components_.numpy(), wanted.components_)
    scores = tensor.fit_transform(torch.from_numpy(x))
    np.testing.assert_array_equal(scores.numpy(), wanted.transform(x))
    assert isinstance(tensor.inverse_transform(scores), torch.Tensor)
    np.save(tmp_path / "x.npy", x)
    frozen = x.copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(x), np.repeat(x, 2, 1)[:, ::2], frozen):
        same = PCA(4, svd_solver=solver, random_state=0).fit(other)
        np.testing.assert_array_equal(same.components_, wanted.components_)
    mapped = PCA(4, svd_solver=solver, random_state=0).fit(
        np.load(tmp_path / "x.npy", mmap_mode="r")
    )
    np.testing.assert_array_equal(mapped.components_, wanted.components_)


def test_bad_arguments() -> None:
    x = draw(10, 20)
    for count in (0, 11, -1, 1.0, 0.0, 1.5, "mle"):
        with pytest.raises(ValueError, match="n_components must be"):
            PCA(count).fit(x)
    with pytest.raises(ValueError, match="svd_solver must be one of 'auto', 'gram'"):
        PCA(svd_solver="arpack").fit(x)
    for count in (None, 0.5):
        with pytest.raises(ValueError, match="needs n_components as an int"):
            PCA(count, svd_solver="randomized").fit(x)
    with pytest.raises(ValueError, match="iterated_power must be at least 0"):
        PCA(2, iterated_power=-1).fit(x)
    fitted = PCA(2).fit(x)
    with pytest.raises(ValueError, match=r"scores must have shape \(n, 2\)"):
        fitted.inverse_transform(np.ones((3, 4)))
    x[3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        PCA(2).fit(x)


def test_signs() -> None:
    """The first of the largest entries is positive, whatever the others are."""
    rows = torch.tensor([[1.0, -3, 2], [-2, 2, 1], [2, -2, 1], [0, 0, 0], [-1, -1, -5], [3, 2, 1]])
    core.flip_signs(rows)
    wanted = [[-1, 3, -2], [2, -2, -1], [2, -2, 1], [0, 0, 0], [1, 1, 5], [3, 2, 1]]
    np.testing.assert_array_equal(rows, wanted)


def test_names_of_components() -> None:
    ours = PCA(3).fit(draw(10, 5))
    assert list(ours.get_feature_names_out()) == ["pca0", "pca1", "pca2"]


@pytest.mark.parametrize(
    "shape", [(1, 5), (191, 3), (192, 40), (193, 40), (500, 7), (101, 2500)], ids=str
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_symmetric_product(shape: tuple[int, int], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    start = torch.randn((shape[0], shape[0]), generator=generator, dtype=dtype)
    start = start + start.T
    for rows in (x, x.T.contiguous().T, torch.cat([x, x])[: shape[0]]):
        total = start.clone()
        core.add_symmetric_product(total, rows)
        wanted = start.double() + x.double() @ x.double().T
        tolerance = TOLERANCES["fp32_reduction" if dtype == torch.float32 else "fp64_reduction"]
        assert (total - wanted).abs().max() <= tolerance * wanted.abs().max()
        off = total - total.T
        assert off.abs().max() <= tolerance * wanted.abs().max()
    with pytest.raises(ValueError, match="float32 or float64 matrix"):
        core.add_symmetric_product(start, x.to(torch.float16))
    with pytest.raises(ValueError, match="as many rows as X"):
        core.add_symmetric_product(start, torch.cat([x, x]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_rows_have_equal_products(dtype: torch.dtype) -> None:
    x = torch.randn((150, 1500), generator=torch.Generator().manual_seed(0), dtype=dtype)
    x[[3, 40, 97, 149]] = x[0].clone()
    total = torch.zeros((150, 150), dtype=torch.float64)
    core.add_symmetric_product(total, x)
    same = [0, 3, 40, 97, 149]
    assert (total[same][:, same] == total[0, 0]).all()
    others = [i for i in range(150) if i not in same]
    assert (total[same][:, others] == total[0, others]).all()


def test_same_bits_for_any_number_of_threads() -> None:
    x = torch.randn((420, 700), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        total = torch.zeros((420, 420), dtype=torch.float64)
        core.add_symmetric_product(total, x)
        found.append((total, core.gram_moments(x.float()).centred))
    torch.set_num_threads(1)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_gram_in_chunks_of_columns() -> None:
    """Any cut of the units gives the same moments, and an offset of a million costs no digits."""
    x = np.round(draw(50, 300, seed=5) * 8) / 8
    about = x - x.mean(0)
    wanted = about @ about.T
    for shift in (0.0, 2.0**20):
        accumulator = core.GramAccumulator(50)
        data = (x + shift).astype(np.float32)
        for first in range(0, 300, 77):
            accumulator.add(as_tensor(data[:, first : first + 77]))
        error = np.abs(accumulator.moments().centred.numpy() - wanted).max()
        # Means of float32 numbers of a million are exact to 2**20 eps.
        assert error <= TOLERANCES["fp64_reduction"] * np.abs(wanted).max()
