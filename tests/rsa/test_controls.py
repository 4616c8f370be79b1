"""Partial and semi-partial scores, and their permutation tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import pearsonr, rankdata

from dnnbrain_cpp import rsa
from dnnbrain_cpp._native import core
from oracle.rsa import SCORES, p_values, relabel
from tolerances import TOLERANCES

N_COND = 10
N_PAIR = N_COND * (N_COND - 1) // 2
ROUNDING = TOLERANCES["fp64_score"]


def draw(n_rdm: int, seed: int) -> NDArray[np.float64]:
    shared = np.random.default_rng(99).standard_normal(N_PAIR)
    return shared + np.random.default_rng(seed).standard_normal((n_rdm, N_PAIR))


def residual(x: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
    design = np.column_stack([np.ones(len(x)), *z])
    return np.asarray(x - design @ np.linalg.lstsq(design, x, rcond=None)[0])


def by_regression(
    x: NDArray[Any], y: NDArray[Any], z: NDArray[Any], method: str, removal: str
) -> float:
    """Correlate, by the definition, what is left of x (and y) after regression on z."""
    if method == "spearman":
        x, y, z = rankdata(x), rankdata(y), rankdata(z, axis=1)
    other = residual(y, z) if removal == "partial" else y
    return float(pearsonr(residual(x, z), other).statistic)


@pytest.mark.parametrize("method", ["corr", "spearman"])
@pytest.mark.parametrize("removal", ["partial", "semi-partial"])
@pytest.mark.parametrize("n_control", [1, 3])
def test_scores_are_correlations_of_residuals(method: str, removal: str, n_control: int) -> None:
    models, data, controls = draw(3, 0), draw(2, 1), draw(n_control, 2)
    result = rsa.compare(models, data, method=method, controls=controls, removal=removal)
    expected = [[by_regression(x, y, controls, method, removal) for y in data] for x in models]
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=ROUNDING)
    assert result.ceiling is None
    assert len(result.controls) == n_control
    assert "without rdm-01" in repr(result)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("kind", ["partial", "semi-partial"])
def test_scores_equal_pingouin(method: str, kind: str) -> None:
    pingouin = pytest.importorskip("pingouin")
    x, y, z = draw(1, 3)[0], draw(1, 4)[0], draw(2, 5)
    frame = pd.DataFrame({"x": x, "y": y, "z1": z[0], "z2": z[1]})
    covariates = {"covar" if kind == "partial" else "x_covar": ["z1", "z2"]}
    expected = pingouin.partial_corr(frame, "x", "y", method=method, **covariates)["r"].iloc[0]
    result = rsa.compare(x, y, method=method, controls=z, removal=kind)
    assert result.scores[0, 0] == pytest.approx(expected, abs=ROUNDING)


def test_tau_is_kendalls_partial_tau() -> None:
    x, y, z = draw(1, 6)[0], draw(1, 7)[0], draw(1, 8)[0]
    tau = SCORES["tau-b"]
    xy, xz, yz = tau(x, y), tau(x, z), tau(y, z)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    result = rsa.compare(x, y, method="tau-b", controls=z)
    assert result.scores[0, 0] == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("removal", ["partial", "semi-partial"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_p_values_equal_a_loop(removal: str, alternative: str) -> None:
    """The model is relabelled, data and controls stay in place."""
    models, data, controls = draw(2, 9), draw(2, 10), draw(2, 11)
    orders = core.random_permutations(4, 0, 60, N_COND)
    null = np.array(
        [
            [
                [by_regression(relabel(x, order), y, controls, "corr", removal) for y in data]
                for x in models
            ]
            for order in orders
        ]
    )
    result = rsa.compare(
        models,
        data,
        method="corr",
        controls=controls,
        removal=removal,
        n_perm=60,
        alternative=alternative,
        random_state=4,
    )
    np.testing.assert_array_equal(
        result.p_values, p_values(null, result.scores, alternative, ROUNDING)
    )
    np.testing.assert_array_equal(
        result.group_p_values,
        p_values(null.mean(2), result.scores.mean(1), alternative, ROUNDING),
    )


def test_a_control_that_tells_nothing_changes_nothing() -> None:
    models, data = draw(2, 12), draw(2, 13)
    both = np.vstack([models, data])
    centred = both - both.mean(1, keepdims=True)
    noise = residual(np.random.default_rng(1).standard_normal(N_PAIR), both)
    assert np.abs(centred @ noise).max() < 1e-9
    plain = rsa.compare(models, data, method="corr").scores
    without = rsa.compare(models, data, method="corr", controls=noise).scores
    np.testing.assert_allclose(without, plain, rtol=0, atol=ROUNDING)


def test_a_control_explains_what_it_caused() -> None:
    """Model and data share nothing but the control: plain scores are high, partial ones are not."""
    rng = np.random.default_rng(2)
    cause = rng.standard_normal(N_PAIR)
    x, y = (cause + 0.3 * rng.standard_normal(N_PAIR) for _ in range(2))
    assert rsa.compare(x, y, method="corr").scores[0, 0] > 0.8
    assert abs(rsa.compare(x, y, method="corr", controls=cause).scores[0, 0]) < 0.4


def test_controls_join_by_id() -> None:
    ids = [f"c{i}" for i in range(N_COND)]
    x, y, z = draw(1, 14), draw(1, 15), draw(1, 16)
    order = np.random.default_rng(3).permutation(N_COND)
    expected = rsa.compare(x, y, method="corr", controls=z).scores
    result = rsa.compare(
        rsa.RDMs(x, ids=ids),
        rsa.RDMs(y, ids=ids),
        method="corr",
        controls=rsa.RDMs(relabel(z[0], order), ids=[ids[i] for i in order]),
    )
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=ROUNDING)


def test_controls_that_cannot_be_taken_out() -> None:
    x, y, z = draw(2, 17), draw(2, 18), draw(1, 19)
    for method in ("tau-a", "rho-a"):
        with pytest.raises(ValueError, match=f"{method} of an RDM with itself is below 1"):
            rsa.compare(x, y, method=method, controls=z)
    with pytest.raises(ValueError, match="they determine that of model 1"):
        rsa.compare(x, y, method="corr", controls=x[1])
    with pytest.raises(ValueError, match="something of each subject's RDM"):
        rsa.compare(x, y, method="corr", controls=y[0])
    with pytest.raises(ValueError, match="must not determine each other"):
        rsa.compare(x, y, method="corr", controls=np.vstack([z, 2 * z + 1]))
    with pytest.raises(ValueError, match="not all equal; those of 'rdm-01' in controls"):
        rsa.compare(x, y, method="corr", controls=np.ones(N_PAIR))
    with pytest.raises(ValueError, match="removal must be one of"):
        rsa.compare(x, y, method="corr", controls=z, removal="both")
