"""Analysis of variance with repeated measures, for many regions at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from dnnbrain_cpp._validate import as_array, check_finite
from dnnbrain_cpp.stats._design import cells_of_frame, check_within
from dnnbrain_cpp.stats._table import long_table

__all__ = ["AnovaEffect", "AnovaResult", "rm_anova"]

Values = NDArray[np.float64]

_CHUNK = 1 << 19  # values of y that are worked on at a time; 4 MiB stay in the cache


@dataclass(frozen=True, repr=False)
class AnovaEffect:
    """One effect: a factor, or the interaction of several.

    Every array has the shape of the trailing axes of `y`; a single analysis has shape ``()``.

    Attributes
    ----------
    df, df_error : int
        Degrees of freedom ``d`` and ``d (n_subject - 1)``, before correction.
    ss, ss_error : ndarray
        Sums of squares of the effect, and of its interaction with subjects.
    f, p : ndarray
        ``(ss / df) / (ss_error / df_error)``, and its p-value if sphericity holds. Without any
        variance F is NaN, with variance of the effect alone infinite.
    mauchly_w, mauchly_p : ndarray
        Mauchly's test of sphericity. With ``df == 1`` sphericity is given (W = 1, p NaN); with
        fewer subjects than ``df + 1`` it cannot be tested (both NaN).
    eps_gg, p_gg : ndarray
        Greenhouse and Geisser's epsilon, by which both degrees of freedom are multiplied, and p.
    eps_hf, p_hf : ndarray
        Huynh and Feldt's, likewise.
    eta2_partial : ndarray
        ``ss / (ss + ss_error)``.
    eta2_generalized : ndarray
        ``ss / (ss + all sums of squares that involve subjects)``, which can be compared between
        designs (Olejnik & Algina 2003).
    """

    df: int
    df_error: int
    ss: Values
    ss_error: Values
    f: Values
    p: Values
    mauchly_w: Values
    mauchly_p: Values
    eps_gg: Values
    p_gg: Values
    eps_hf: Values
    p_hf: Values
    eta2_partial: Values
    eta2_generalized: Values


@dataclass(frozen=True, repr=False)
class AnovaResult(Mapping[str, AnovaEffect]):
    """Effects by name: ``result["layer"]``, ``result["network:layer"]``.

    Attributes
    ----------
    effects : dict of str to AnovaEffect
        Factors in the order of `within`, then interactions of two, of three and so on.
    n_subject : int
    shape : tuple of int
        Of what was analysed at once.
    targets : tuple of str or None
        Names of it, for a table with several columns of values.
    """

    effects: dict[str, AnovaEffect]
    n_subject: int
    shape: tuple[int, ...]
    targets: tuple[str, ...] | None = None

    def __getitem__(self, effect: str) -> AnovaEffect:
        if effect not in self.effects:
            raise KeyError(f"no effect {effect!r}; there are {', '.join(self.effects)}")
        return self.effects[effect]

    def __iter__(self) -> Iterator[str]:
        return iter(self.effects)

    def __len__(self) -> int:
        return len(self.effects)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per effect and analysis, with all that `AnovaEffect` holds."""
        return pd.concat(
            [
                long_table({"effect": name, **vars(effect)}, self.shape, self.targets)
                for name, effect in self.effects.items()
            ],
            ignore_index=True,
        )

    def __repr__(self) -> str:
        n = math.prod(self.shape)
        head = f"AnovaResult: {self.n_subject} subjects" + (f", {n} analyses" if n != 1 else "")
        if n != 1:
            return f"{head}; effects {', '.join(self.effects)}"
        shown = ["effect", "f", "df", "df_error", "p", "eps_gg", "p_gg", "eta2_partial"]
        table = self.to_frame()[shown].to_string(index=False, float_format=lambda x: f"{x:.4g}")
        return f"{head}\n{table}"


def rm_anova(
    y: ArrayLike | pd.DataFrame,
    within: Sequence[str] = ("network", "layer"),
    *,
    subject: str = "subject",
    value: str | Sequence[str] = "score",
) -> AnovaResult:
    """Analyse the variance of measurements that were repeated in every subject.

    Parameters
    ----------
    y : array_like of shape (n_subject, n_level, ..., *more), or DataFrame
        An axis of levels for each name in `within`, in that order; each place of the axes that
        follow, such as regions or time points, is an analysis of its own. A table has one row per
        subject and combination of levels. Any unit; computed in float64.
    within : sequence of str
        Names of the factors, or of the table's columns that hold their levels; one to six.
    subject : str
        Column of a table.
    value : str or sequence of str
        Columns of a table with what was measured; each of several is an analysis of its own.

    Returns
    -------
    AnovaResult
        For each factor and interaction F, its degrees of freedom, p with and without correction for
        sphericity, and effect sizes.

    Raises
    ------
    ValueError
        For NaN, fewer than two subjects or levels, a missing axis, or a table in which a
        combination is missing or comes twice.

    Notes
    -----
    With the orthonormal contrasts ``M`` of an effect (for an interaction, the Kronecker product of
    those of its factors), a subject's cells become d scores, with mean ``m`` and covariance ``C``:
    ``ss = n m'm``, ``ss_error = (n - 1) tr C``, ``eps_gg = tr(C)^2 / (d tr(C^2))``,
    ``W = det C / (tr C / d)^d``. Greenhouse & Geisser (1959), Huynh & Feldt (1976); the p-value of
    W as Mauchly (1940), by Box's expansion of second order. Uncorrected p-values of effects with
    ``df > 1`` are too small where sphericity fails: report `p_gg`.

    Cost: ``2 n c^2`` FLOP and ``8 n c`` bytes per analysis of c cells.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> tau = rng.normal(0.1, 0.02, (15, 2, 7)) + 0.03 * np.arange(2)[:, None]
    >>> result = rm_anova(tau, within=("network", "layer"))
    >>> result["layer"].df, result["layer"].df_error
    (6, 84)
    """
    within = check_within(within)
    targets: tuple[str, ...] | None = None
    if isinstance(y, pd.DataFrame):
        table, targets = cells_of_frame(y, within, subject, value)
    else:
        table = as_array(y, "y", dtype=np.float64)
    n_factor = len(within)
    if table.ndim < n_factor + 1:
        raise ValueError(
            f"y must have an axis of subjects and one per factor ({', '.join(within)}); got shape "
            f"{table.shape}."
        )
    n_subject, *levels = table.shape[: n_factor + 1]
    if n_subject < 2:
        raise ValueError(f"y must have at least 2 subjects; got {n_subject}.")
    for factor, n_level in zip(within, levels, strict=True):
        if n_level < 2:
            raise ValueError(f"factor {factor!r} must have at least 2 levels; got {n_level}.")
    check_finite(table, "y")

    shape = table.shape[n_factor + 1 :]
    n_cell = math.prod(levels)
    flat = table.reshape(n_subject, n_cell, -1)
    design = _Design(tuple(levels))
    step = max(1, _CHUNK // (n_subject * n_cell))
    parts = [
        design.analyse(flat[:, :, start : start + step])
        for start in range(0, max(flat.shape[2], 1), step)
    ]
    effects = {}
    for place, factors in enumerate(design.effects):
        d = design.widths[place]
        columns = {
            name: np.concatenate([part[place][name] for part in parts]).reshape(shape)
            for name in parts[0][place]
        }
        effects[":".join(within[factor] for factor in factors)] = AnovaEffect(
            df=d, df_error=d * (n_subject - 1), **columns
        )
    return AnovaResult(effects, n_subject, shape, targets)


class _Design:
    """The contrasts of all effects, as one orthonormal basis of the cells."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        factors = range(len(levels))
        self.effects = [
            chosen for size in range(1, len(levels) + 1) for chosen in combinations(factors, size)
        ]
        blocks = [_contrasts(levels, effect) for effect in [(), *self.effects]]
        self.basis = np.hstack(blocks)
        self.widths = [block.shape[1] for block in blocks[1:]]

    def analyse(self, cells: Values) -> list[dict[str, Values]]:
        """Return what `AnovaEffect` holds, effect by effect, for cells (n_subject, n_cell, r)."""
        n_subject = cells.shape[0]
        y = np.ascontiguousarray(cells.transpose(2, 0, 1))
        # What is lost of a sum of squares to rounding, before anything has been subtracted.
        rounding = 16 * np.finfo(np.float64).eps ** 2 * np.einsum("rsc,rsc->r", y, y)
        y -= y.mean((1, 2), keepdims=True)
        scores = y @ self.basis
        means = scores.mean(1)
        scores -= means[:, None]
        squares = np.einsum("rsc,rsc->rc", scores, scores)
        of_subjects = squares.sum(1)
        out = []
        start = 1
        for d in self.widths:
            here = slice(start, start + d)
            start += d
            ss = n_subject * np.square(means[:, here]).sum(1)
            ss_error = squares[:, here].sum(1)
            ss = np.where(ss > rounding, ss, 0.0)
            constant = ss_error <= rounding
            deviations = np.ascontiguousarray(scores[:, :, here])
            covariance = deviations.transpose(0, 2, 1) @ deviations / (n_subject - 1)
            covariance[constant] = 0.0
            ss_error[constant] = 0.0
            out.append(_effect(ss, ss_error, of_subjects, covariance, n_subject, len(self.basis)))
        return out


def _contrasts(levels: tuple[int, ...], effect: tuple[int, ...]) -> Values:
    """Return the orthonormal contrasts (n_cell, d) of an effect; of none, the mean."""
    out: Values = np.ones((1, 1))
    for factor, n_level in enumerate(levels):
        part = _helmert(n_level) if factor in effect else _mean_of(n_level)
        out = np.asarray(np.kron(out, part), dtype=np.float64)
    return out


def _mean_of(n_level: int) -> Values:
    return np.full((n_level, 1), 1 / math.sqrt(n_level))


def _helmert(n_level: int) -> Values:
    """Each level against the mean of those before it, as orthonormal columns (n, n - 1)."""
    k = np.arange(1, n_level)
    columns: Values = np.triu(np.ones((n_level, n_level - 1)))
    columns[k, k - 1] = -k
    return columns / np.sqrt(k * (k + 1.0))


def _effect(
    ss: Values,
    ss_error: Values,
    of_subjects: Values,
    covariance: Values,
    n_subject: int,
    n_cell: int,
) -> dict[str, Values]:
    d = covariance.shape[1]
    df_error = d * (n_subject - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = (ss / d) / (ss_error / df_error)
        eps_gg, eps_hf = _epsilons(covariance, n_subject)
        mauchly_w, mauchly_p = _mauchly(covariance, n_subject, n_cell)
        eta2_partial = ss / (ss + ss_error)
        eta2_generalized = ss / (ss + of_subjects)
    p = special.fdtrc(d, df_error, f)
    corrected = [
        p if d == 1 else special.fdtrc(eps * d, eps * df_error, f) for eps in (eps_gg, eps_hf)
    ]
    return {
        "ss": ss,
        "ss_error": ss_error,
        "f": f,
        "p": p,
        "mauchly_w": mauchly_w,
        "mauchly_p": mauchly_p,
        "eps_gg": eps_gg,
        "p_gg": corrected[0],
        "eps_hf": eps_hf,
        "p_hf": corrected[1],
        "eta2_partial": eta2_partial,
        "eta2_generalized": eta2_generalized,
    }


def _epsilons(covariance: Values, n: int) -> tuple[Values, Values]:
    """Return Greenhouse and Geisser's epsilon, and Huynh and Feldt's, which is never smaller."""
    d = covariance.shape[1]
    if d == 1:
        ones = np.where(covariance[:, 0, 0] > 0, 1.0, np.nan)
        return ones, ones
    trace = np.einsum("rii->r", covariance)
    gg = trace**2 / (d * np.einsum("rij,rij->r", covariance, covariance))
    room = n - 1 - d * gg  # 0 where all directions that n subjects have vary equally
    hf = np.where(room > 0, (n * d * gg - 2) / (d * room), 1.0)
    return gg, np.where(np.isnan(gg), np.nan, np.clip(hf, gg, 1.0))


def _mauchly(covariance: Values, n: int, n_cell: int) -> tuple[Values, Values]:
    """Return W and its p-value, for an effect in a design of `n_cell` cells."""
    d = covariance.shape[1]
    nan = np.full(len(covariance), np.nan)
    if d == 1:
        return np.where(covariance[:, 0, 0] > 0, 1.0, np.nan), nan
    if n - 1 < d:
        return nan, nan
    mean_variance = np.einsum("rii->r", covariance) / d
    sign, log_det = np.linalg.slogdet(covariance / mean_variance[:, None, None])
    log_w = np.where(sign > 0, log_det, np.where(np.isnan(mean_variance), np.nan, -np.inf))
    log_w = np.where(mean_variance > 0, log_w, np.nan)
    rho = 1 - (2 * d**2 + d + 2) / (6 * d * (n - 1))
    # 3 n_cell for all effects, as in R's afex and in pingouin; Anderson (2003) has 3 d.
    omega = (d + 2) * (d - 1) * (d - 2) * (2 * d**3 + 6 * d**2 + 3 * n_cell + 2)
    omega /= 288 * ((n - 1) * d * rho) ** 2
    chi2 = -(n - 1) * rho * log_w
    df = d * (d + 1) // 2 - 1
    first = special.chdtrc(df, chi2)
    p = first + omega * (special.chdtrc(df + 4, chi2) - first)
    return np.exp(log_w), np.clip(p, 0.0, 1.0)
