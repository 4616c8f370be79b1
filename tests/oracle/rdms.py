"""Stupid twins of RDM metrics: loops over pairs, runs and samples."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def crossnobis(
    cells: dict[tuple[Any, Any], Array], conditions: list[Any], precision: Array
) -> Array:
    """Mean over ordered pairs of runs that have both conditions; `cells` by (run, condition)."""
    runs = sorted({run for run, _ in cells})
    out = []
    for i, j in combinations(conditions, 2):
        terms = []
        for r, s in permutations(runs, 2):
            if all((run, c) in cells for run in (r, s) for c in (i, j)):
                d_r = cells[r, i] - cells[r, j]
                d_s = cells[s, i] - cells[s, j]
                terms.append(d_r @ precision @ d_s / len(d_r))
        out.append(np.mean(terms))
    return np.array(out)


def discriminant_t(
    cells: dict[tuple[Any, Any], Array], conditions: list[Any], precision: Array
) -> Array:
    """`cells` hold single observations, (n, p)."""
    runs = sorted({run for run, _ in cells})
    out = []
    for i, j in combinations(conditions, 2):
        terms = []
        for r, s in permutations(runs, 2):
            if all((run, c) in cells for run in (r, s) for c in (i, j)):
                discriminant = precision @ (cells[r, i].mean(0) - cells[r, j].mean(0))
                difference = cells[s, i].mean(0) - cells[s, j].mean(0)
                variance = discriminant @ np.linalg.inv(precision) @ discriminant
                variance *= 1 / len(cells[s, i]) + 1 / len(cells[s, j])
                terms.append(discriminant @ difference / np.sqrt(variance))
        out.append(np.mean(terms))
    return np.array(out)


def poisson(rates: Array) -> Array:
    logs = np.log(rates)
    return np.array(
        [
            ((rates[i] - rates[j]) * (logs[i] - logs[j])).mean()
            for i, j in combinations(range(len(rates)), 2)
        ]
    )


def poisson_cv(rates: Array) -> Array:
    """Rates (n_run, n_cond, p): mean training rates with test logarithms, averaged over folds."""
    n_run = len(rates)
    folds = []
    for test in range(n_run):
        train = rates[[r for r in range(n_run) if r != test]].mean(0)
        logs = np.log(rates[test])
        folds.append(
            [
                ((train[i] - train[j]) * (logs[i] - logs[j])).mean()
                for i, j in combinations(range(rates.shape[1]), 2)
            ]
        )
    return np.mean(folds, axis=0)


def ledoit_wolf(residuals: Array, dof: float) -> Array:
    """Return the estimate from sums over samples and pairs of channels, one by one."""
    x = residuals - residuals.mean(0)
    n, p = x.shape
    sample = x.T @ x / n
    scale = np.trace(sample) / p
    distance = ((sample - scale * np.eye(p)) ** 2).sum()
    error = sum(((np.outer(row, row) - sample) ** 2).sum() for row in x) / n**2
    weight = min(distance, error) / distance if distance else 1.0
    return ((1 - weight) * sample + weight * scale * np.eye(p)) * n / dof


def shrunk_diagonal(residuals: Array, dof: float) -> Array:
    """Schaefer & Strimmer 2005, appendix: standardised data, entry by entry."""
    x = residuals - residuals.mean(0)
    n, p = x.shape
    z = x / x.std(0, ddof=1)
    variance = total = 0.0
    for i, j in permutations(range(p), 2):
        w = z[:, i] * z[:, j]
        r = n / (n - 1) * w.mean()
        variance += n / (n - 1) ** 3 * ((w - w.mean()) ** 2).sum()
        total += r**2
    weight = min(max(variance / total, 0.0), 1.0)
    sample = x.T @ x / dof
    return np.where(np.eye(p, dtype=bool), sample, (1 - weight) * sample)
