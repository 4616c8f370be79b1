"""Rows of the RSA table: FR-RSA's normal matrix and nested splits; crossvalidated reweighting."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import kendalltau
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from _problem import Job, Problem
from dnnbrain_cpp import rsa
from dnnbrain_cpp._native import as_tensor, core

__all__ = ["PROBLEMS"]

SQUARED = core.PairKind.squared_difference

N_SPLIT, N_BOOT = 20, 100
PEER_SPLITS = 20


@cache
def _patterns(n: int, p: int) -> NDArray[np.float64]:
    """Units of unlike scales that share dimensions."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 20)) @ rng.standard_normal((20, p))
    return (0.3 * shared + rng.standard_normal((n, p))) * rng.uniform(0.2, 2, p)


def _explicit(n: int, p: int) -> NDArray[np.float64]:
    x = _patterns(n, p)
    rows, columns = np.triu_indices(n, 1)
    design = x[rows]
    design -= x[columns]
    design *= design
    return design.T @ design


def _gram_job(n: int, p: int) -> Job:
    x = as_tensor(_patterns(n, p))
    return Job(
        ours={"closed form": lambda: core.pair_gram(x, SQUARED).numpy()},
        peers={"design.T @ design": lambda: _explicit(n, p)},
        difference=lambda a, b: f"relative {np.abs(a - b).max() / np.abs(b).max():.1e}",
    )


@cache
def _nested_data(n: int, p: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = _patterns(n, p)
    rng = np.random.default_rng(1)
    weights = rng.exponential(size=p) * (rng.random(p) < 0.2)
    rows, columns = np.triu_indices(n, 1)
    y = (x[rows] - x[columns]) ** 2 @ weights
    return x, y + 1.5 * y.std() * rng.standard_normal(len(y))


ALPHAS = tuple(10.0 ** np.arange(-1, 6))
SETTINGS: dict[str, Any] = {
    "n_outer": 5,
    "outer_repeats": 2,
    "n_inner": 5,
    "inner_repeats": 1,
    "random_state": 0,
}


def _nested_ours(n: int, p: int) -> NDArray[np.float64]:
    x, y = _nested_data(n, p)
    return rsa.FRRSA(alphas=ALPHAS, **SETTINGS).fit(x, y).split_scores_[:, 0]


def _nested_peer(n: int, p: int) -> NDArray[np.float64]:
    """Run the same splits with explicit designs and one refit per penalty."""
    from dnnbrain_cpp.rsa._condition_splits import repeated_folds

    x, y = _nested_data(n, p)
    square = rsa.RDMs(y).square()[0]

    def measure(train: NDArray[Any], test: NDArray[Any], alphas: Any) -> NDArray[np.float64]:
        def pairs(part: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
            rows, columns = np.triu_indices(len(part), 1)
            return (x[part[rows]] - x[part[columns]]) ** 2, square[part[rows], part[columns]]

        design, target = pairs(train)
        new, measured = pairs(test)
        scaler = StandardScaler().fit(design)
        design, new = scaler.transform(design), scaler.transform(new)
        return np.array(
            [
                np.corrcoef(Ridge(alpha).fit(design, target).predict(new), measured)[0, 1]
                for alpha in alphas
            ]
        )

    outer = repeated_folds(np.arange(n), 5, 2, seed=0, first=0)
    scores = []
    for place, (train, test) in enumerate(outer):
        inner = repeated_folds(train, 5, 1, seed=0, first=2 + place)
        z = np.mean([np.arctanh(measure(a, b, ALPHAS)) for a, b in inner], axis=0)
        scores.append(measure(train, test, [ALPHAS[int(z.argmax())]])[0])
    return np.array(scores)


def _nested_job(n: int, p: int) -> Job:
    _nested_data(n, p)
    return Job(
        ours={"fit": lambda: _nested_ours(n, p)},
        peers={"scikit-learn": lambda: _nested_peer(n, p)},
        difference=lambda a, b: f"r of splits within {np.abs(a - b).max():.1e}",
    )


@cache
def _rdms() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seven layers and fifteen subjects, 92 conditions."""
    rng = np.random.default_rng(2)
    rows, columns = np.triu_indices(92, 1)
    shared = rng.standard_normal((92, 30))
    layers = [0.5 * shared + rng.standard_normal((92, 30)) for _ in range(7)]
    models = np.array([((layer[rows] - layer[columns]) ** 2).sum(1) for layer in layers])
    signal = models[1] + 0.5 * models[5]
    return models, signal + 3 * signal.std() * rng.standard_normal((15, len(rows)))


def _reweight_ours() -> NDArray[np.float64]:
    models, data = _rdms()
    result = rsa.reweight(
        models,
        data,
        n_boot=N_BOOT,
        n_split=N_SPLIT,
        n_test_conditions=12,
        n_test_subjects=4,
        method="tau-a",
        random_state=0,
    )
    return np.vstack([result.scores, result.samples])


def _reweight_peer() -> NDArray[np.float64]:
    """Run the splits of the first sample with SciPy's NNLS and Kendall's tau."""
    models, data = _rdms()
    plan = core.SplitPlan(92, 15, N_SPLIT, 12, 4, True, True, 0)
    rows, columns = np.triu_indices(92, 1)
    total = np.zeros(8)
    for split in range(PEER_SPLITS):
        train_c, test_c, train_s, test_s = map(np.array, plan.draw(0, split))
        fitted = (train_c[rows] * train_c[columns]) > 0
        x = models[:, fitted] - models[:, fitted].mean(1, keepdims=True)
        y = data[:, fitted] - data[:, fitted].mean(1, keepdims=True)
        pool = train_s @ (y / np.linalg.norm(y, axis=1, keepdims=True))
        weights, _ = nnls(x.T, pool)
        tested = (test_c[rows] * test_c[columns]) > 0
        candidates = np.vstack([models[:, tested], weights @ models[:, tested]])
        for s in np.flatnonzero(test_s):
            # No ties: tau-b is tau-a.
            total += [kendalltau(one, data[s, tested]).statistic for one in candidates]
    return total / PEER_SPLITS / 4


def _reweight_job() -> Job:
    _rdms()
    return Job(
        ours={"reweight": _reweight_ours},
        peers={"SciPy": _reweight_peer},
        difference=lambda a, b: f"scores within {np.abs(a[0] - b).max():.1e}",
        share=PEER_SPLITS / (N_SPLIT * (N_BOOT + 1)),
    )


PROBLEMS = [
    Problem(
        name=f"fr-rsa-gram-{n}",
        title=f"FR-RSA normal matrix, n {n}, p {p}",
        peer="NumPy, explicit design",
        goal=50.0,
        make=lambda n=n, p=p: _gram_job(n, p),  # type: ignore[misc]
    )
    for n, p in ((92, 4096), (500, 2048))
] + [
    Problem(
        name="fr-rsa-nested",
        title="FR-RSA, 7 penalties, nested 10 x 5 splits, n 92, p 500",
        peer="scikit-learn Ridge, explicit designs",
        goal=5.0,
        make=lambda: _nested_job(92, 500),
    ),
    Problem(
        name="reweight",
        title=f"reweighting, 7 layers x 15 subjects, {N_BOOT} bootstraps x {N_SPLIT} splits, tau-a",
        peer="SciPy nnls and kendalltau",
        goal=50.0,
        make=_reweight_job,
    ),
]
