"""Stupid twins of RSA: written so that they are obviously right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

from dnnbrain_cpp._native import core

Vector = NDArray[np.float64]


def cosine(x: Vector, y: Vector) -> float:
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def rho_a(x: Vector, y: Vector) -> float:
    m = len(x)
    a, b = rankdata(x) - (m + 1) / 2, rankdata(y) - (m + 1) / 2
    return float(12 * (a @ b) / (m**3 - m))


def kendall_s(x: Vector, y: Vector) -> int:
    """Concordant minus discordant pairs, pair by pair."""
    signs = np.sign(np.subtract.outer(x, x)) * np.sign(np.subtract.outer(y, y))
    return int(np.triu(signs, 1).sum())


def tau_a(x: Vector, y: Vector) -> float:
    m = len(x)
    return kendall_s(x, y) / (m * (m - 1) / 2)


def tau_b(x: Vector, y: Vector) -> float:
    """As SciPy counts it, which the tests of `kendall_s` check."""
    return float(kendalltau(x, y, variant="b").statistic)


def _whitened_cosine(x: Vector, y: Vector) -> float:
    """In the metric of the inverse covariance of distances, entry by entry."""
    n = squareform(x).shape[0]
    rows, columns = np.triu_indices(n, 1)
    contrasts = np.eye(n)[rows] - np.eye(n)[columns]
    inverse = np.linalg.inv((contrasts @ contrasts.T) ** 2)
    return float(x @ inverse @ y / np.sqrt((x @ inverse @ x) * (y @ inverse @ y)))


def _u_centred(x: Vector) -> NDArray[np.float64]:
    """As Szekely & Rizzo (2014) write it."""
    square = squareform(x)
    n = len(square)
    rows = square.sum(1) / (n - 2)
    out = square - rows[:, None] - rows + square.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0)
    return np.asarray(out)


def cka_unbiased(x: Vector, y: Vector) -> float:
    a, b = _u_centred(x), _u_centred(y)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


SCORES: dict[str, Callable[[Vector, Vector], float]] = {
    "corr": lambda x, y: float(pearsonr(x, y).statistic),
    "cosine": cosine,
    "spearman": lambda x, y: float(spearmanr(x, y).statistic),
    "rho-a": rho_a,
    "tau-a": tau_a,
    "tau-b": tau_b,
    "corr_cov": lambda x, y: _whitened_cosine(x - x.mean(), y - y.mean()),
    "cosine_cov": _whitened_cosine,
    "cka": _whitened_cosine,
    "cka-unbiased": cka_unbiased,
}


def score_matrix(method: str, models: NDArray[Any], data: NDArray[Any]) -> NDArray[np.float64]:
    return np.array([[SCORES[method](x, y) for y in data] for x in models])


def relabel(condensed: Vector, order: NDArray[Any]) -> Vector:
    """Return the RDM whose condition i is condition order[i] of the given one."""
    square = squareform(condensed)
    return np.asarray(squareform(square[np.ix_(order, order)], checks=False))


def null_scores(
    method: str,
    models: NDArray[Any],
    data: NDArray[Any],
    *,
    n_perm: int,
    seed: int,
) -> NDArray[np.float64]:
    """Score relabelled models, one permutation after another: (n_perm, n_model, n_subject)."""
    n_cond = squareform(models[0]).shape[0]
    orders = core.random_permutations(seed, 0, n_perm, n_cond)
    return np.stack(
        [score_matrix(method, [relabel(x, order) for x in models], data) for order in orders]
    )


def p_values(
    null: NDArray[np.float64], observed: NDArray[np.float64], alternative: str, rounding: float
) -> NDArray[np.float64]:
    """(b + 1) / (n_perm + 1), over the first axis of `null`."""
    if alternative == "greater":
        extreme = null >= observed - rounding
    elif alternative == "less":
        extreme = null <= observed + rounding
    else:
        extreme = np.abs(null) >= np.abs(observed) - rounding
    return (1 + extreme.sum(0)) / (1 + len(null))
