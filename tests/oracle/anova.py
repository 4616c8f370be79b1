"""The stupid twin of the analysis of variance: sums of squares, one mean at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def two_way_sums(y: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Return (ss, ss_error) of both factors and the interaction, for y (n_subject, a, b)."""
    n, a, b = y.shape
    grand = y.mean()
    of_s, of_a, of_b = y.mean((1, 2)), y.mean((0, 2)), y.mean((0, 1))
    of_sa, of_sb, of_ab = y.mean(2), y.mean(1), y.mean(0)
    sums = dict.fromkeys(("a", "sa", "b", "sb", "ab", "sab"), 0.0)
    for s in range(n):
        for i in range(a):
            sums["a"] += b * (of_a[i] - grand) ** 2
            sums["sa"] += b * (of_sa[s, i] - of_s[s] - of_a[i] + grand) ** 2
        for j in range(b):
            sums["b"] += a * (of_b[j] - grand) ** 2
            sums["sb"] += a * (of_sb[s, j] - of_s[s] - of_b[j] + grand) ** 2
        for i in range(a):
            for j in range(b):
                crossed = of_ab[i, j] - of_a[i] - of_b[j] + grand
                fitted = of_sa[s, i] + of_sb[s, j] - of_s[s]
                sums["ab"] += crossed**2
                sums["sab"] += (y[s, i, j] - fitted - crossed) ** 2
    return {
        "network": (sums["a"], sums["sa"]),
        "layer": (sums["b"], sums["sb"]),
        "network:layer": (sums["ab"], sums["sab"]),
    }


def long_frame(y: NDArray[np.float64], factors: tuple[str, ...], value: str) -> pd.DataFrame:
    """Return one row per subject and combination of levels."""
    places = np.indices(y.shape).reshape(y.ndim, -1)
    names = ("subject", *factors)
    table = {name: [f"{name}{i}" for i in place] for name, place in zip(names, places, strict=True)}
    return pd.DataFrame({**table, value: y.ravel()})
