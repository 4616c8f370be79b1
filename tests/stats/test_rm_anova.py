"""Repeated-measures ANOVA against its formulas, pingouin and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from dnnbrain_cpp import stats
from oracle.anova import long_frame, two_way_sums
from tolerances import TOLERANCES

CLOSE = {"rtol": TOLERANCES["fp64_score"], "atol": TOLERANCES["fp64_score"]}
TWO = ("network", "layer")
# pingouin's own use of pandas
PINGOUIN = pytest.mark.filterwarnings("ignore:The inplace keyword")


def measurements(
    *levels: int, n_subject: int = 9, seed: int = 0, offset: float = 0.0
) -> NDArray[np.float64]:
    """Cells of unequal variance that correlate within subjects, so that sphericity fails."""
    rng = np.random.default_rng(seed)
    n_cell = int(np.prod(levels))
    mixed = rng.standard_normal((n_subject, n_cell)) @ rng.standard_normal((n_cell, n_cell))
    means = rng.standard_normal(n_cell)
    return (offset + mixed + means).reshape(n_subject, *levels)


@pytest.mark.parametrize(("n_subject", "a", "b"), [(15, 2, 7), (4, 3, 2), (2, 2, 2)])
def test_sums_of_squares_by_definition(n_subject: int, a: int, b: int) -> None:
    y = measurements(a, b, n_subject=n_subject)
    result = stats.rm_anova(y, within=TWO)
    for name, (ss, ss_error) in two_way_sums(y).items():
        d = {"network": a - 1, "layer": b - 1, "network:layer": (a - 1) * (b - 1)}[name]
        effect = result[name]
        assert (effect.df, effect.df_error) == (d, d * (n_subject - 1))
        np.testing.assert_allclose([effect.ss, effect.ss_error], [ss, ss_error], **CLOSE)
        f = (ss / d) / (ss_error / effect.df_error)
        np.testing.assert_allclose(effect.f, f, **CLOSE)
        np.testing.assert_allclose(effect.p, f_distribution.sf(f, d, effect.df_error), **CLOSE)
        np.testing.assert_allclose(effect.eta2_partial, ss / (ss + ss_error), **CLOSE)


@PINGOUIN
@pytest.mark.parametrize("levels", [(2, 7), (3, 4), (3, 2)])
def test_two_way_is_that_of_pingouin(levels: tuple[int, int]) -> None:
    pingouin = pytest.importorskip("pingouin")
    y = measurements(*levels, n_subject=15)
    table = pingouin.rm_anova(
        data=long_frame(y, TWO, "tau"),
        dv="tau",
        within=list(TWO),
        subject="subject",
        effsize="ng2",
        detailed=True,
    )
    result = stats.rm_anova(y, within=TWO)
    assert list(result) == ["network", "layer", "network:layer"]
    for effect, row in zip(result.values(), table.itertuples(), strict=True):
        ours = [effect.ss, effect.f, effect.p, effect.p_gg, effect.eps_gg, effect.eta2_generalized]
        theirs = [row.SS, row.F, row.p_unc, row.p_GG_corr, row.eps, row.ng2]
        np.testing.assert_allclose(ours, theirs, **CLOSE)
        assert (effect.df, effect.df_error) == (row.ddof1, row.ddof2)
        if effect.df > 1:
            np.testing.assert_allclose(
                [effect.mauchly_w, effect.mauchly_p], [row.W_spher, row.p_spher], **CLOSE
            )


@PINGOUIN
@pytest.mark.parametrize("n_level", [2, 3, 7])
def test_one_way_is_that_of_pingouin(n_level: int) -> None:
    pingouin = pytest.importorskip("pingouin")
    y = measurements(n_level, n_subject=12)
    frame = long_frame(y, ("layer",), "tau")
    where = {"dv": "tau", "within": "layer", "subject": "subject"}
    row = pingouin.rm_anova(
        data=frame, correction=True, effsize="np2", detailed=True, **where
    ).iloc[0]
    effect = stats.rm_anova(y, within=["layer"])["layer"]
    np.testing.assert_allclose(
        [effect.ss, effect.f, effect.p, effect.eta2_partial],
        [row.SS, row.F, row.p_unc, row.np2],
        **CLOSE,
    )
    for correction, ours in (("gg", effect.eps_gg), ("hf", effect.eps_hf)):
        theirs = pingouin.epsilon(frame, correction=correction, **where)
        np.testing.assert_allclose(ours, theirs, **CLOSE)
    np.testing.assert_allclose(
        effect.p_hf,
        f_distribution.sf(effect.f, effect.eps_hf * effect.df, effect.eps_hf * effect.df_error),
        **CLOSE,
    )
    if n_level > 2:
        sphericity = pingouin.sphericity(frame, **where)
        np.testing.assert_allclose(
            [effect.mauchly_w, effect.mauchly_p], [sphericity.W, sphericity.pval], **CLOSE
        )


def test_three_way_is_that_of_statsmodels() -> None:
    anova = pytest.importorskip("statsmodels.stats.anova")
    factors = ("network", "layer", "region")
    y = measurements(2, 3, 4, n_subject=6)
    frame = long_frame(y, factors, "tau")
    table = anova.AnovaRM(frame, "tau", "subject", within=list(factors)).fit().anova_table
    result = stats.rm_anova(y, within=factors)
    assert list(result) == list(table.index)
    np.testing.assert_allclose(
        [[e.f, e.df, e.df_error, e.p] for e in result.values()], table.to_numpy(float), **CLOSE
    )


def test_epsilon_and_w_from_the_covariance_of_explicit_contrasts() -> None:
    """Of an interaction: differences between networks, seen through any basis of the layers."""
    y = measurements(2, 5, n_subject=11)
    difference = (y[:, 1] - y[:, 0]) / np.sqrt(2)
    basis = np.linalg.svd(np.eye(5) - 1 / 5)[0][:, :4]
    covariance = np.cov(difference @ basis, rowvar=False)
    values = np.linalg.eigvalsh(covariance)
    effect = stats.rm_anova(y)["network:layer"]
    gg = values.sum() ** 2 / (4 * (values**2).sum())
    hf = min(1.0, (11 * 4 * gg - 2) / (4 * (10 - 4 * gg)))
    np.testing.assert_allclose(effect.eps_gg, gg, **CLOSE)
    np.testing.assert_allclose(effect.eps_hf, hf, **CLOSE)
    np.testing.assert_allclose(effect.mauchly_w, values.prod() / values.mean() ** 4, **CLOSE)


@pytest.mark.parametrize("shape", [(), (1,), (5, 3), (0,)])
def test_many_at_once_are_each_by_itself(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    y = rng.standard_normal((7, 2, 4, *shape)) + rng.standard_normal((2, 4, *shape))
    result = stats.rm_anova(y)
    assert result.shape == shape
    for place in np.ndindex(*shape):
        alone = stats.rm_anova(y[(slice(None),) * 3 + place])
        for name, effect in result.items():
            for field, values in vars(alone[name]).items():
                got = getattr(effect, field)
                np.testing.assert_allclose(got[place] if np.ndim(got) else got, values, **CLOSE)
    for effect in result.values():
        assert effect.f.shape == shape


def test_more_than_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.random.default_rng(4).standard_normal((5, 2, 3, 50))
    whole = stats.rm_anova(y)
    monkeypatch.setattr("dnnbrain_cpp.stats._rm_anova._CHUNK", 5 * 6 * 7)
    parts = stats.rm_anova(y)
    for name, effect in whole.items():
        np.testing.assert_allclose(parts[name].f, effect.f, **CLOSE)


def test_a_shift_and_a_scale_change_nothing() -> None:
    y = measurements(2, 7, n_subject=15)
    before = stats.rm_anova(y)
    after = stats.rm_anova(1000.0 + 1e-3 * y)
    for name, effect in before.items():
        np.testing.assert_allclose(
            [after[name].f, after[name].eps_gg], [effect.f, effect.eps_gg], rtol=1e-7
        )


def test_what_a_subject_adds_to_all_cells_changes_nothing() -> None:
    y = measurements(2, 7, n_subject=15)
    moved = y + 10.0 * np.arange(15)[:, None, None]
    before, after = stats.rm_anova(y), stats.rm_anova(moved)
    for name, effect in before.items():
        np.testing.assert_allclose(after[name].f, effect.f, rtol=TOLERANCES["fp64_score"])
    # but for the effect size whose denominator holds differences between subjects
    assert after["layer"].eta2_generalized < before["layer"].eta2_generalized


def test_the_order_of_levels_and_subjects_does_not_matter() -> None:
    y = measurements(3, 4, n_subject=8)
    rng = np.random.default_rng(0)
    shuffled = y[rng.permutation(8)][:, rng.permutation(3)][:, :, rng.permutation(4)]
    before, after = stats.rm_anova(y), stats.rm_anova(shuffled)
    for name, effect in before.items():
        np.testing.assert_allclose(after[name].mauchly_w, effect.mauchly_w, **CLOSE)
        np.testing.assert_allclose(after[name].p_gg, effect.p_gg, **CLOSE)


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])
def test_without_variance(level: float) -> None:
    """Nothing varies: NaN. Only the effect varies: infinite F and p = 0. No warnings."""
    flat = np.full((5, 2, 3), level)
    result = stats.rm_anova(flat)
    for effect in result.values():
        assert np.isnan(effect.f)
        assert np.isnan(effect.p)
        assert np.isnan(effect.eps_gg)
        assert np.isnan(effect.eta2_partial)
    stepped = flat + np.arange(3.0)
    effect = stats.rm_anova(stepped)["layer"]
    assert effect.f == np.inf
    assert effect.p == 0
    assert effect.eta2_partial == 1
    assert np.isnan(stats.rm_anova(stepped)["network"].f)


def test_fewer_subjects_than_contrasts_leave_sphericity_open() -> None:
    effect = stats.rm_anova(measurements(7, n_subject=5), within=["layer"])["layer"]
    assert np.isnan(effect.mauchly_w)
    assert np.isnan(effect.mauchly_p)
    assert 1 / 6 <= effect.eps_gg <= effect.eps_hf <= 1


def test_a_table_and_an_array_give_the_same() -> None:
    y = measurements(2, 7, n_subject=15)
    frame = long_frame(y, TWO, "tau").sample(frac=1, random_state=0)
    ours = stats.rm_anova(frame, within=TWO, value="tau")
    for name, effect in stats.rm_anova(y).items():
        np.testing.assert_allclose(ours[name].p_gg, effect.p_gg, **CLOSE)
    frame["twice"] = 2 * frame["tau"]
    several = stats.rm_anova(frame, within=TWO, value=["tau", "twice"])
    assert several.targets == ("tau", "twice")
    np.testing.assert_allclose(several["layer"].f, [ours["layer"].f] * 2, **CLOSE)
    assert list(several.to_frame()["target"]) == ["tau", "twice"] * 3


def test_what_goes_in() -> None:
    y = measurements(2, 3)
    expected = stats.rm_anova(y)["layer"].f
    frozen = np.asfortranarray(y)
    frozen.flags.writeable = False
    before = frozen.copy()
    for same in (torch.from_numpy(y), y.tolist(), frozen):
        np.testing.assert_allclose(stats.rm_anova(same)["layer"].f, expected, **CLOSE)
    np.testing.assert_array_equal(frozen, before)
    single = stats.rm_anova(y.astype(np.float32))["layer"].f
    np.testing.assert_allclose(single, expected, rtol=TOLERANCES["fp32_reduction"])


def test_as_text_and_table() -> None:
    result = stats.rm_anova(measurements(2, 7, n_subject=15))
    assert repr(result).startswith("AnovaResult: 15 subjects\n")
    assert "network:layer" in repr(result)
    table = result.to_frame()
    assert list(table["effect"]) == ["network", "layer", "network:layer"]
    assert list(table["df_error"]) == [14, 84, 84]
    many = stats.rm_anova(measurements(2, 3, 4), within=TWO)
    assert (
        repr(many) == "AnovaResult: 9 subjects, 4 analyses; effects network, layer, network:layer"
    )
    assert list(many.to_frame()["axis_0"]) == [0, 1, 2, 3] * 3
    with pytest.raises(KeyError, match="there are network, layer, network:layer"):
        result["region"]


def _frame(**changes: Any) -> pd.DataFrame:
    return long_frame(measurements(2, 3), TWO, "score").assign(**changes)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (np.zeros((5, 2)), {}, r"an axis of subjects and one per factor \(network, layer\)"),
        (np.zeros((1, 2, 3)), {}, "at least 2 subjects; got 1"),
        (np.zeros((5, 1, 3)), {}, "factor 'network' must have at least 2 levels; got 1"),
        (np.full((5, 2, 3), np.nan), {}, "y must be finite"),
        (np.zeros((5, 2, 3)), {"within": ()}, "one to 6 factors"),
        (np.zeros((5, 2, 3)), {"within": ("a", "a")}, "different factors"),
        (_frame(), {"value": "tau"}, "must have 'tau'; its columns are subject, network, layer"),
        (_frame(), {"value": []}, "must have a column of values"),
        (_frame().iloc[1:], {}, "there are 0 for subject 'subject0', network 'network0', layer"),
        (pd.concat([_frame(), _frame()]), {}, "there are 2 for subject 'subject0'"),
        (_frame(score=np.nan), {}, "y must be finite"),
        (_frame(layer=None), {}, "column 'layer' must be known in every row"),
    ],
)
def test_what_is_refused(y: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stats.rm_anova(y, **options)  # type: ignore[arg-type]
