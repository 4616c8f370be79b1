"""Adjusted p-values against SciPy, statsmodels and the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from dnnbrain_cpp import stats
from tolerances import TOLERANCES

CLOSE = {"rtol": TOLERANCES["fp64_reduction"], "atol": TOLERANCES["fp64_reduction"]}
STATSMODELS = {"bh": "fdr_bh", "by": "fdr_by", "holm": "holm", "bonferroni": "bonferroni"}

p_values = arrays(np.float64, array_shapes(max_dims=3, max_side=6), elements=st.floats(0, 1))


def by_definition(p: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Each test's smallest level, one test and one comparison at a time."""
    m = len(p)
    ordered = sorted(p)
    weight = {"by": sum(1 / i for i in range(1, m + 1))}.get(method, 1.0)
    out = []
    for value in p:
        if method == "bonferroni":
            level = m * value
        elif method == "holm":
            level = max((m - i) * q for i, q in enumerate(ordered) if q <= value)
        else:
            level = min(weight * m * q / i for i, q in enumerate(ordered, 1) if q >= value)
        out.append(min(level, 1.0))
    return np.array(out)


@pytest.mark.parametrize("method", stats.METHODS)
@pytest.mark.parametrize("n", [1, 2, 17, 400])
def test_equal_to_the_definition(method: str, n: int) -> None:
    p = np.random.default_rng(n).random(n) ** 3
    np.testing.assert_allclose(stats.adjust(p, method=method), by_definition(p, method), **CLOSE)


@given(p_values, st.sampled_from(["bh", "by"]), st.booleans())
def test_equal_to_scipy(p: NDArray[np.float64], method: str, along: bool) -> None:
    axis = p.ndim - 1 if along else None
    expected = false_discovery_control(p if along else p.ravel(), axis=-1, method=method)
    np.testing.assert_allclose(
        stats.adjust(p, method=method, axis=axis), expected.reshape(p.shape), **CLOSE
    )


@pytest.mark.parametrize("method", stats.METHODS)
def test_equal_to_statsmodels(method: str) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.round(np.random.default_rng(0).random(300) ** 4, 3)  # with ties
    expected = multitest.multipletests(p, method=STATSMODELS[method])[1]
    np.testing.assert_allclose(stats.adjust(p, method=method), expected, **CLOSE)


@pytest.mark.parametrize("method", stats.METHODS)
def test_nan_stays_and_does_not_count(method: str) -> None:
    rng = np.random.default_rng(1)
    p = rng.random((4, 9)) ** 2
    p[rng.random(p.shape) < 0.3] = np.nan
    p[2] = np.nan
    adjusted = stats.adjust(p, method=method, axis=1)
    for row, out in zip(p, adjusted, strict=True):
        known = np.isfinite(row)
        np.testing.assert_array_equal(np.isnan(out), ~known)
        if known.any():
            np.testing.assert_allclose(out[known], stats.adjust(row[known], method=method), **CLOSE)
    known = np.isfinite(p)
    np.testing.assert_allclose(
        stats.adjust(p, method=method)[known], stats.adjust(p[known], method=method), **CLOSE
    )


@pytest.mark.parametrize("method", stats.METHODS)
def test_adjusted_values_keep_the_order_and_are_never_smaller(method: str) -> None:
    p = np.random.default_rng(2).random(200) ** 3
    adjusted = stats.adjust(p, method=method)
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()


def test_the_false_discovery_rate_is_controlled() -> None:
    rng = np.random.default_rng(3)
    rates = []
    for _ in range(300):
        p = np.concatenate([rng.random(160), rng.random(40) * 1e-3])
        found = stats.adjust(p) <= 0.1
        rates.append(found[:160].sum() / max(found.sum(), 1))
    assert np.mean(rates) == pytest.approx(0.1 * 160 / 200, abs=0.01)


def test_shapes_and_kinds_of_arrays() -> None:
    p = np.random.default_rng(4).random((3, 4, 5))
    np.testing.assert_array_equal(stats.adjust(p, axis=-2), stats.adjust(p, axis=1))
    np.testing.assert_array_equal(stats.adjust(p, axis=0)[:, 1, 2], stats.adjust(p[:, 1, 2]))
    np.testing.assert_array_equal(stats.adjust(torch.from_numpy(p)), stats.adjust(p))
    np.testing.assert_array_equal(stats.adjust(p.tolist()), stats.adjust(p))
    frozen = p[:, ::2].copy()
    frozen.flags.writeable = False
    stats.adjust(frozen)
    assert stats.adjust(np.empty((0, 3)), axis=0).shape == (0, 3)
    assert stats.adjust(0.03).shape == ()
    assert stats.adjust(0.03) == 0.03


@pytest.mark.parametrize(
    ("p", "options", "error", "message"),
    [
        ([0.5, 1.5], {}, ValueError, r"in \[0, 1\]; 1 of 2 values are not, such as 1.5"),
        ([-0.1], {}, ValueError, r"such as -0.1"),
        ([np.inf], {}, ValueError, r"such as inf"),
        ([0.5], {"method": "fdr"}, ValueError, "method must be one of 'bh', 'by', 'holm'"),
        ([0.5], {"axis": 1}, ValueError, "axis must be one of p, which has 1; got 1"),
        ([0.5], {"axis": 0.0}, TypeError, "axis must be an integer or None"),
        ([0.5], {"axis": True}, TypeError, "axis must be an integer or None"),
        (["a"], {}, TypeError, "real numbers"),
    ],
)
def test_what_is_refused(
    p: object, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        stats.adjust(p, **options)  # type: ignore[arg-type]
