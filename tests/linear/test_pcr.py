"""Regression on principal components, against scikit-learn's pipeline refitted in every fold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp.linear import PCRegression
from oracle.encoding import score as score_target
from tolerances import TOLERANCES

CORE_SCORES = {"r": core.Score.r, "r2": core.Score.r2, "mse": core.Score.mse}


@parametrize_with_checks([PCRegression(), PCRegression(cv=3, scoring="r2")])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(n: int, p: int, t: int = 4, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.6
    x = x @ np.linalg.qr(rng.standard_normal((p, p)))[0] + 3 * rng.standard_normal(p)
    y = x @ rng.standard_normal((p, t)) + rng.standard_normal((n, t))
    return x, y + 5 * rng.standard_normal(t)


def pipeline(k: int, alpha: float = 0) -> Any:
    last = Ridge(alpha) if alpha else LinearRegression()
    return make_pipeline(PCA(k, svd_solver="full"), last)


def refit_scores(
    x: NDArray[Any], y: NDArray[Any], splits: Any, counts: list[int], alpha: float, scoring: str
) -> NDArray[Any]:
    """Return scores of shape (fold, count, target)."""
    out = []
    for train, test in splits:
        for k in counts:
            predicted = pipeline(k, alpha).fit(x[train], y[train]).predict(x[test])
            for column in range(y.shape[1]):
                a, b = y[test, column], predicted[:, column]
                loss = scoring == "mse"
                out.append(-mean_squared_error(a, b) if loss else score_target(a, b, scoring))
    return np.array(out).reshape(len(splits), len(counts), y.shape[1])


def native(
    x: NDArray[Any],
    y: NDArray[Any],
    splits: Any,
    counts: Any,
    alphas: Any,
    scoring: str,
    dual: bool,
) -> NDArray[Any]:
    data = core.gram_moments(as_tensor(x)).centred if dual else as_tensor(x)
    folds = [(torch.from_numpy(train), torch.from_numpy(test)) for train, test in splits]
    found = core.cross_validate_pcr(
        data, as_tensor(y), folds, counts, alphas, CORE_SCORES[scoring], dual, None
    )
    return found.numpy()


@pytest.mark.parametrize("scoring", ["r", "r2", "mse"])
@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("shape", [(43, 12), (30, 90), (24, 24), (20, 1)], ids=str)
def test_every_count_and_penalty(shape: tuple[int, int], dual: bool, scoring: str) -> None:
    x, y = draw(*shape)
    splits = list(KFold(4).split(x))  # unequal
    counts = [k for k in (5, 1, 3, 11, 2) if k <= min(*shape, 17)]
    found = native(x, y, splits, counts, [0.0, 0.7, 40.0], scoring, dual)
    for place, alpha in enumerate((0.0, 0.7, 40.0)):
        wanted = refit_scores(x, y, splits, counts, alpha, scoring)
        np.testing.assert_allclose(
            found[:, place],
            wanted,
            rtol=TOLERANCES["fp64_score"],
            atol=TOLERANCES["fp64_score"],
        )


@pytest.mark.parametrize("dual", [False, True])
def test_hard_data(dual: bool) -> None:
    """Duplicated and constant columns, a run at 1000x scale, gaps, targets of large variance."""
    x, y = draw(40, 10, seed=1)
    x[8:16] *= 1000
    x = np.hstack([x, x[:, :5], np.full((40, 2), 0.1)])
    y *= 1e3
    y[:, 1] = 3.3
    splits = [(np.r_[0:8, 16:30], np.r_[8:12]), (np.r_[4:30], np.r_[32:40, 0:2])]
    found = native(x, y, splits, [1, 4, 9], [0.0], "r2", dual)[:, 0]
    wanted = refit_scores(x, y[:, [0, 2, 3]], splits, [1, 4, 9], 0, "r2")
    assert np.isnan(found[..., 1]).all()
    # A spread of 1e4 among singular values is one of 1e8 among eigenvalues.
    np.testing.assert_allclose(found[..., [0, 2, 3]], wanted, rtol=1e-6)
    # Beyond the rank components weigh nothing.
    rank = native(x, y, splits, [10, 12, 16], [0.0], "mse", dual)[:, 0]
    np.testing.assert_allclose(rank[:, 1], rank[:, 0], rtol=TOLERANCES["fp64_factor"])
    np.testing.assert_allclose(rank[:, 2], rank[:, 0], rtol=TOLERANCES["fp64_factor"])


def test_dead_units_and_many_targets() -> None:
    _, y = draw(30, 5, t=700, seed=2)
    splits = list(KFold(3).split(y))
    dead = np.full((30, 12), 0.1)
    for dual in (False, True):
        np.testing.assert_array_equal(native(dead, y, splits, [2], [0.0], "r", dual), 0)
    x, _ = draw(30, 40, seed=3)
    whole = native(x, y, splits, [3, 6], [0.0, 1.0], "r", True)
    for first in (0, 255, 256, 500):
        part = native(x, y[:, first : first + 9], splits, [3, 6], [0.0, 1.0], "r", True)
        np.testing.assert_allclose(whole[..., first : first + 9], part, atol=1e-12)


def test_refused() -> None:
    x, y = draw(20, 6)
    splits = list(KFold(4).split(x))
    for counts in ([0], [3, 7], [-1]):
        with pytest.raises(ValueError, match="n_components must be at least 1"):
            native(x, y, splits, counts, [0.0], "r", False)
    for alpha in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="penalties must be finite"):
            native(x, y, splits, [2], [alpha], "r", False)
    with pytest.raises(ValueError, match="one component count"):
        native(x, y, splits, [], [0.0], "r", False)


@pytest.mark.parametrize("scoring", [None, "r2", "r"])
@pytest.mark.parametrize("shape", [(60, 14), (40, 90)], ids=str)
@pytest.mark.parametrize("per_target", [True, False])
def test_choice(shape: tuple[int, int], scoring: str | None, per_target: bool) -> None:
    x, y = draw(*shape, seed=4)
    ours = PCRegression(cv=4, scoring=scoring, per_target=per_target, store_cv_results=True)
    ours.fit(x, y)
    splits = list(KFold(4).split(x))
    counts = list(range(1, min(shape[1], shape[0] * 3 // 4 - 1) + 1))
    scores = refit_scores(x, y, splits, counts, 0, scoring or "mse")
    np.testing.assert_array_equal(ours.candidates_, counts)
    np.testing.assert_allclose(
        ours.cv_results_[:, :20], scores[:, :20], rtol=TOLERANCES["fp64_factor"], atol=1e-8
    )
    mean = scores.mean(0) if per_target else scores.mean((0, 2))[:, None]
    best = np.array(counts)[mean.argmax(0)]
    np.testing.assert_array_equal(ours.n_components_, best if per_target else best[0])
    np.testing.assert_allclose(
        np.atleast_1d(ours.best_score_), mean.max(0), rtol=TOLERANCES["fp64_factor"]
    )
    for column, k in enumerate(np.broadcast_to(best, y.shape[1])):
        theirs = pipeline(k).fit(x, y[:, column])
        np.testing.assert_allclose(
            ours.predict(x)[:, column], theirs.predict(x), atol=TOLERANCES["fp64_factor"]
        )
    np.testing.assert_allclose(
        x @ ours.coef_.T + ours.intercept_, ours.predict(x), atol=TOLERANCES["fp64_factor"]
    )


def test_given_count_and_list() -> None:
    x, y = draw(50, 20, seed=5)
    one = PCRegression(6).fit(x, y[:, 0])
    theirs = pipeline(6).fit(x, y[:, 0])
    np.testing.assert_allclose(one.predict(x), theirs.predict(x), atol=TOLERANCES["fp64_factor"])
    assert one.coef_.shape == (20,)
    assert one.n_components_ == 6
    groups = np.arange(50) // 7
    some = PCRegression([8, 2, 4], cv=GroupKFold(3), scoring="r2").fit(x, y[:, 0], groups=groups)
    scores = refit_scores(
        x, y[:, :1], list(GroupKFold(3).split(x, groups=groups)), [2, 4, 8], 0, "r2"
    )
    assert some.n_components_ == [2, 4, 8][scores.mean(0).argmax()]
    assert some.best_score_ == pytest.approx(scores.mean(0).max())


def test_precision_and_kinds() -> None:
    x, y = draw(50, 300, seed=6)
    wanted = PCRegression([3, 5], cv=3).fit(x, y)
    single = PCRegression([3, 5], cv=3).fit(x.astype(np.float32), y.astype(np.float32))
    assert single.predict(x.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.predict(x), wanted.predict(x), atol=1e-3)
    tensor = PCRegression([3, 5], cv=3).fit(torch.from_numpy(x), torch.from_numpy(y))
    assert isinstance(tensor.n_components_, torch.Tensor)
    assert isinstance(tensor.coef_, torch.Tensor)
    np.testing.assert_array_equal(tensor.predict(torch.from_numpy(x)).numpy(), wanted.predict(x))
    far = PCRegression(3).fit((x + 2.0**20).astype(np.float32), y.astype(np.float32))
    near = PCRegression(3).fit((x + 2.0**20).astype(np.float32).astype(float) - 2.0**20, y)
    np.testing.assert_allclose(
        far.predict((x + 2.0**20).astype(np.float32)),
        near.predict((x + 2.0**20).astype(np.float32).astype(float) - 2.0**20),
        atol=1e-4,
    )


def test_bad_arguments() -> None:
    x, y = draw(20, 6)
    with pytest.raises(ValueError, match="n_components must be from 1 to 6"):
        PCRegression(7).fit(x, y)
    with pytest.raises(ValueError, match="n_components must be at most 6"):
        PCRegression([3, 7]).fit(x, y)
    with pytest.raises(ValueError, match=r"at most 15: .* 16 rows"):
        PCRegression([3, 17]).fit(np.hstack([x] * 4), y)
    with pytest.raises(ValueError, match="at least one count"):
        PCRegression([]).fit(x, y)
    with pytest.raises(ValueError, match="scoring must be one of"):
        PCRegression(scoring="pearson").fit(x, y)
    with pytest.raises(ValueError, match="cv must be"):
        PCRegression(cv=30).fit(x, y)


def test_constant_targets() -> None:
    x, y = draw(30, 8, seed=7)
    y[:, 2] = 4.0
    ours = PCRegression(scoring="r").fit(x, y)
    assert np.isnan(ours.best_score_[2])
    assert ours.n_components_[2] == 1
    np.testing.assert_allclose(ours.predict(x)[:, 2], 4.0)
