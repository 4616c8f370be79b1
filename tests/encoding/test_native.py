"""PCA and least squares from the Gram matrix, against scikit-learn refitted in every fold."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline

from dnnbrain_cpp.encoding import encode
from dnnbrain_cpp.exceptions import ConstantTargetWarning
from dnnbrain_cpp.features import Gram
from oracle.encoding import pcr, refit
from tolerances import TOLERANCES

SCORINGS = ["r", "r2"]


def simulate(
    n_stim: int, n_feat: int, n_vox: int = 5, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features of decaying variance, non-zero means; responses that follow the first of them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_stim, n_feat)) / np.sqrt(1 + np.arange(n_feat))
    x = x @ np.linalg.qr(rng.standard_normal((n_feat, n_feat)))[0] + rng.standard_normal(n_feat)
    y = x[:, : min(4, n_feat)] @ rng.standard_normal((min(4, n_feat), n_vox))
    return x, y + 0.5 * rng.standard_normal((n_stim, n_vox)) + rng.standard_normal(n_vox)


def check(
    x: Any,
    y: NDArray[Any],
    k: int,
    splits: Any,
    *,
    tolerance: str = "fp64_score",
    **options: Any,
) -> None:
    for scoring in SCORINGS:
        scores = encode(x, y, estimator=pcr(k), scoring=scoring, **options)
        assert scores.route == {"features": f"native: PCA({k}) + least squares"}
        expected = refit(pcr(k), x, y, splits, scoring)
        np.testing.assert_allclose(  # r2 has no lower bound
            scores.scores["features"],
            expected,
            rtol=TOLERANCES[tolerance],
            atol=TOLERANCES[tolerance],
        )


@pytest.mark.parametrize(
    ("n_stim", "n_feat", "k"),
    [
        (60, 20, 5),  # tall
        (60, 20, 20),  # all of them: ordinary least squares
        (40, 300, 10),  # wide
        (40, 300, 31),  # as many as a training fold leaves
        (30, 30, 12),
        (50, 1, 1),
        (23, 7, 3),  # unequal folds
    ],
)
def test_equal_to_scikit_learn(n_stim: int, n_feat: int, k: int) -> None:
    x, y = simulate(n_stim, n_feat)
    check(x, y, k, list(KFold(5).split(x)))


def test_one_target() -> None:
    x, y = simulate(40, 25, n_vox=1)
    check(x, y, 6, list(KFold(5).split(x)))


GROUPS = np.repeat(np.arange(8), [3, 9, 5, 6, 2, 7, 4, 4])


@pytest.mark.parametrize(
    ("cv", "groups"),
    [
        (2, None),
        (np.int64(7), None),
        (4, GROUPS),
        (np.int64(4), GROUPS),
        (KFold(6, shuffle=True, random_state=3), None),
        (GroupKFold(3), GROUPS),
        (LeaveOneGroupOut(), GROUPS),
        (LeaveOneGroupOut(), [f"run-{g}" for g in GROUPS]),
        (PredefinedSplit(np.arange(40) % 4), None),
        (PredefinedSplit(np.where(np.arange(40) < 25, -1, 0)), None),
        (ShuffleSplit(3, test_size=0.3, random_state=1), None),
        (RepeatedKFold(n_splits=3, n_repeats=2, random_state=1), None),
        (TimeSeriesSplit(4), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_scheme(cv: Any, groups: Any) -> None:
    x, y = simulate(40, 60, seed=1)
    if isinstance(cv, int | np.integer):
        splitter = KFold(cv) if groups is None else GroupKFold(cv)
    else:
        splitter = cv
    check(x, y, 5, list(splitter.split(x, y, groups)), cv=cv, groups=groups)


def test_lists_generators_and_masks_of_splits() -> None:
    x, y = simulate(40, 60, seed=2)
    splits = list(ShuffleSplit(3, test_size=0.4, random_state=0).split(x))
    expected = refit(pcr(4), x, y, splits)
    masks = [tuple(np.isin(np.arange(40), part) for part in split) for split in splits]
    ordered = [(np.sort(train), np.sort(test)) for train, test in splits]
    for cv in (splits, (split for split in splits), masks, [map_lists(s) for s in ordered]):
        ours = encode(x, y, estimator=pcr(4), cv=cv).scores["features"]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_score"])


def map_lists(split: tuple[Any, Any]) -> tuple[list[int], list[int]]:
    return list(split[0]), list(split[1])


def test_stimuli_that_come_twice_in_the_training_set() -> None:
    """As in a bootstrap."""
    x, y = simulate(40, 15, seed=3)
    rng = np.random.default_rng(0)
    splits = [(rng.integers(0, 30, 30), np.arange(30, 40)) for _ in range(3)]
    check(x, y, 4, splits, cv=splits)


def test_fewer_dimensions_than_components() -> None:
    """Each stimulus shown three times: least squares of least norm, as a pseudoinverse gives."""
    x, y = simulate(12, 50, seed=4)
    x, y = np.tile(x, (3, 1)), np.vstack([y + 0.1 * i for i in range(3)])
    splits = [(np.r_[0:8, 12:20, 24:32], np.r_[8:12, 20:24, 32:36])]
    train, test = splits[0]
    within = x[train] - x[train].mean(0)
    weights = np.linalg.pinv(within, rcond=1e-6) @ (y[train] - y[train].mean(0))
    predicted = (x[test] - x[train].mean(0)) @ weights
    expected = [np.corrcoef(p, m)[0, 1] for p, m in zip(predicted.T, y[test].T, strict=True)]
    for k in (7, 12, 20):  # the training stimuli span 7 dimensions
        ours = encode(x, y, estimator=pcr(k), cv=splits).scores["features"][0]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_score"])


def test_repeated_stimuli_below_their_rank() -> None:
    x, y = simulate(15, 50, seed=5)
    x, y = np.tile(x, (3, 1)), np.tile(y, (3, 1)) + np.random.default_rng(0).random((45, 5))
    check(x, y, 6, list(KFold(5).split(x)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_offset_of_a_million(dtype: type) -> None:
    """The spread of float32 at 1e6 is 0.06; what is left of the features decides, exactly."""
    x, y = simulate(50, 80, seed=6)
    x = (10 * x + 1e6).astype(dtype)
    check(x, y, 6, list(KFold(5).split(x)), tolerance="fp64_factor")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_responses_of_any_scale_and_offset(dtype: type) -> None:
    x, y = simulate(50, 30, seed=7)
    y = (y * [1e3, 1e-3, 1e3, 1, 1] + [0, 0, 1e6, 1e4, -1e4]).astype(dtype)
    check(x, y, 6, list(KFold(5).split(x)), tolerance="fp64_factor")


def test_features_of_any_scale() -> None:
    x, y = simulate(50, 30, seed=8)
    expected = encode(x, y, estimator=pcr(6)).scores["features"]
    for scale in (1e-20, 1e-6, 1e6, 1e20):
        ours = encode(x * scale, y, estimator=pcr(6)).scores["features"]
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_score"])


def test_float32_stays_close_to_float64() -> None:
    x, y = simulate(60, 200, seed=9)
    ours = encode(x.astype(np.float32), y.astype(np.float32), estimator=pcr(8))
    expected = refit(pcr(8), x, y, KFold(5).split(x))
    np.testing.assert_allclose(
        ours.scores["features"], expected, rtol=0, atol=TOLERANCES["fp32_reduction"]
    )


def test_gram_matrices_and_tensors_equal_arrays() -> None:
    x, y = simulate(50, 90, seed=10)
    layers = {
        "array": x,
        "gram": Gram.from_features(x),
        "tensor": torch.tensor(x),
        "strided": np.asfortranarray(np.repeat(x, 2, axis=1))[:, ::2],
    }
    scores = encode(layers, y, estimator=pcr(7))
    assert set(scores.route.values()) == {"native: PCA(7) + least squares"}
    for name in layers:
        np.testing.assert_allclose(
            scores.scores[name], scores.scores["array"], rtol=0, atol=TOLERANCES["fp64_score"]
        )


def test_chosen_stimuli_of_a_gram_matrix() -> None:
    x, y = simulate(50, 90, seed=11)
    rows = np.random.default_rng(0).permutation(50)[:40]
    ours = encode(Gram.from_features(x).select(rows), y[rows], estimator=pcr(7))
    expected = refit(pcr(7), x[rows], y[rows], KFold(5).split(rows))
    np.testing.assert_allclose(
        ours.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )


def test_more_targets_than_a_block() -> None:
    """Targets are predicted 4096 at a time."""
    x, y = simulate(20, 10, n_vox=4100, seed=12)
    ours = encode(x, y, estimator=pcr(3), cv=2).scores["features"]
    chosen = [0, 4095, 4096, 4099]
    expected = refit(pcr(3), x, y[:, chosen], KFold(2).split(x))
    np.testing.assert_allclose(ours[:, chosen], expected, rtol=0, atol=TOLERANCES["fp64_score"])
    assert np.isfinite(ours).all()


def test_components_are_found_inside_the_fold() -> None:
    """Noise that PCA over all stimuli would follow, tests included, predicts nothing.

    Each held-out stimulus has a feature of its own with a large variance; components found on all
    stimuli would hold those features, components found on the others cannot.
    """
    rng = np.random.default_rng(13)
    n_stim = 40
    x = rng.standard_normal((n_stim, 30)) * 0.3
    y = rng.standard_normal((n_stim, 200))
    x[:, :10] += 5 * y[:, :10] * (np.arange(n_stim) % 4 == 0)[:, None]  # in the tested only
    splits = [(np.flatnonzero(np.arange(n_stim) % 4), np.arange(0, n_stim, 4))]
    ours = encode(x, y, estimator=pcr(5), cv=splits).scores["features"]
    expected = refit(pcr(5), x, y, splits)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_score"])
    leaking = refit(make_pipeline(LinearRegression()), PCA(5).fit_transform(x), y, splits)
    assert np.abs(leaking - expected).max() > 0.1  # a leak would show


def test_unrelated_responses_score_around_zero() -> None:
    rng = np.random.default_rng(14)
    x, y = rng.standard_normal((100, 400)), rng.standard_normal((100, 400))
    r = encode(x, y, cv=KFold(5, shuffle=True, random_state=0)).mean("features")
    # 5 folds of 20 stimuli: standard error of one mean 0.1, of 400 means 0.005.
    assert abs(r.mean()) < 0.02
    assert 0.05 < r.std() < 0.15


def test_constant_targets() -> None:
    x, y = simulate(40, 20, n_vox=4, seed=15)
    y[:8, 1] = 0.1  # the first fold's test set
    y[:, 2] = 1 / 3
    with pytest.warns(ConstantTargetWarning, match=r"2 of 4 targets.*\(1 in all\)") as caught:
        scores = encode(x, y, estimator=pcr(4))
    assert caught[0].filename == __file__
    folds = scores.scores["features"]
    np.testing.assert_array_equal(np.isnan(folds[:, 1]), [True, False, False, False, False])
    assert np.isnan(folds[:, 2]).all()
    assert np.isfinite(folds[:, [0, 3]]).all()
    expected = refit(pcr(4), x, y[:, [0, 3]], KFold(5).split(x))
    np.testing.assert_allclose(folds[:, [0, 3]], expected, rtol=0, atol=TOLERANCES["fp64_score"])
    with pytest.warns(ConstantTargetWarning):
        r2 = encode(x, y, estimator=pcr(4), scoring="r2").scores["features"]
    np.testing.assert_array_equal(np.isnan(r2), np.isnan(folds))
    mean = scores.mean("features")
    assert mean[1] == pytest.approx(folds[1:, 1].mean())
    assert np.isnan(mean[2])


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_without_variance_predict_the_mean(value: float, dtype: type) -> None:
    """A dead layer: r is zero, and not the correlation of rounding errors."""
    _, y = simulate(40, 5, seed=16)
    dead = np.full((40, 300), value, dtype=dtype)
    for scoring in SCORINGS:
        scores = encode(dead, y, scoring=scoring, estimator=pcr(3)).scores["features"]
        if scoring == "r":
            np.testing.assert_array_equal(scores, 0)
        else:
            assert (scores <= 0).all()
            assert (scores > -2).all()


def test_features_that_vary_in_the_held_out_fold_alone() -> None:
    x, y = simulate(50, 400, seed=17)
    x[10:] = 0.1
    scores = encode(x, y, estimator=pcr(5)).scores["features"]
    np.testing.assert_array_equal(scores, 0)


@pytest.mark.parametrize(
    ("n_stim", "n_feat", "k", "most"), [(40, 12, 13, 12), (40, 100, 32, 31), (40, 12, 0, 12)]
)
def test_more_components_than_there_are(n_stim: int, n_feat: int, k: int, most: int) -> None:
    x, y = simulate(n_stim, n_feat)
    with pytest.raises(ValueError, match=rf"from 1 to {most} components of layer 'fc'.*={k}"):
        encode({"fc": x}, y, estimator=pcr(k))


def test_default_components() -> None:
    """A quarter as many as training stimuli, at most 100, at most the features."""
    for n_stim, n_feat, k in ((40, 200, 8), (40, 5, 5), (600, 150, 100), (4, 9, 1)):
        x, y = simulate(n_stim, n_feat, n_vox=2)
        cv = 2 if n_stim == 4 else 5
        scores = encode(x, y, cv=cv)
        assert scores.route["features"] == f"native: PCA({k}) + least squares (default)"


@pytest.mark.parametrize(
    ("pipeline", "native"),
    [
        (pcr(3), True),
        (make_pipeline(PCA(3), LinearRegression()), True),
        (pcr(3, whiten=True), True),
        (make_pipeline(PCA(np.int64(3)), LinearRegression()), True),
        (make_pipeline(PCA(0.9), LinearRegression()), False),
        (make_pipeline(PCA(), LinearRegression()), False),
        (make_pipeline(PCA(3), LinearRegression(fit_intercept=False)), False),
        (make_pipeline(PCA(3), LinearRegression(positive=True)), False),
    ],
)
def test_what_runs_natively(pipeline: Any, native: bool) -> None:
    x, y = simulate(40, 12, seed=18)
    scores = encode(x, y, estimator=pipeline)
    expected_route = "native: PCA(3)" if native else "scikit-learn: PCA + LinearRegression as it is"
    assert scores.route["features"].startswith(expected_route)
    one_by_one = pipeline.steps[-1][1].positive
    expected = refit(pipeline, x, y, KFold(5).split(x), one_by_one=one_by_one)
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )


def test_a_subclass_is_not_taken_for_what_it_derives_from() -> None:
    class Other(PCA):
        pass

    x, y = simulate(40, 12, seed=19)
    route = encode(x, y, estimator=make_pipeline(Other(3), LinearRegression())).route["features"]
    assert route.startswith("scikit-learn: Other + LinearRegression as it is; no native route with")


@settings(deadline=None, max_examples=25)
@given(
    n_stim=st.integers(12, 40),
    n_feat=st.integers(1, 60),
    n_fold=st.integers(2, 5),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_any_size(n_stim: int, n_feat: int, n_fold: int, seed: int, data: Any) -> None:
    x, y = simulate(n_stim, n_feat, n_vox=2, seed=seed)
    splits = list(KFold(n_fold, shuffle=True, random_state=seed).split(x))
    most = min(min(len(train) for train, _ in splits) - 1, n_feat)
    # Where components are nearly as many as stimuli, their last is ill-conditioned for everyone.
    k = data.draw(st.integers(1, max(1, most // 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = encode(x, y, estimator=pcr(k), cv=splits).scores["features"]
    expected = refit(pcr(k), x, y, splits)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCES["fp64_factor"])
    rotated = x @ np.linalg.qr(np.random.default_rng(seed).standard_normal((n_feat, n_feat)))[0]
    again = encode(rotated, 3 * y + 1, estimator=pcr(k), cv=splits).scores["features"]
    np.testing.assert_allclose(again, ours, rtol=0, atol=TOLERANCES["fp64_factor"])
