"""Variance of RDMs that predictors explain alone, and that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.rsa._block_moments import BlockMoments, Moments
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["VariancePartition", "variance_partition"]

_MAX_PREDICTORS = 10
_MIN_CONDITIONS_PER_FOLD = 3
R2_KINDS = ("plain", "adjusted")

# Eigenvalues of the correlations of predictors that are below this do not count.
_DEPENDENT = 1e-12

Values = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class VariancePartition:
    """Explained variance of every combination of predictors.

    Attributes
    ----------
    r2 : ndarray of shape (2**q, n_target)
        Row number ``sum(2**place)`` over the places of a combination's predictors; row 0 is zero.
    predictors : tuple of str
        The q predictors.
    targets : tuple of str
    kind : str
        ``"plain"``, ``"adjusted"`` or ``"crossvalidated"``.
    """

    r2: Values
    predictors: tuple[str, ...]
    targets: tuple[str, ...]
    kind: str

    def total(self) -> Values:
        """Return R2 of all predictors together, (n_target,)."""
        total: Values = self.r2[-1]
        return total

    def of(self, *predictors: str) -> Values:
        """Return R2 of a combination of predictors, (n_target,)."""
        r2: Values = self.r2[self._code(predictors)]
        return r2

    def unique(self, predictor: str) -> Values:
        """Return R2 of all less R2 of all but one, (n_target,)."""
        unique: Values = self.r2[-1] - self.r2[len(self.r2) - 1 - self._code((predictor,))]
        return unique

    def common(self, *predictors: str) -> Values:
        """Return what exactly these predictors share, (n_target,).

        Of one predictor it is `unique`. Parts of all combinations add up to `total`. A part may be
        negative, where predictors explain more together than the sum of what each explains
        (suppression); it is shown as it is.
        """
        part: Values = self._parts()[self._code(predictors)]
        return part

    def to_frame(self) -> pd.DataFrame:
        """Return a row per target and combination: target, predictors, size, r2, part."""
        parts = self._parts()
        names = self.predictors
        codes = [
            (some, self._code(some))
            for size in range(1, len(names) + 1)
            for some in combinations(names, size)
        ]
        return pd.DataFrame(
            {
                "target": np.repeat(self.targets, len(codes)),
                "predictors": [" + ".join(some) for some, _ in codes] * len(self.targets),
                "size": [len(some) for some, _ in codes] * len(self.targets),
                "r2": self.r2[[code for _, code in codes]].T.ravel(),
                "part": parts[[code for _, code in codes]].T.ravel(),
            }
        )

    def _code(self, predictors: tuple[str, ...]) -> int:
        unknown = [name for name in predictors if name not in self.predictors]
        if unknown or not predictors or len(set(predictors)) != len(predictors):
            raise ValueError(
                f"predictors must be some of {', '.join(self.predictors)}, each once; got "
                f"{', '.join(map(repr, predictors)) or 'none'}."
            )
        return sum(1 << self.predictors.index(name) for name in predictors)

    def _parts(self) -> Values:
        """Return the part of each combination, by Moebius inversion.

        ``c(A) = sum over B within A of (-1)^(|B| + 1) R2(B and all that is not in A)``.
        """
        without = self.r2[::-1].copy()  # row D: R2 of all but D
        size = len(without)
        for bit in (1 << place for place in range(len(self.predictors))):
            having = np.flatnonzero(np.arange(size) & bit)
            without[having] -= without[having ^ bit]
        parts: Values = -without
        parts[0] = 0.0
        return parts

    def __repr__(self) -> str:
        lines = [
            f"VariancePartition: {len(self.predictors)} predictors, {len(self.targets)} targets, "
            f"{self.kind} R2"
        ]
        width = max(map(len, self.predictors))
        lines += [
            f"  {name:<{width}}  alone {self.of(name).mean():7.4f}  "
            f"unique {self.unique(name).mean():7.4f}"
            for name in self.predictors
        ]
        lines.append(f"  mean R2 of all {self.total().mean():.4f}")
        return "\n".join(lines)


def variance_partition(
    predictors: RDMsLike | Mapping[str, RDMsLike],
    data: RDMsLike,
    *,
    cv: int | None = None,
    n_repeat: int = 1,
    kind: str = "adjusted",
    random_state: RandomState = None,
) -> VariancePartition:
    """Split the explained variance of RDMs among predictor RDMs.

    Least squares with an intercept, of every combination of predictors.

    Parameters
    ----------
    predictors : RDMs, array_like, or mapping of str to RDMs
        Two to ten. In a mapping, a predictor may be several RDMs (the layers of a network), which
        enter and leave together.
    data : RDMs, RDM or array_like
        Targets: subjects, times, regions. Joined by id.
    cv : int, optional
        Folds of conditions, for cross-validated R2: fitted to pairs of which neither condition is
        held out, measured on pairs of which both are. None: `kind`.
    n_repeat : int
        Repeats with other folds, averaged.
    kind : {"adjusted", "plain"}
        Without `cv`: R2 corrected for the number of predictors, or as it comes. The correction
        counts pairs as independent, which they are not: it is too small.
    random_state : int, Generator, RandomState or None
        Shuffles conditions into folds.

    Returns
    -------
    VariancePartition

    Raises
    ------
    ValueError
        For fewer than 2 or more than 10 predictors, folds of fewer than 3 conditions, unequal
        conditions, or an RDM that is constant.

    Notes
    -----
    R2 is ``1 - var(y - prediction) / var(y)``; a cross-validated one can be negative, and forgives
    an offset in what is held out. Predictors that depend on others add nothing: eigenvalues below
    1e-12 of their correlations are left out.

    Cost: ``2 m (q + T)**2`` FLOP a repeat for the inner products of all folds, then ``2**q - 1``
    eigenproblems of q a fold, shared by all T targets.

    References
    ----------
    Commonality: Nimon and Oswald, Organ. Res. Methods 16, 650 (2013).
    """
    check_choice(kind, "kind", R2_KINDS)
    n_repeat = check_integer(n_repeat, "n_repeat", minimum=1)
    groups, stacked = _stack(predictors)
    if not 2 <= len(groups) <= _MAX_PREDICTORS:
        raise ValueError(
            f"predictors must be from 2 to {_MAX_PREDICTORS}; got {len(groups)}. Put RDMs together "
            "in a mapping if there are more."
        )
    stacked, targets = join(stacked, as_rdms(data, "data"))
    _check_varies(stacked, "predictors")
    _check_varies(targets, "data")
    vectors = np.vstack([stacked.dissimilarities, targets.dissimilarities])
    vectors = vectors / np.abs(vectors).max(1, keepdims=True)
    columns = list(groups.values())
    n_cond = stacked.n_cond
    if cv is None and kind == "adjusted" and stacked.n_pair < len(stacked) + 2:
        raise ValueError(
            f"adjusted R2 needs at least 2 pairs more than RDMs; got {stacked.n_pair} pairs and "
            f"{len(stacked)} RDMs. Use kind='plain'."
        )
    if cv is None:
        moments = BlockMoments.of(vectors, np.zeros(n_cond, dtype=np.int64)).everything()
        r2 = _r2_of_subsets(moments, moments, columns, adjusted=kind == "adjusted")
    else:
        cv = check_integer(cv, "cv", minimum=2)
        if n_cond // cv < _MIN_CONDITIONS_PER_FOLD:
            raise ValueError(
                f"every fold must hold out at least {_MIN_CONDITIONS_PER_FOLD} conditions, or its "
                f"pairs say nothing; {cv} folds of {n_cond} conditions do not."
            )
        kind = "crossvalidated"
        orders = core.random_permutations(as_seed(random_state), 0, n_repeat, n_cond)
        r2 = np.zeros((1 << len(columns), len(targets)))
        for order in orders:
            folds = np.empty(n_cond, dtype=np.int64)
            folds[order] = np.arange(n_cond) % cv
            blocks = BlockMoments.of(vectors, folds)
            for fold in range(cv):
                train, test = blocks.without(fold), blocks.within(fold)
                r2 += _r2_of_subsets(train, test, columns, adjusted=False)
        r2 /= n_repeat * cv
    return VariancePartition(r2, tuple(groups), targets.names, kind)


def _stack(
    predictors: RDMsLike | Mapping[str, RDMsLike],
) -> tuple[dict[str, NDArray[np.int64]], RDMs]:
    """Return the places of each predictor's RDMs, and all of them."""
    if not isinstance(predictors, Mapping):
        rdms = as_rdms(predictors, "predictors")
        return {name: np.array([place]) for place, name in enumerate(rdms.names)}, rdms
    groups: dict[str, NDArray[np.int64]] = {}
    parts: list[RDMs] = []
    first = 0
    for name, value in predictors.items():
        part = as_rdms(value, f"predictor {name!r}")
        if parts:
            _, part = join(parts[0], part)
        groups[name] = np.arange(first, first + len(part))
        first += len(part)
        parts.append(part)
    if not parts:
        raise ValueError("predictors must be from 2 to 10; got none.")
    return groups, RDMs(np.vstack([part.dissimilarities for part in parts]), ids=parts[0].ids)


def _check_varies(rdms: RDMs, name: str) -> None:
    flat = np.ptp(rdms.dissimilarities, axis=1) == 0
    if flat.any():
        raise ValueError(
            f"{name} must be RDMs that vary; {rdms.names[int(flat.argmax())]!r} is constant. Leave "
            "it out."
        )


def _r2_of_subsets(
    train: Moments, test: Moments, groups: list[NDArray[np.int64]], *, adjusted: bool
) -> Values:
    """Return R2 of all combinations, (2**q, n_target), fitted to `train`, measured on `test`."""
    n_predictor = sum(map(len, groups))
    gram = train.products[:n_predictor, :n_predictor]
    with_targets = train.products[:n_predictor, n_predictor:]
    test_gram = test.products[:n_predictor, :n_predictor]
    test_with_targets = test.products[:n_predictor, n_predictor:]
    squares = np.diagonal(test.products)[n_predictor:]
    diagonal = np.diagonal(gram)
    # A predictor that is constant in the training set leaves no trace.
    length = np.sqrt(np.where(diagonal > 0, diagonal, np.inf))
    out = np.zeros((1 << len(groups), with_targets.shape[1]))
    for code in range(1, len(out)):
        chosen = np.concatenate([group for bit, group in enumerate(groups) if code >> bit & 1])
        scale = length[chosen]
        within = np.ix_(chosen, chosen)
        values, vectors = np.linalg.eigh(gram[within] / scale / scale[:, None])
        kept = values > _DEPENDENT * len(chosen)
        axes = vectors[:, kept] / scale[:, None]
        weights = axes @ ((axes.T @ with_targets[chosen]) / values[kept, None])
        explained = 2 * (weights * test_with_targets[chosen]).sum(0)
        explained -= (weights * (test_gram[within] @ weights)).sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[code] = explained / squares
        if adjusted:
            freedom = test.n_pair - 1 - np.count_nonzero(kept)
            out[code] = 1 - (1 - out[code]) * (test.n_pair - 1) / freedom
    return out
