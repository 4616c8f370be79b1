"""Representational dissimilarity matrices: one, or several over the same conditions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_array, check_choice, check_finite, check_ids

__all__ = ["RDM", "RDMs", "condition_count", "pair_index"]

_SYMMETRY = 1e-6


class RDM:
    """One RDM: a dissimilarity for each pair of conditions.

    Parameters
    ----------
    dissimilarities : array_like of shape (n_pair,)
        Condensed: pairs (0, 1), (0, 2) to (n-2, n-1), as `scipy.spatial.distance.squareform`
        orders them. Any real numbers; crossvalidated distances may be negative.
    ids : sequence of str, optional
        One per condition. Without them, joins go by order.
    name : str
        Of the layer, subject or region.
    metric : str, optional
        What the dissimilarities are.

    Attributes
    ----------
    dissimilarities : ndarray of shape (n_pair,), float64
    n_cond : int
    ids : tuple of str or None
    name : str
    metric : str or None

    Raises
    ------
    ValueError
        For NaN, a length that is no number of pairs, fewer than 3 conditions, or a wrong number of
        ids.
    """

    def __init__(
        self,
        dissimilarities: ArrayLike,
        *,
        ids: Sequence[str] | None = None,
        name: str = "rdm",
        metric: str | None = None,
    ) -> None:
        array = as_array(dissimilarities, "dissimilarities", dtype=np.float64, ndim=1)
        self.n_cond = condition_count(len(array))
        check_finite(array, "dissimilarities")
        self.dissimilarities: NDArray[np.float64] = array
        self.ids = None if ids is None else check_ids(ids, "ids", n=self.n_cond)
        self.name = str(name)
        self.metric = metric

    @classmethod
    def from_square(
        cls,
        square: ArrayLike,
        *,
        ids: Sequence[str] | None = None,
        name: str = "rdm",
        metric: str | None = None,
    ) -> RDM:
        """Return the RDM of a matrix of shape (n_cond, n_cond).

        Raises
        ------
        ValueError
            If the matrix is not symmetric or its diagonal is not zero.
        """
        array = as_array(square, "square", dtype=np.float64, ndim=2)
        return cls(_condensed(array[None])[0], ids=ids, name=name, metric=metric)

    @property
    def n_pair(self) -> int:
        """Number of pairs of conditions, n_cond (n_cond - 1) / 2."""
        return len(self.dissimilarities)

    def square(self) -> NDArray[np.float64]:
        """Return the symmetric matrix with zero diagonal, shape (n_cond, n_cond)."""
        square: NDArray[np.float64] = RDMs([self]).square()[0]
        return square

    def select(self, ids: Sequence[str]) -> RDM:
        """Return the conditions named by `ids`, in that order."""
        return RDMs([self]).select(ids)[0]

    def rename(self, name: str) -> RDM:
        """Return the same RDM under another name."""
        return RDM(self.dissimilarities, ids=self.ids, name=name, metric=self.metric)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per pair: rdm, first, second, dissimilarity."""
        return RDMs([self]).to_frame()

    def __repr__(self) -> str:
        metric = "" if self.metric is None else f", {self.metric}"
        return f"RDM({self.name}: {self.n_cond} conditions{metric})"


class RDMs:
    """RDMs of layers, subjects or regions over one set of conditions.

    Parameters
    ----------
    dissimilarities : array_like of shape (n_rdm, n_pair) or (n_pair,), or sequence of RDM
        Condensed: pairs (0, 1), (0, 2) to (n-2, n-1), as `scipy.spatial.distance.squareform`
        orders them. Any real numbers; crossvalidated distances may be negative. From `RDM` objects,
        which must have the same conditions in the same order (`concat` joins others), ids, names
        and metric are taken too.
    ids : sequence of str, optional
        One per condition. Without them, joins go by order.
    names : sequence of str, optional
        One per RDM.
    metric : str, optional
        What the dissimilarities are.

    Attributes
    ----------
    dissimilarities : ndarray of shape (n_rdm, n_pair), float64
    n_cond : int
    ids : tuple of str or None
    names : tuple of str
    metric : str or None

    Raises
    ------
    ValueError
        For NaN, a length that is no number of pairs, fewer than 3 conditions, or wrong numbers of
        ids or names.
    """

    def __init__(
        self,
        dissimilarities: ArrayLike | Sequence[RDM],
        *,
        ids: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        metric: str | None = None,
    ) -> None:
        if isinstance(dissimilarities, list | tuple) and any(
            isinstance(one, RDM) for one in dissimilarities
        ):
            parts: list[RDM] = list(dissimilarities)
            _check_same_conditions(parts)
            values: Any = np.stack([one.dissimilarities for one in parts])
            ids = parts[0].ids if ids is None else ids
            names = [one.name for one in parts] if names is None else names
            metric = _common_metric(parts) if metric is None else metric
        else:
            values = dissimilarities
        array = as_array(values, "dissimilarities", dtype=np.float64, ndim=(1, 2))
        array = np.atleast_2d(array)
        self.n_cond = condition_count(array.shape[1])
        if len(array) == 0:
            raise ValueError("dissimilarities must hold at least one RDM; got none.")
        check_finite(array, "dissimilarities")
        self.dissimilarities: NDArray[np.float64] = array
        self.ids = None if ids is None else check_ids(ids, "ids", n=self.n_cond)
        default = [f"rdm-{i + 1:02d}" for i in range(len(array))]
        self.names = check_ids(default if names is None else names, "names", n=len(array))
        self.metric = metric

    @classmethod
    def from_square(
        cls,
        square: ArrayLike,
        *,
        ids: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        metric: str | None = None,
    ) -> RDMs:
        """Return RDMs from matrices of shape (n_cond, n_cond) or (n_rdm, n_cond, n_cond).

        Raises
        ------
        ValueError
            If a matrix is not symmetric or its diagonal is not zero.
        """
        array = as_array(square, "square", dtype=np.float64, ndim=(2, 3))
        array = array[None] if array.ndim == 2 else array
        return cls(_condensed(array), ids=ids, names=names, metric=metric)

    @classmethod
    def concat(cls, parts: Sequence[RDM | RDMs], *, how: str = "same") -> RDMs:
        """Return all RDMs of `parts`, their conditions joined by id.

        Parameters
        ----------
        parts : sequence of RDM or RDMs
            Names must be unique over all of them (see `rename`).
        how : {"same", "inner"}
            ``"same"``: all parts must have the same conditions, in any order. ``"inner"``:
            conditions that some part lacks are left out. The order is that of the first part.
            Parts without ids are joined by order and must have as many conditions.

        Returns
        -------
        RDMs
            Their metric is that of the parts if they agree, else None.

        Raises
        ------
        ValueError
            If the conditions do not fit together, or a name comes twice.
        """
        check_choice(how, "how", ("same", "inner"))
        if not parts:
            raise ValueError("parts must hold at least one RDM; got none.")
        sets = [RDMs([part]) if isinstance(part, RDM) else part for part in parts]
        with_ids = [part.ids for part in sets if part.ids is not None]
        if len(with_ids) == len(sets):
            kept = [i for i in with_ids[0] if all(i in other for other in with_ids[1:])]
            if how == "same" and any(len(ids) != len(kept) for ids in with_ids):
                odd = next(i for ids in with_ids for i in ids if i not in kept)
                raise ValueError(
                    f"all RDMs must have the same condition ids; {odd!r} is not in all of them. "
                    "Use how='inner' to keep those that are."
                )
            sets = [part if list(part.ids or ()) == kept else part.select(kept) for part in sets]
        elif with_ids:
            raise ValueError(
                "either all RDMs must have ids or none; some have. Build the others with ids=."
            )
        _check_same_conditions(sets)
        return cls(
            np.concatenate([part.dissimilarities for part in sets]),
            ids=sets[0].ids,
            names=[name for part in sets for name in part.names],
            metric=_common_metric(sets),
        )

    @property
    def n_pair(self) -> int:
        """Number of pairs of conditions, n_cond (n_cond - 1) / 2."""
        return int(self.dissimilarities.shape[1])

    def __len__(self) -> int:
        return len(self.dissimilarities)

    def __iter__(self) -> Iterator[RDM]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int | np.integer | str) -> RDM: ...
    @overload
    def __getitem__(
        self, index: slice | list[int] | list[str] | NDArray[np.integer | np.bool_]
    ) -> RDMs: ...
    def __getitem__(
        self,
        index: int
        | np.integer
        | str
        | slice
        | list[int]
        | list[str]
        | NDArray[np.integer | np.bool_],
    ) -> RDM | RDMs:
        """Return the RDM at a place or of a name; RDMs for a slice, a mask, places or names."""
        wanted: Any = index
        if isinstance(index, str):
            wanted = self._place(index)
        elif isinstance(index, list) and any(isinstance(name, str) for name in index):
            wanted = [self._place(str(name)) for name in index]
        places = np.arange(len(self))[wanted]
        if np.ndim(places) == 0:
            return RDM(
                self.dissimilarities[places],
                ids=self.ids,
                name=self.names[int(places)],
                metric=self.metric,
            )
        return RDMs(
            self.dissimilarities[places],
            ids=self.ids,
            names=[self.names[i] for i in places],
            metric=self.metric,
        )

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise KeyError(f"no RDM {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)

    def square(self) -> NDArray[np.float64]:
        """Return symmetric matrices with zero diagonal, shape (n_rdm, n_cond, n_cond)."""
        out = np.zeros((len(self), self.n_cond, self.n_cond))
        rows, columns = np.triu_indices(self.n_cond, 1)
        out[:, rows, columns] = self.dissimilarities
        out[:, columns, rows] = self.dissimilarities
        return out

    def select(self, ids: Sequence[str]) -> RDMs:
        """Return the conditions named by `ids`, in that order."""
        if self.ids is None:
            raise ValueError("these RDMs have no ids to select by; build them with ids=.")
        place = {name: row for row, name in enumerate(self.ids)}
        wanted = check_ids(ids, "ids")
        missing = [name for name in wanted if name not in place]
        if missing:
            raise ValueError(
                f"ids must be among the {self.n_cond} conditions; {missing[0]!r} "
                f"({len(missing)} in all) is not."
            )
        rows = np.array([place[name] for name in wanted], dtype=np.intp)
        first, second = np.triu_indices(len(rows), 1)
        pairs = pair_index(rows[first], rows[second], self.n_cond)
        return RDMs(
            self.dissimilarities[:, pairs], ids=wanted, names=self.names, metric=self.metric
        )

    def rename(self, names: Sequence[str]) -> RDMs:
        """Return the same RDMs under other names."""
        return RDMs(self.dissimilarities, ids=self.ids, names=names, metric=self.metric)

    def mean(self) -> RDM:
        """Return the mean over RDMs, named ``mean``."""
        return RDM(self.dissimilarities.mean(0), ids=self.ids, name="mean", metric=self.metric)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per RDM and pair: rdm, first, second, dissimilarity.

        Conditions without ids go by their place, from 0.
        """
        rows, columns = np.triu_indices(self.n_cond, 1)
        labels = np.arange(self.n_cond) if self.ids is None else np.array(self.ids, dtype=object)
        return pd.DataFrame(
            {
                "rdm": np.repeat(np.array(self.names, dtype=object), self.n_pair),
                "first": np.tile(labels[rows], len(self)),
                "second": np.tile(labels[columns], len(self)),
                "dissimilarity": self.dissimilarities.ravel(),
            }
        )

    def __repr__(self) -> str:
        metric = "" if self.metric is None else f", {self.metric}"
        names = ", ".join(self.names[:4]) + (", ..." if len(self) > 4 else "")
        return f"RDMs({len(self)} x {self.n_cond} conditions{metric}: {names})"


def condition_count(n_pair: int) -> int:
    """Return n for which a condensed RDM has `n_pair` = n (n - 1) / 2 values, at least 3."""
    n_cond = (1 + math.isqrt(1 + 8 * n_pair)) // 2
    if n_cond * (n_cond - 1) // 2 != n_pair:
        raise ValueError(
            f"a condensed RDM of n conditions must have n (n - 1) / 2 values; got {n_pair}."
        )
    if n_cond < 3:
        raise ValueError(f"an RDM must have at least 3 conditions; got {n_cond}.")
    return n_cond


def pair_index(
    first: NDArray[np.integer], second: NDArray[np.integer], n_cond: int
) -> NDArray[np.intp]:
    """Return the places of the pairs (first, second), which must differ, in a condensed RDM."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    index: NDArray[np.intp] = low * n_cond - low * (low + 1) // 2 + high - low - 1
    return index


def _condensed(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper triangles of matrices (n_rdm, n_cond, n_cond) that must be RDMs."""
    if array.shape[1] != array.shape[2]:
        raise ValueError(
            f"RDMs must be square; got matrices of {array.shape[1]} x {array.shape[2]}."
        )
    check_finite(array, "square")
    allowed = _SYMMETRY * np.abs(array).max((1, 2), initial=0.0)  # to each RDM its own scale
    asymmetry = np.abs(array - array.swapaxes(1, 2)).max((1, 2), initial=0.0)
    if (asymmetry > allowed).any():
        raise ValueError(
            "RDMs must be symmetric; entries across the diagonal differ by up to "
            f"{asymmetry.max():.3g}. Average the matrix with its transpose if that is meant."
        )
    diagonal = np.abs(np.diagonal(array, axis1=1, axis2=2)).max(1, initial=0.0)
    if (diagonal > allowed).any():
        raise ValueError(
            f"RDMs must have a zero diagonal; got values up to {diagonal.max():.3g}. Are these "
            "similarities? Use 1 - similarity."
        )
    rows, columns = np.triu_indices(array.shape[1], 1)
    upper: NDArray[np.float64] = array[:, rows, columns]
    return upper


def _check_same_conditions(parts: Sequence[RDM] | Sequence[RDMs]) -> None:
    for part in parts:
        if not isinstance(part, RDM | RDMs):
            raise TypeError(f"all parts must be RDMs; got {type(part).__name__}.")
    sizes = sorted({part.n_cond for part in parts})
    if len(sizes) > 1:
        raise ValueError(f"all RDMs must have as many conditions; got {sizes}.")
    if len({part.ids for part in parts}) > 1:
        raise ValueError(
            "all RDMs must have the same ids in the same order. Use RDMs.concat, which joins by id."
        )


def _common_metric(parts: Sequence[RDM] | Sequence[RDMs]) -> str | None:
    metrics = {part.metric for part in parts}
    return metrics.pop() if len(metrics) == 1 else None
