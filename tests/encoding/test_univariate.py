"""Single units: closed forms against a line refitted for each unit, target and fold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    KFold,
    LeaveOneGroupOut,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_val_score,
)

from dnnbrain_cpp._native import core
from dnnbrain_cpp.encoding import univariate
from dnnbrain_cpp.exceptions import AlignmentWarning, Cancelled, ConstantTargetWarning
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.linear import FoldPlan
from tolerances import TOLERANCES

SCORINGS = ["r", "r2", "ev"]
SELECTIONS = ["nested", "nested-cv", "non-nested"]
N_STIM = 42


def simulate(
    n_stim: int = N_STIM, n_feat: int = 7, n_vox: int = 5, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Units with offsets; targets that follow one unit each, upwards or downwards."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_stim, n_feat)) + 3 * rng.standard_normal(n_feat)
    y = x[:, rng.integers(0, n_feat, n_vox)] * rng.choice([-0.6, 0.6], n_vox)
    return x, y + rng.standard_normal((n_stim, n_vox)) + rng.standard_normal(n_vox)


def score(measured: NDArray[Any], predicted: NDArray[Any], scoring: str) -> float:
    if (measured == measured[0]).all():
        return float("nan")
    residual = measured - predicted
    if scoring == "r2":
        return float(1 - (residual**2).sum() / ((measured - measured.mean()) ** 2).sum())
    if np.ptp(predicted) <= 1e-12 * abs(predicted).max():
        return 0.0
    if scoring == "ev":
        return float(1 - residual.var() / measured.var())
    return float(np.corrcoef(measured, predicted)[0, 1])


def line_score(x: Any, y: Any, train: Any, test: Any, scoring: str) -> float:
    """Fit and score the line of one unit and one target, with digits to spare."""
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    within, offset = x[train] - x[train].mean(), y[train].mean()
    varies = (x[train] != x[train[0]]).any() and (y[train] != y[train[0]]).any()
    slope = (within @ (y[train] - offset)) / (within @ within) if varies else 0.0
    return score(y[test], offset + slope * (x[test] - x[train].mean()), scoring)


def all_scores(x: Any, y: Any, plan: FoldPlan, scoring: str) -> NDArray[np.float64]:
    """Each unit, target and fold, shape (n_fold, n_feat, n_vox)."""
    return np.array(
        [
            [[line_score(unit, target, train, test, scoring) for target in y.T] for unit in x.T]
            for train, test in plan
        ]
    )


def mean(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over folds that have a score."""
    counted = np.isfinite(scores).sum(0)
    return np.where(counted > 0, np.nansum(scores, 0) / np.maximum(counted, 1), np.nan)


def best_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    known = np.where(np.isnan(values), -np.inf, values)
    return np.where(np.isnan(values).all(0), -1, known.argmax(0))


def training_scores(x: Any, y: Any, rows: Any) -> NDArray[np.float64]:
    return np.array([[np.corrcoef(u[rows], v[rows])[0, 1] ** 2 for v in y.T] for u in x.T])


def choose(x: Any, y: Any, plan: FoldPlan, scoring: str, selection: str) -> tuple[Any, Any, Any]:
    """Return (best unit, unit of each fold, their scores), the obvious way."""
    scores = all_scores(x, y, plan, scoring)
    if selection == "nested":
        best = best_of(training_scores(x, y, np.arange(len(x))))
        units = np.array([best_of(training_scores(x, y, train)) for train, _ in plan])
    else:
        best = best_of(mean(scores))
        units = np.tile(best, (len(plan), 1))
    if selection == "nested-cv":
        for fold, (train, _) in enumerate(plan):
            inner = [
                (np.setdiff1d(train, test), test)
                for other, (_, test) in enumerate(plan)
                if other != fold
            ]
            inner_plan = FoldPlan.make(inner, n_stim=len(x))
            units[fold] = best_of(mean(all_scores(x, y, inner_plan, scoring)))
    chosen = np.take_along_axis(scores, np.maximum(units, 0)[:, None], 1)[:, 0]
    return best, units, np.where(units < 0, np.nan, chosen)


def check(x: Any, y: Any, selection: str, scoring: str, **options: Any) -> None:
    plan = FoldPlan.make(options.get("cv", 10), n_stim=len(x), groups=options.get("groups"))
    best, units, scores = choose(x, y, plan, scoring, selection)
    ours = univariate(x, y, scoring=scoring, selection=selection, return_unit_means=True, **options)
    np.testing.assert_array_equal(ours.best_unit["features"], best)
    np.testing.assert_array_equal(ours.fold_units["features"], units)
    tolerance = TOLERANCES["fp64_score"]
    np.testing.assert_allclose(ours.scores["features"], scores, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        ours.unit_means["features"],
        mean(all_scores(x, y, plan, scoring)),
        rtol=tolerance,
        atol=tolerance,
    )


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("cv", [3, 5, KFold(8, shuffle=True, random_state=1)], ids=repr)
def test_partitions(cv: Any, selection: str, scoring: str) -> None:
    check(*simulate(), selection, scoring, cv=cv)


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("selection", ["nested", "non-nested"])
@pytest.mark.parametrize(
    "cv",
    [
        ShuffleSplit(3, test_size=9, train_size=20, random_state=0),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        TimeSeriesSplit(3, gap=2),
        FoldPlan.make(4, n_stim=N_STIM, purge=2),
        [(np.r_[0:20, 5:10], np.arange(20, 30)), (np.arange(10), np.arange(10, 42))],
    ],
    ids=lambda cv: type(cv).__name__,
)
def test_any_folds(cv: Any, selection: str, scoring: str) -> None:
    """With gaps, overlaps, and stimuli that train twice, as in a bootstrap."""
    check(*simulate(), selection, scoring, cv=cv)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_groups(selection: str) -> None:
    groups = np.random.default_rng(0).integers(0, 5, N_STIM)
    x, y = simulate()
    check(x, y, selection, "r", cv="run", groups=groups)
    check(x, y, selection, "r", cv=LeaveOneGroupOut(), groups=groups)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize(("n_feat", "n_vox"), [(1, 1), (1, 3), (300, 1), (3, 70)])
def test_sizes(n_feat: int, n_vox: int, selection: str) -> None:
    """One of either; more than fit into a tile."""
    check(*simulate(12, n_feat, n_vox, seed=1), selection, "r", cv=3)


def test_the_same_as_scikit_learn_pair_by_pair() -> None:
    """DNNBrain's way: `cross_val_score` of each pair, the winner by its mean."""
    x, y = simulate(n_feat=4, n_vox=2)
    ours = univariate(x, y, scoring="r2", selection="non-nested")
    for target in range(2):
        pairs = [
            cross_val_score(LinearRegression(), x[:, [unit]], y[:, target], cv=10)
            for unit in range(4)
        ]
        winner = int(np.argmax([scores.mean() for scores in pairs]))
        assert ours.best_unit["features"][target] == winner
        np.testing.assert_allclose(
            ours.scores["features"][:, target],
            pairs[winner],
            rtol=TOLERANCES["fp64_score"],
            atol=TOLERANCES["fp64_score"],
        )


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("scoring", SCORINGS)
def test_units_and_targets_that_do_not_vary(scoring: str, selection: str) -> None:
    x, y = simulate(30, 4, 4)
    x[:, 0] = 0.1  # constant
    x[:24, 1] = 7.3  # constant in the training set of the last fold, and in the first four
    y[:6, 1] = 1.1  # constant in the first fold
    y[6:, 2] = 1.1  # constant in all but the first: that one has nothing to fit
    y[:, 3] = 0.3  # constant
    plan = FoldPlan.make(5, n_stim=30)
    scores = all_scores(x, y, plan, scoring)
    with pytest.warns(ConstantTargetWarning, match="3 of 4 targets"):
        ours = univariate(x, y, cv=5, scoring=scoring, selection=selection, return_unit_means=True)
    tolerance = TOLERANCES["fp64_score"]
    np.testing.assert_allclose(
        ours.unit_means["features"], mean(scores), rtol=tolerance, atol=tolerance
    )
    units = ours.fold_units["features"]
    expected = np.take_along_axis(scores, np.maximum(units, 0)[:, None], 1)[:, 0]
    np.testing.assert_allclose(
        ours.scores["features"],
        np.where(units < 0, np.nan, expected),
        rtol=tolerance,
        atol=tolerance,
    )
    if selection == "non-nested":
        np.testing.assert_array_equal(ours.best_unit["features"], best_of(mean(scores)))
    assert np.isnan(ours.scores["features"][:, 3]).all()
    if selection != "nested":
        assert ours.best_unit["features"][3] == -1
        assert (units[:, 3] == -1).all()
    if selection == "nested-cv":  # no other fold has a score to choose by
        assert units[0, 2] == -1


def test_signs_do_not_matter() -> None:
    x, y = simulate()
    up, down = univariate(x, y), univariate(-x, y)
    np.testing.assert_array_equal(up.best_unit["features"], down.best_unit["features"])
    np.testing.assert_array_equal(up.scores["features"], down.scores["features"])
    perfect = univariate(x, -2 * x[:, [3]] + 1)
    assert perfect.best_unit["features"][0] == 3
    np.testing.assert_allclose(perfect.scores["features"], 1, atol=TOLERANCES["fp64_score"])


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("scoring", SCORINGS)
def test_one_run_of_a_thousand_times_the_scale(scoring: str, selection: str) -> None:
    """Its own training set is summed over the others, not a total less its own."""
    x, y = simulate()
    x[:14] = 1000 * x[:14] + 500
    y[:14] *= 1000
    check(x, y, selection, scoring, cv=3)
    low = univariate(
        x.astype(np.float32), y, cv=3, scoring="r", selection=selection, return_unit_means=True
    )
    expected = mean(all_scores(x, y, FoldPlan.make(3, n_stim=N_STIM), "r"))
    np.testing.assert_allclose(
        low.unit_means["features"], expected, atol=TOLERANCES["fp32_reduction"]
    )


@pytest.mark.parametrize("scoring", SCORINGS)
def test_offsets_and_scales(scoring: str) -> None:
    x, y = simulate()
    check(x + 1e6, 1e3 * y - 1e6, "non-nested", scoring)
    check(1e-9 * x, 1e9 * y, "nested", scoring)
    # Rounded once, so that both see the same numbers.
    x = (x + 1e6).astype(np.float32)
    expected = mean(all_scores(x.astype(float), y, FoldPlan.make(10, n_stim=N_STIM), scoring))
    for offset in (0, 1e6):
        ours = univariate(x, y + offset, scoring=scoring, return_unit_means=True)
        means = ours.unit_means["features"]
        assert means.dtype == np.float32
        np.testing.assert_allclose(
            means, expected, rtol=TOLERANCES["fp32_reduction"], atol=TOLERANCES["fp32_reduction"]
        )


def test_of_equal_units_one_wins_and_the_first_of_a_tile() -> None:
    x, y = simulate()
    doubled = np.hstack([x, x])
    ours = univariate(doubled, y, selection="non-nested")
    np.testing.assert_array_equal(
        ours.best_unit["features"], univariate(x, y, selection="non-nested").best_unit["features"]
    )


def test_nested_scores_of_noise_lie_about_chance_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 400)), rng.standard_normal((60, 40))
    mean_of = {
        selection: float(univariate(x, y, cv=5, selection=selection).mean("features").mean())
        for selection in SELECTIONS
    }
    assert abs(mean_of["nested"]) < TOLERANCES["mean_of_40_null_correlations"]
    assert abs(mean_of["nested-cv"]) < TOLERANCES["mean_of_40_null_correlations"]
    assert mean_of["non-nested"] > 0.2


@pytest.mark.parametrize("selection", list(core.UnitSelection))
@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_loops_and_operators_agree(
    dtype: torch.dtype, scoring: str, selection: core.UnitSelection
) -> None:
    """The way of a GPU, on the CPU."""
    x, y = simulate(n_feat=300, n_vox=70)
    x[:, 3] = 1.0
    y[:, 2] = 1.0
    y[:10, 4] = 1.0
    plans = [FoldPlan.make(4, n_stim=N_STIM)]
    if selection != core.UnitSelection.inner_folds:
        plans.append(FoldPlan.make(4, n_stim=N_STIM, purge=1))
    for plan in plans:
        fused, operators = (
            core.cross_validate_units(
                torch.from_numpy(x).to(dtype),
                torch.from_numpy(y).to(dtype),
                plan.tensors(),
                core.FoldScore[scoring],
                selection,
                True,
                way,
                None,
            )
            for way in (True, False)
        )
        for one, other in zip(fused[:2], operators[:2], strict=True):
            assert torch.equal(one, other)
        for one, other in zip(fused[2:], operators[2:], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=TOLERANCES["fp64_score"])


@pytest.fixture
def two_threads() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.usefixtures("two_threads")
def test_same_bits_for_any_thread_count(selection: str) -> None:
    x, y = simulate(n_feat=600, n_vox=200)
    two = univariate(x, y, cv=4, selection=selection)
    torch.set_num_threads(1)
    one = univariate(x, y, cv=4, selection=selection)
    np.testing.assert_array_equal(one.scores["features"], two.scores["features"])
    np.testing.assert_array_equal(one.fold_units["features"], two.fold_units["features"])


def test_any_kind_of_array(tmp_path: Path) -> None:
    x, y = simulate()
    expected = univariate(x, y).scores["features"]
    read_only = x.copy()
    read_only.setflags(write=False)
    np.save(tmp_path / "x.npy", x)
    for like in (
        read_only,
        np.asfortranarray(x),
        np.repeat(x, 2, axis=1)[:, ::2],
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        torch.from_numpy(x).requires_grad_(),
        x.tolist(),
    ):
        np.testing.assert_array_equal(univariate(like, y).scores["features"], expected)
    on_cpu = univariate(x, torch.from_numpy(y), device="cpu")
    np.testing.assert_array_equal(on_cpu.scores["features"], expected)


def test_layers_ids_and_frames() -> None:
    x, y = (array.astype(np.float32) for array in simulate())
    ids = [f"s{i}" for i in range(N_STIM)]
    features = Features({"early": x[:, :3], "late": x[:, 3:]}, ids=ids)
    rois = ["v1", "v1", "it", "it", "it"]
    ours = univariate(features, Responses(y[::-1], ids=ids[::-1], rois=rois), cv=4)
    np.testing.assert_array_equal(
        ours.scores["late"], univariate(x[:, 3:], y, cv=4).scores["features"]
    )
    frame = ours.to_frame()
    assert list(frame.columns) == ["layer", "target", "roi", "fold", "unit", "score"]
    row = frame[(frame.layer == "late") & (frame.target == 3) & (frame.fold == 2)].iloc[0]
    assert row.unit == ours.fold_units["late"][2, 3]
    assert row.score == ours.scores["late"][2, 3]
    best = ours.best_units()
    assert list(best.columns) == ["layer", "target", "roi", "unit", "score", "agreement"]
    assert len(best) == 10
    np.testing.assert_array_equal(best.unit[5:], ours.best_unit["late"])
    np.testing.assert_allclose(
        best.agreement[5:], (ours.fold_units["late"] == ours.best_unit["late"]).mean(0)
    )
    assert "late" in repr(ours)
    assert ours.route["early"] == "native: one unit, nested"
    with pytest.warns(AlignmentWarning):
        univariate(features, Responses(y))


def test_channels_one_by_one() -> None:
    x, y = simulate(n_feat=12)
    ours = univariate(x.reshape(N_STIM, 3, 2, 2), y, iter_axis="channel")
    assert ours.layers == [f"features[channel={channel}]" for channel in range(3)]
    np.testing.assert_array_equal(
        ours.scores["features[channel=1]"], univariate(x[:, 4:8], y).scores["features"]
    )
    assert set(ours.to_frame().columns) >= {"channel", "unit"}
    assert list(ours.best_units().channel[:6]) == [0] * 5 + [1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scoring": "mse"}, ValueError, "'r', 'r2', 'ev'; got 'mse'"),
        ({"selection": "best"}, ValueError, "'nested', 'nested-cv', 'non-nested'; got 'best'"),
        ({"cv": N_STIM}, ValueError, "hold out at least 2 stimuli"),
        ({"cv": 2, "selection": "nested-cv"}, ValueError, "at least 3 folds.*KFold"),
        (
            {"cv": ShuffleSplit(5, random_state=0), "selection": "nested-cv"},
            ValueError,
            "ShuffleSplit.*Use selection='nested'",
        ),
        ({"groups": np.zeros(3)}, ValueError, r"groups must have shape \(42,\)"),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        univariate(*simulate(), **options)


def test_wrong_data() -> None:
    x, y = simulate()
    holes = x.copy()
    holes[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"must be finite.*\(2, 3\)"):
        univariate(holes, y)
    with pytest.raises(ValueError, match="has 42, the responses 41"):
        univariate(x, y[1:], cv=5)
    with pytest.raises(TypeError, match=r"'fc'.*Gram matrix has none"):
        univariate({"fc": Gram.from_features(x)}, y)
    with pytest.raises(AttributeError, match="return_unit_means=True"):
        univariate(x, y).unit_means  # noqa: B018 - the access is what raises


def test_core_checks_its_arguments() -> None:
    x, y = (torch.from_numpy(array) for array in simulate())
    folds = FoldPlan.make(3, n_stim=N_STIM).tensors()
    options = (core.FoldScore.r, core.UnitSelection.non_nested, False, True, None)
    for features, responses, rows, message in (
        (x, y.float(), folds, "dtype and device"),
        (x, y[1:], folds, "n_stim == 42"),
        (x[:, :0], y, folds, "at least one unit"),
        (x, y, [], "at least one fold"),
        (x, y, [(folds[0][0], folds[0][1][:1])], "fold 0 has 28 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            core.cross_validate_units(features, responses, rows, *options)
    with pytest.raises(ValueError, match="more is better"):
        core.cross_validate_units(x, y, folds, core.FoldScore.mse, *options[1:])


def test_progress_and_cancellation() -> None:
    x, y = simulate()
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((done, total))

    univariate({"a": x, "b": x}, y, progress=watch)
    assert seen.count((35, 35)) == 2
    with pytest.raises(Cancelled):
        univariate(x, y, progress=lambda done, total: False)
