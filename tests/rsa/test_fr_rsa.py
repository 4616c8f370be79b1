"""FR-RSA against explicit designs with scikit-learn, and against SciPy's NNLS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from dnnbrain_cpp import rsa
from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp.exceptions import Cancelled
from tolerances import TOLERANCES

KINDS = {"sqeuclidean": core.PairKind.squared_difference, "product": core.PairKind.product}
SMALL = {"outer_repeats": 1, "n_outer": 3, "inner_repeats": 1, "n_inner": 3}


def design(x: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """One predictor per unit, one row per pair."""
    rows, columns = np.triu_indices(len(x), 1)
    if kind == "sqeuclidean":
        return np.asarray((x[rows] - x[columns]) ** 2)
    return np.asarray(x[rows] * x[columns])


def draw(n: int, p: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, p)) * rng.uniform(0.1, 3, p) + rng.standard_normal(p)


def targets(x: NDArray[Any], kind: str, n: int, seed: int = 1) -> NDArray[np.float64]:
    """RDMs of a few weighted units, with noise; dissimilarities in either kind."""
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=(n, x.shape[1])) * (rng.random((n, x.shape[1])) < 0.4)
    weights[:, 0] += 1
    y = weights @ design(x, kind).T
    y = y + 0.5 * y.std(1, keepdims=True) * rng.standard_normal(y.shape)
    return np.asarray(y if kind == "sqeuclidean" else -y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(12, 5), (9, 70), (3, 4), (20, 300), (2, 1)])
def test_closed_forms_are_those_of_the_design(kind: str, shape: tuple[int, int]) -> None:
    """Gram matrix, products, means, deviations and predictions; p below, at and above a tile."""
    x = draw(*shape)
    d = design(x, kind)
    tensor, core_kind = as_tensor(x), KINDS[kind]
    scale = np.abs(d.T @ d).max()
    np.testing.assert_allclose(
        core.pair_gram(tensor, core_kind), d.T @ d, atol=TOLERANCES["fp64_reduction"] * scale
    )
    y = np.random.default_rng(2).standard_normal((3, len(d)))
    squares = np.zeros((3, len(x), len(x)))
    rows, columns = np.triu_indices(len(x), 1)
    squares[:, rows, columns] = squares[:, columns, rows] = y
    np.testing.assert_allclose(
        core.pair_products(tensor, as_tensor(squares), core_kind),
        y @ d,
        atol=TOLERANCES["fp64_reduction"] * np.abs(y @ d).max(),
    )
    weights = np.random.default_rng(3).standard_normal((4, shape[1]))
    np.testing.assert_allclose(
        core.pair_predictions(tensor, as_tensor(weights), core_kind),
        weights @ d.T,
        atol=TOLERANCES["fp64_reduction"] * np.abs(weights @ d.T).max(),
    )
    mean, inverse_scale = core.pair_scaling(tensor, core_kind)
    np.testing.assert_allclose(mean, d.mean(0), atol=TOLERANCES["fp64_reduction"] * d.max())
    if len(d) > 2:
        np.testing.assert_allclose(1 / inverse_scale, d.std(0), rtol=TOLERANCES["fp64_score"])
        z = StandardScaler().fit_transform(d)
        np.testing.assert_allclose(
            core.scaled_pair_gram(tensor, core_kind),
            z.T @ z,
            atol=TOLERANCES["fp64_score"] * len(d),
        )


def test_units_that_do_not_vary_have_no_scale() -> None:
    x = draw(10, 4)
    x[:, 1] = 1e3
    x[:, 2] = -x[:, 0]
    _, inverse_scale = core.pair_scaling(as_tensor(x), KINDS["sqeuclidean"])
    assert inverse_scale[1] == 0
    assert (inverse_scale[[0, 2, 3]] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(15, 20), (10, 80)])  # more pairs than units, and fewer
def test_ridge_is_scikit_learns_on_the_explicit_design(kind: str, shape: tuple[int, int]) -> None:
    x = draw(*shape)
    y = targets(x, kind, 3)
    signed = y if kind == "sqeuclidean" else -y
    train, test = np.arange(0, shape[0] - 4), np.arange(shape[0] - 4, shape[0])
    squares = rsa.RDMs(signed).square()
    alphas = np.array([[0.1] * 3, [10.0, 1.0, 3.0], [np.inf] * 3])
    (ridge,) = core.factor_pair_ridges(
        as_tensor(x), as_tensor(squares), [torch.from_numpy(train)], KINDS[kind]
    )
    weights, intercepts = ridge.solve(torch.from_numpy(alphas))
    (predicted,) = core.predict_pair_ridges(
        [ridge], [torch.from_numpy(alphas)], as_tensor(x), [torch.from_numpy(test)], KINDS[kind]
    )
    rows, columns = np.triu_indices(len(train), 1)
    measured = squares[:, train[rows], train[columns]]
    scaler = StandardScaler().fit(design(x[train], kind))
    z, new = scaler.transform(design(x[train], kind)), scaler.transform(design(x[test], kind))
    for f in range(2):
        for t in range(3):
            model = Ridge(alphas[f, t], solver="svd").fit(z, measured[t])
            expected = model.predict(new)
            atol = TOLERANCES["fp64_factor"] * np.abs(expected).max()
            np.testing.assert_allclose(predicted[f, t], expected, atol=atol)
            coef = model.coef_ / scaler.scale_
            np.testing.assert_allclose(
                weights[3 * f + t], coef, atol=TOLERANCES["fp64_factor"] * np.abs(coef).max()
            )
    np.testing.assert_allclose(predicted[2], measured.mean(1)[:, None].repeat(6, 1))
    np.testing.assert_allclose(intercepts[6:], measured.mean(1))
    assert len(ridge.eigenvalues) == min(shape[1], len(rows) - 1)
    assert ridge.coefs.shape == (3, len(ridge.eigenvalues))


def z_of(r: Any) -> Any:
    return np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))


def nested(
    x: NDArray[Any], y: NDArray[Any], model: rsa.FRRSA, penalties: list[float], seed: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores and choices of the outer splits, with explicit designs and one target."""
    from dnnbrain_cpp.rsa._condition_splits import fold_count, repeated_folds

    n, square = len(x), rsa.RDMs(y).square()[0]
    sign = 1 if model.kind == "sqeuclidean" else -1
    score = pearsonr if model.scoring == "corr" else spearmanr

    def measure(train: NDArray[Any], test: NDArray[Any], penalty: float) -> float:
        rows, columns = np.triu_indices(len(train), 1)
        scaler = StandardScaler().fit(design(x[train], model.kind))
        z = scaler.transform(design(x[train], model.kind))
        target = sign * square[train[rows], train[columns]]
        target = target - target.mean()
        if model.nonnegative:
            stacked = np.vstack([z, np.sqrt(penalty) * np.eye(z.shape[1])])
            w, _ = nnls(stacked, np.concatenate([target, np.zeros(z.shape[1])]))
        elif model.alphas is not None:
            w = Ridge(penalty, fit_intercept=False, solver="svd").fit(z, target).coef_
        else:
            w = shortened(z, target, penalty)
        predicted = scaler.transform(design(x[test], model.kind)) @ w
        rows, columns = np.triu_indices(len(test), 1)
        return float(score(predicted, sign * square[test[rows], test[columns]]).statistic)

    outer = repeated_folds(
        np.arange(n), fold_count(n, model.n_outer), model.outer_repeats, seed=seed, first=0
    )
    n_inner = fold_count(min(len(train) for train, _ in outer), model.n_inner)
    scores, chosen = [], []
    for place, (train, test) in enumerate(outer):
        first = model.outer_repeats + place * model.inner_repeats
        inner = repeated_folds(train, n_inner, model.inner_repeats, seed=seed, first=first)
        means = [
            np.mean(
                [np.arctanh(np.clip(measure(a, b, g), -1 + 1e-12, 1 - 1e-12)) for a, b in inner]
            )
            for g in penalties
        ]
        best = penalties[int(np.argmax(means))]
        chosen.append(best)
        scores.append(measure(train, test, best))
    return np.array(scores), np.array(chosen)


def shortened(z: NDArray[Any], y: NDArray[Any], fraction: float) -> NDArray[np.float64]:
    """Ridge whose weights have a fraction of the length of those of least squares, by bisection."""
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    kept = s > 1e-10 * s[0]
    u, s, vt = u[:, kept], s[kept], vt[kept]
    c = u.T @ y / s
    low, high = 0.0, 1e12
    for _ in range(200):
        alpha = (low + high) / 2 if low == 0 and high < 1 else np.sqrt(max(low, 1e-12) * high)
        length = np.linalg.norm(c * s**2 / (s**2 + alpha)) / np.linalg.norm(c)
        low, high = (alpha, high) if length > fraction else (low, alpha)
    alpha = 0.0 if fraction == 1 else high
    return np.asarray(vt.T @ (c * s**2 / (s**2 + alpha)))


@pytest.mark.parametrize(
    "settings",
    [
        {"fractions": [0.1, 0.4, 0.8]},
        {"fractions": [0.2, 0.6], "kind": "product", "scoring": "spearman"},
        {"alphas": [1.0, 30.0, 300.0]},
        {"alphas": [1.0, 100.0], "nonnegative": True},
    ],
)
@pytest.mark.parametrize("p", [6, 60])
def test_nested_splits_with_explicit_designs(settings: dict[str, Any], p: int) -> None:
    n = 18
    x = draw(n, p)
    kind = settings.get("kind", "sqeuclidean")
    y = targets(x, kind, 2)
    model = rsa.FRRSA(**settings, **SMALL, random_state=7).fit(x, y)
    penalties = settings.get("alphas", settings.get("fractions"))
    for t in range(2):
        scores, chosen = nested(x, y[t : t + 1], model, penalties, 7)
        np.testing.assert_array_equal(model.chosen_[:, t], chosen)
        np.testing.assert_allclose(model.split_scores_[:, t], scores, atol=1e-6)
        assert model.scores_[t] == pytest.approx(np.tanh(z_of(scores).mean()), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_found_again(kind: str) -> None:
    """Without noise and with a light penalty, weights are those that made the RDM."""
    x = draw(30, 8, seed=4)
    truth = np.array([2.0, 0, 0, 1, 0, 0.5, 0, 3])
    d = design(x, kind)
    y = truth @ d.T if kind == "sqeuclidean" else -(truth @ d.T)
    model = rsa.FRRSA(alphas=[1e-9], kind=kind, **SMALL).fit(x, y)
    np.testing.assert_allclose(model.coef_, truth[None], atol=1e-6)
    assert model.scores_[0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(model.predict(x).dissimilarities[0], y, rtol=1e-6, atol=1e-6)
    positive = rsa.FRRSA(alphas=[1e-9], kind=kind, nonnegative=True, **SMALL).fit(x, y)
    np.testing.assert_allclose(positive.coef_, truth[None], atol=1e-6)
    assert (positive.coef_ >= 0).all()


def test_reweighting_helps_and_noise_does_not_score() -> None:
    x = draw(40, 30, seed=5)
    weights = np.zeros(30)
    weights[:4] = 4.0
    signal = weights @ design(x, "sqeuclidean").T
    rng = np.random.default_rng(6)
    y = np.vstack(
        [signal + signal.std() * rng.standard_normal(len(signal)), rng.permutation(signal)]
    )
    model = rsa.FRRSA([0.1, 0.3, 0.6, 0.9], n_outer=5, outer_repeats=2, random_state=0).fit(x, y)
    plain = np.corrcoef(design(x, "sqeuclidean").sum(1), y[0])[0, 1]
    assert model.scores_[0] > plain + 0.2
    assert abs(model.scores_[1]) < 0.1
    assert model.scores_[0] < 0.75  # noise of the signal's size leaves r of 0.7


def test_same_bits_for_any_number_of_threads() -> None:
    x, y = draw(14, 40), targets(draw(14, 40), "sqeuclidean", 2)
    n_threads = torch.get_num_threads()
    results = []
    for n in (1, 2):
        torch.set_num_threads(n)
        results.append(rsa.FRRSA([0.3, 0.9], **SMALL, random_state=3).fit(x, y))
    torch.set_num_threads(n_threads)
    np.testing.assert_array_equal(results[0].split_scores_, results[1].split_scores_)
    np.testing.assert_array_equal(results[0].coef_, results[1].coef_)


def test_seeds() -> None:
    x, y = draw(14, 10), targets(draw(14, 10), "sqeuclidean", 1)
    scores = [
        rsa.FRRSA([0.5], **SMALL, random_state=seed).fit(x, y).split_scores_ for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_rdms_are_brought_to_the_order_of_the_patterns() -> None:
    ids = [f"c{i}" for i in range(12)]
    x = draw(12, 5)
    y = rsa.RDMs(targets(x, "sqeuclidean", 2), ids=ids, names=["s1", "s2"])
    expected = rsa.FRRSA([0.5], **SMALL, random_state=0).fit(x, y, ids=ids)
    got = rsa.FRRSA([0.5], **SMALL, random_state=0).fit(x, y.select(ids[::-1]), ids=ids)
    np.testing.assert_allclose(got.coef_, expected.coef_, rtol=1e-9)
    frame = got.to_frame()
    assert list(frame.columns) == ["target", "score", "sd", "fraction"]
    assert frame["target"].tolist() == ["s1", "s2"]


def test_nine_conditions_are_enough_and_eight_are_not() -> None:
    x = draw(9, 4)
    model = rsa.FRRSA([0.5], outer_repeats=2).fit(x, targets(x, "sqeuclidean", 1))
    assert model.split_scores_.shape == (6, 1)
    with pytest.raises(ValueError, match="at least 9 conditions"):
        rsa.FRRSA([0.5]).fit(x[:8], targets(x[:8], "sqeuclidean", 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fractions": [0.0, 0.5]}, "fractions must be above 0, up to 1; got 0.0"),
        ({"fractions": [1.1]}, "got 1.1"),
        ({"fractions": []}, "got none"),
        ({"alphas": [-1.0]}, "alphas must not be negative; got -1.0"),
        ({"nonnegative": True}, "give alphas="),
        ({"kind": "cosine"}, "kind must be one of"),
        ({"scoring": "tau"}, "scoring must be one of"),
        ({"n_outer": 1}, "n_outer must be at least 2"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    x = draw(12, 4)
    with pytest.raises(ValueError, match=message):
        rsa.FRRSA(**settings).fit(x, targets(x, "sqeuclidean", 1))


def test_wrong_data() -> None:
    x = draw(12, 4)
    y = targets(x, "sqeuclidean", 1)
    with pytest.raises(ValueError, match="got 11 rows and RDMs of 12"):
        rsa.FRRSA().fit(x[:11], y)
    with pytest.raises(ValueError, match="'rdm-01' is constant"):
        rsa.FRRSA().fit(x, np.ones_like(y))
    with pytest.raises(ValueError, match="X must be finite"):
        rsa.FRRSA().fit(np.where(x > 1, np.nan, x), y)
    with pytest.raises(AttributeError, match="before it is fitted"):
        rsa.FRRSA().predict(x)
    model = rsa.FRRSA([0.5], **SMALL).fit(x, y)
    with pytest.raises(ValueError, match="4 units of the fit; got 3"):
        model.predict(x[:, :3])


def test_progress_may_stop_it() -> None:
    x = draw(12, 4)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> bool:
        seen.append((done, total))
        return False

    with pytest.raises(Cancelled):
        rsa.FRRSA([0.5], **SMALL).fit(x, targets(x, "sqeuclidean", 1), progress=stop)
    assert len(seen) == 1
