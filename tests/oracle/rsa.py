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


SCORES: dict[str, Callable[[Vector, Vector], float]] = {
    "corr": lambda x, y: float(pearsonr(x, y).statistic),
    "cosine": cosine,
    "spearman": lambda x, y: float(spearmanr(x, y).statistic),
    "rho-a": rho_a,
    "tau-a": tau_a,
    "tau-b": tau_b,
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
