"""t tests against SciPy and pingouin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray

from dnnbrain_cpp import stats
from tolerances import TOLERANCES

CLOSE = {"rtol": TOLERANCES["fp64_score"], "atol": TOLERANCES["fp64_score"]}


def pair(n: int = 15, m: int = 15) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(n)
    return rng.normal(0.4, 1, (n, 3, 2)), rng.normal(0, 2, (m, 3, 2))


def check(ours: stats.TTestResult, theirs: Any, confidence: float) -> None:
    interval = theirs.confidence_interval(confidence)
    np.testing.assert_allclose(ours.t, theirs.statistic, **CLOSE)
    np.testing.assert_allclose(ours.p, theirs.pvalue, **CLOSE)
    np.testing.assert_allclose(ours.df, np.broadcast_to(theirs.df, ours.t.shape), **CLOSE)
    np.testing.assert_allclose(ours.ci_low, interval.low, **CLOSE)
    np.testing.assert_allclose(ours.ci_high, interval.high, **CLOSE)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_equal_to_scipy(alternative: Any) -> None:
    a, b = pair()
    same: dict[str, Any] = {"alternative": alternative}
    ours = stats.ttest(a, popmean=0.3, **same)
    check(ours, scipy.stats.ttest_1samp(a, 0.3, **same), 0.95)
    ours = stats.ttest(a, b, paired=True, confidence=0.9, **same)
    check(ours, scipy.stats.ttest_rel(a, b, **same), 0.9)
    a, b = pair(15, 8)
    check(stats.ttest(a, b, **same), scipy.stats.ttest_ind(a, b, **same), 0.95)
    check(
        stats.ttest(a, b, equal_var=False, **same),
        scipy.stats.ttest_ind(a, b, equal_var=False, **same),
        0.95,
    )


def test_effect_sizes_are_those_of_pingouin() -> None:
    pingouin = pytest.importorskip("pingouin")
    a, b = (x[:, 0, 0] for x in pair(15, 8))
    for effect, name in ((stats.ttest(a, b).d, "cohen"), (stats.ttest(a, b).g, "hedges")):
        np.testing.assert_allclose(effect, pingouin.compute_effsize(a, b, eftype=name), **CLOSE)
    table = pingouin.ttest(a, 0)
    np.testing.assert_allclose(abs(stats.ttest(a).d), table["cohen_d"].iloc[0], **CLOSE)
    a, b = (x[:, 0, 0] for x in pair())
    d_z = (a - b).mean() / (a - b).std(ddof=1)
    np.testing.assert_allclose(stats.ttest(a, b, paired=True).d, d_z, **CLOSE)


def test_pairs_that_agree_are_lost_to_the_unpaired_test() -> None:
    rng = np.random.default_rng(0)
    subject = rng.normal(0, 1, (15, 1))
    a = subject + rng.normal(0.1, 0.05, (15, 7))
    b = subject + rng.normal(0.0, 0.05, (15, 7))
    assert (stats.ttest(a, b, paired=True).p < 0.01).all()
    assert (stats.ttest(a, b).p > 0.5).all()


def test_far_tails_keep_their_digits() -> None:
    a = 10.0 + np.random.default_rng(1).standard_normal(200)
    expected = scipy.stats.t.logsf(stats.ttest(a).t, 199)
    assert stats.ttest(a, alternative="greater").p < 1e-100
    np.testing.assert_allclose(
        np.log(stats.ttest(a, alternative="greater").p), expected, rtol=TOLERANCES["fp64_score"]
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_without_variance(value: float) -> None:
    flat = np.full((6, 2), value)
    same = stats.ttest(flat, flat, paired=True)
    assert np.isnan(same.t).all()
    assert np.isnan(same.p).all()
    apart = stats.ttest(flat + 1, flat)
    assert (apart.t == np.inf).all()
    assert (apart.p == 0).all()
    assert np.isnan(stats.ttest(flat, flat, equal_var=False).p).all()


def test_axes_and_kinds_of_arrays() -> None:
    a, b = pair()
    expected = stats.ttest(a, b, paired=True).t
    turned = stats.ttest(a.transpose(1, 2, 0), b.transpose(1, 2, 0), paired=True, axis=-1)
    np.testing.assert_allclose(turned.t, expected, **CLOSE)
    tensors = stats.ttest(torch.from_numpy(a), torch.from_numpy(b), paired=True)
    np.testing.assert_array_equal(tensors.t, expected)
    assert stats.ttest([1.0, 2.0, 3.0]).t.shape == ()
    alone = stats.ttest([1.0, 2.0, 3.0], 2.5 * np.ones(1))
    np.testing.assert_allclose(alone.t, scipy.stats.ttest_ind([1, 2, 3], [2.5]).statistic, **CLOSE)


def test_as_text_and_table() -> None:
    result = stats.ttest([1.0, 2.0, 4.0], [0.0, 1.5, 2.0], paired=True)
    assert repr(result) == (
        "TTestResult: paired, two-sided, t(2) = 2.646, p = 0.1181, d = 1.528, "
        "95% of [-0.7306, 3.064]"
    )
    table = stats.ttest(pair()[0]).to_frame()
    assert len(table) == 6
    assert list(table.columns[:3]) == ["axis_0", "axis_1", "t"]
    assert repr(stats.ttest(pair()[0])) == "TTestResult: one-sample, two-sided, 6 tests"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0],), {}, "a must hold at least 2 samples; got 1"),
        (([1.0, np.nan],), {}, "a must be finite"),
        (([1.0, 2.0], [1.0]), {"paired": True}, "equally many; got 2 and 1"),
        (([1.0, 2.0],), {"paired": True}, "needs b"),
        (([1.0], [1.0]), {}, "3 samples in all"),
        (([1.0, 2.0], [1.0]), {"equal_var": False}, "2 of each if variances differ"),
        (([1.0, 2.0],), {"axis": 1}, "axis must be one of a, which has 1; got 1"),
        (([1.0, 2.0],), {"confidence": 1.0}, "confidence must be in"),
        (([1.0, 2.0],), {"alternative": "larger"}, "alternative must be one of"),
    ],
)
def test_what_is_refused(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stats.ttest(*arguments, **options)
