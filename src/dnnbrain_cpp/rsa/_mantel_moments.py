"""The Mantel test without permutations: moments over all of them, and a curve through these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, pearson3, rankdata

from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._methods import ALTERNATIVES, check_method
from dnnbrain_cpp.rsa._rdms import RDM

__all__ = ["MantelMoments", "mantel_moments"]

PRODUCTS = ("corr", "cosine", "spearman")
_MIN_COND = 6  # three pairs without a condition in common
_SYMMETRIC = 1e-9  # a skewness that is none

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class MantelMoments:
    """What a Mantel test would find, from the moments of all ``n!`` relabellings.

    Attributes
    ----------
    statistic : float
        Similarity of the RDMs as they are.
    p_value : float
        Of a Pearson type III distribution with the three moments: an approximation, but not bounded
        by a number of permutations.
    mean, sd, skewness : float
        Of the similarity over all relabellings: exact.
    method, alternative : str
    """

    statistic: float
    p_value: float
    mean: float
    sd: float
    skewness: float
    method: str
    alternative: str


def mantel_moments(
    x: RDMsLike, y: RDMsLike, method: str = "corr", alternative: str = "two-sided"
) -> MantelMoments:
    """Return the moments of a Mantel test over all relabellings, and an approximate p-value.

    Parameters
    ----------
    x, y : RDM, RDMs of one, or array_like of shape (n_cond, n_cond) or (n_pair,)
        Joined by id when both have ids. At least 6 conditions.
    method : {"corr", "cosine", "spearman"}
        Comparators that are products of vectors.
    alternative : {"two-sided", "greater", "less"}
        ``"two-sided"``: both tails beyond the absolute value.

    Returns
    -------
    MantelMoments

    Raises
    ------
    ValueError
        As `mantel`, and for fewer than 6 conditions or another comparator.

    Notes
    -----
    Mean and variance: Mantel (1967); third moment: Siemiatycki (1978). A product of k sums over
    pairs is a sum over the graphs that k edges can form, and relabelling spreads each graph evenly
    over its likes; the sums for the eight graphs of three edges follow from row sums and A A. One
    matrix product: ``2 n**3`` FLOP. Use it as a check of a test, or where p is far below one over
    the number of permutations.
    """
    method = check_choice(check_method(method), "method", PRODUCTS)
    check_choice(alternative, "alternative", tuple(ALTERNATIVES))
    first, second = join(as_rdms(x, "x"), as_rdms(y, "y"))
    if len(first) != 1 or len(second) != 1:
        raise ValueError(f"x and y must be one RDM each; got {len(first)} and {len(second)}.")
    if first.n_cond < _MIN_COND:
        raise ValueError(
            f"the third moment needs at least {_MIN_COND} conditions; got {first.n_cond}. With so "
            "few, rsa.mantel goes through all relabellings."
        )
    check_comparable(first, "x", method)
    check_comparable(second, "y", method)
    a = _prepared(first.dissimilarities[0], method)
    b = _prepared(second.dissimilarities[0], method)
    ones = np.ones_like(a)
    of_a, of_b, number = (_graph_sums(RDM(v).square()) for v in (a, b, ones))
    raw = [float((s * t / n).sum()) for s, t, n in zip(of_a, of_b, number, strict=True)]
    mean = raw[0]
    sd = float(np.sqrt(max(raw[1] - mean**2, 0.0)))
    skewness = 0.0 if sd == 0 else (raw[2] - 3 * mean * sd**2 - mean**3) / sd**3
    statistic = float(a @ b)
    return MantelMoments(
        statistic=statistic,
        p_value=_p_value(statistic, mean, sd, skewness, alternative),
        mean=mean,
        sd=sd,
        skewness=skewness,
        method=method,
        alternative=alternative,
    )


def _prepared(vector: Vector, method: str) -> Vector:
    values = rankdata(vector) if method == "spearman" else vector
    values = values if method == "cosine" else values - values.mean()
    values = values / np.abs(values).max()  # before anything is squared
    return np.asarray(values / np.linalg.norm(values))


def _graph_sums(square: Vector) -> tuple[Vector, Vector, Vector]:
    """Return sums over ordered edges, pairs and triples of edges, by the graph that they form.

    One edge: 1. Two: the same, adjacent, disjoint. Three: thrice the same; twice the same and one
    adjacent; and one disjoint; triangle; star; path; two adjacent and one disjoint; all disjoint.
    """
    rows = square.sum(1)
    squares, cubes = square**2, square**3
    total = rows.sum() / 2
    second, third = squares.sum() / 2, cubes.sum() / 2
    adjacent = (rows**2 - squares.sum(1)).sum()
    pairs = np.array([second, adjacent, total**2 - second - adjacent])

    product = square @ square
    beside = (squares * (rows[:, None] + rows - 2 * square)).sum() / 2
    doubled = 3 * beside
    apart = 3 * (second * total - beside - third)
    triangle = (product * square).sum()
    star = (rows**3 - 3 * rows * squares.sum(1) + 2 * cubes.sum(1)).sum()
    ends = (rows[:, None] - square) * (rows - square) - product
    path = 3 * (square * ends).sum()
    two_and_one = 3 * (adjacent * total - 2 / 3 * doubled - triangle - star - 2 / 3 * path)
    met = [third, doubled, apart, triangle, star, path, two_and_one]
    return np.array([total]), pairs, np.array([*met, total**3 - sum(met)])


def _p_value(statistic: float, mean: float, sd: float, skewness: float, alternative: str) -> float:
    if sd == 0:
        return 1.0
    # SciPy's Pearson III has the skewness in its denominators.
    curve = norm if abs(skewness) < _SYMMETRIC else pearson3(skewness)

    def above(value: float) -> float:
        return float(curve.sf((value - mean) / sd))

    def below(value: float) -> float:
        return float(curve.cdf((value - mean) / sd))

    if alternative == "greater":
        return above(statistic)
    if alternative == "less":
        return below(statistic)
    return min(1.0, above(abs(statistic)) + below(-abs(statistic)))
