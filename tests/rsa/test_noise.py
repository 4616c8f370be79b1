"""Precision of noise, against its definition, scikit-learn and rsatoolbox."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf

from dnnbrain_cpp import rsa
from dnnbrain_cpp.rsa._noise import repeat_residuals
from oracle import rdms as oracle
from tolerances import TOLERANCES

Array = NDArray[np.float64]


def draw(n_sample: int, n_channel: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_channel) + 0.3 * rng.standard_normal((n_channel, n_channel))
    return rng.standard_normal((n_sample, n_channel)) @ mixing + rng.standard_normal(n_channel)


def close(ours: Array, expected: Array) -> None:
    atol = TOLERANCES["fp64_score"] * np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("shape", [(50, 6), (12, 20), (40, 1), (3, 2)])
@pytest.mark.parametrize("dof", [None, 2.5])
@pytest.mark.parametrize("method", ["ledoit-wolf", "shrunk-diagonal", "diagonal"])
def test_equal_to_the_definition(method: str, dof: float | None, shape: tuple[int, int]) -> None:
    if method == "shrunk-diagonal" and shape[1] == 1:
        pytest.skip("nothing is off the diagonal")
    residuals = draw(*shape)
    degrees = shape[0] - 1 if dof is None else dof
    expected = {
        "ledoit-wolf": oracle.ledoit_wolf,
        "shrunk-diagonal": oracle.shrunk_diagonal,
        "diagonal": lambda x, d: np.diag(((x - x.mean(0)) ** 2).sum(0) / d),
    }[method](residuals, degrees)
    ours = rsa.noise_precision(residuals, method=method, dof=dof)
    close(ours @ expected, np.eye(shape[1]))


def test_without_shrinkage() -> None:
    residuals = draw(60, 5)
    close(rsa.noise_precision(residuals, method="full"), np.linalg.inv(np.cov(residuals.T)))


def test_one_channel_has_nothing_to_shrink_to() -> None:
    residuals = draw(30, 1)
    for method in ("ledoit-wolf", "shrunk-diagonal", "diagonal", "full"):
        ours = rsa.noise_precision(residuals, method=method)
        close(ours, np.array([[1 / residuals.var(ddof=1)]]))


def test_equal_to_scikit_learn_and_rsatoolbox() -> None:
    noise = pytest.importorskip("rsatoolbox.data.noise")
    residuals = draw(80, 30)
    sklearns = sklearn_ledoit_wolf(residuals)[0]
    close(rsa.noise_precision(residuals, dof=80) @ sklearns, np.eye(30))
    theirs = noise.prec_from_residuals(residuals, method="shrinkage_eye")
    close(rsa.noise_precision(residuals), theirs)
    # Its variance of r takes N - 1 for N in one place: the weights differ in the fourth digit.
    theirs = noise.prec_from_residuals(residuals, method="shrinkage_diag")
    ours = rsa.noise_precision(residuals, method="shrunk-diagonal")
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3 * np.abs(theirs).max())


def test_one_precision_per_run() -> None:
    runs = np.stack([draw(30, 4, seed) for seed in range(3)])
    ours = rsa.noise_precision(runs, method="shrunk-diagonal")
    assert ours.shape == (3, 4, 4)
    for run, matrix in zip(runs, ours, strict=True):
        np.testing.assert_array_equal(matrix, rsa.noise_precision(run, method="shrunk-diagonal"))


def test_float32_and_a_large_offset() -> None:
    residuals = draw(200, 10).astype(np.float32)
    ours = rsa.noise_precision(residuals)
    assert ours.dtype == np.float64
    close(ours, rsa.noise_precision(residuals.astype(np.float64)))
    np.testing.assert_allclose(
        rsa.noise_precision(residuals.astype(np.float64) + 1e6), ours, rtol=1e-6, atol=1e-8
    )


def spoil(change: str) -> Array:
    residuals = draw(20, 8)
    if change == "nan":
        residuals[3, 2] = residuals[4, 5] = np.nan
    else:
        residuals[:, 6] = 3.0
    return residuals


@pytest.mark.parametrize(
    ("residuals", "options", "message"),
    [
        (spoil("nan"), {}, r"residuals must be finite.*2 of 8 channels have such values: 2, 5"),
        (spoil("constant"), {}, r"channel 6 \(1 of 8 in all\) does not"),
        (draw(8, 20), {"method": "full"}, "positive definite.*Shrink it"),
        (draw(8, 4), {"method": "eye"}, "'shrunk-diagonal'.*got 'eye'"),
        (draw(8, 4), {"dof": 0}, "positive degrees of freedom; got 0"),
        (draw(8, 4)[0], {}, "2-D or 3-D"),
    ],
)
def test_wrong_residuals(residuals: Array, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rsa.noise_precision(residuals, **options)


def test_residuals_within_cells() -> None:
    """Repeats within runs, unequal in number."""
    rng = np.random.default_rng(1)
    conditions = np.array(list("aaabbbcccaab"))
    runs = np.array([1, 1, 2, 1, 2, 2, 1, 2, 2, 2, 1, 1])
    patterns = rng.standard_normal((12, 3))
    ours, dof = repeat_residuals(patterns, conditions, runs)
    expected = patterns.copy()
    cells = set(zip(conditions, runs, strict=True))
    for condition, run in cells:
        here = (conditions == condition) & (runs == run)
        expected[here] -= patterns[here].mean(0)
    close(ours, expected)
    assert dof == 12 - len(cells)


def test_residuals_over_runs_leave_effects_of_runs_and_conditions_out() -> None:
    rng = np.random.default_rng(2)
    n_run, n_cond = 4, 6
    noise = rng.standard_normal((n_run, n_cond, 5))
    effects = 50 * rng.standard_normal((n_run, 1, 5)) + 50 * rng.standard_normal((1, n_cond, 5))
    labels = np.tile(np.arange(n_cond), n_run), np.repeat(np.arange(n_run), n_cond)
    ours, dof = repeat_residuals((noise + effects).reshape(-1, 5), *labels)
    centred = noise - noise.mean(0) - noise.mean(1, keepdims=True) + noise.mean((0, 1))
    np.testing.assert_allclose(ours, centred.reshape(-1, 5), rtol=0, atol=1e-11)
    assert dof == (n_run - 1) * (n_cond - 1)


def test_nothing_is_repeated() -> None:
    patterns = draw(6, 3)
    with pytest.raises(ValueError, match="no condition is repeated"):
        repeat_residuals(patterns, list("abcdef"), None)
    with pytest.raises(ValueError, match="no condition comes in two runs"):
        repeat_residuals(patterns, list("abcdef"), [1, 1, 1, 2, 2, 2])
