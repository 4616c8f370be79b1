"""Obviously right loops: one permutation, one fold and one voxel at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._native import core

Array = NDArray[np.float64]


def draws_below(seed: int, stream: int) -> Iterator[int]:
    """Send a bound, get the next integer below it: the words of one stream, without bias."""
    words = iter(core.random_draws(seed, stream, 4096).tolist())
    value = 0
    while True:
        bound = yield value
        product = next(words) * bound
        if product % 2**32 < bound:
            threshold = (2**32 - bound) % bound
            while product % 2**32 < threshold:
                product = next(words) * bound
        value = product >> 32


def runs_of(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each label, in order of first appearance."""
    return [np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())]


def exchanged(
    y: Array,
    folds: NDArray[np.int64],
    blocks: NDArray[np.int64],
    scheme: str,
    shift: int,
    seed: int,
    i: int,
) -> Array:
    """One column under permutation i."""
    below = draws_below(seed, i)
    next(below)
    out = np.empty_like(y)
    for rows in runs_of(folds):
        parts = [rows[part] for part in runs_of(blocks[rows])]
        if scheme == "permute":
            order = list(range(len(parts)))
            for last in range(len(parts), 1, -1):
                pick = below.send(last)
                order[last - 1], order[pick] = order[pick], order[last - 1]
            out[np.concatenate(parts)] = np.concatenate([y[parts[j]] for j in order])
        for part in parts:
            n = len(part)
            if scheme == "circular":
                s = shift + below.send(n - 2 * shift + 1) if shift else below.send(n)
                out[part] = np.roll(y[part], -s)
            elif scheme == "sign":
                out[part] = y[part] * (-1) ** below.send(2)
    return out


def fold_scores(y: Array, p: Array, folds: NDArray[np.int64], scoring: str) -> list[float]:
    """Score of each fold where y varies."""
    out = []
    for rows in runs_of(folds):
        a, b = y[rows], p[rows]
        if np.ptp(a) == 0:
            continue
        if scoring == "r2":
            out.append(1 - ((a - b) ** 2).sum() / ((a - a.mean()) ** 2).sum())
        else:
            out.append(0.0 if np.ptp(b) == 0 else float(np.corrcoef(a, b)[0, 1]))
    return out
