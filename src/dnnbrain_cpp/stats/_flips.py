"""What tests by sign flips have in common: maps of subjects, and which flips."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._validate import as_array, check_integer

__all__ = ["ALTERNATIVES", "FlipPlan", "SubjectMaps", "make_plan", "subject_maps"]

ALTERNATIVES = {
    "two-sided": core.Alternative.two_sided,
    "greater": core.Alternative.greater,
    "less": core.Alternative.less,
}


@dataclass(frozen=True)
class SubjectMaps:
    """Points that every subject has a value for.

    Attributes
    ----------
    values : ndarray of shape (n_subject, n_known), float64
    known : ndarray of shape (n_point,), bool
    shape : tuple of int
        Of a subject's map, with n_point entries.
    """

    values: NDArray[np.float64]
    known: NDArray[np.bool_]
    shape: tuple[int, ...]

    def spread(self, of_known: NDArray[np.float64], missing: float) -> NDArray[np.float64]:
        """Return a map in the subjects' shape, `missing` where some subject has no value."""
        out = np.full(len(self.known), missing)
        out[self.known] = of_known
        return out.reshape(self.shape)


def subject_maps(maps: ArrayLike) -> SubjectMaps:
    """Return maps of shape (n_subject, ...) without the points where a subject's value is NaN."""
    array: NDArray[np.float64] = as_array(maps, "maps", dtype=np.float64)
    if array.ndim < 1 or len(array) < 2:
        raise ValueError(
            "maps must have one entry per subject on the first axis, at least 2; got shape "
            f"{array.shape}."
        )
    flat = array.reshape(len(array), -1)
    if np.isinf(flat).any():
        raise ValueError("maps must be finite, or NaN where a subject has no value; some are inf.")
    known: NDArray[np.bool_] = np.asarray(~np.isnan(flat).any(axis=0))
    if not known.any():
        raise ValueError("no point has a value in all subjects.")
    values = flat if known.all() else flat[:, known]
    return SubjectMaps(np.ascontiguousarray(values), known, array.shape[1:])


@dataclass(frozen=True)
class FlipPlan:
    """Sign flips to be drawn, or all of them.

    Attributes
    ----------
    n_flip : int
        Without the identity.
    exact : bool
        Whether they are all there are.
    seed : int or None
        None if exact.
    """

    n_flip: int
    exact: bool
    seed: int | None

    def p_values(self, exceed: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return p from the number of flips, without the identity, at least as extreme.

        The identity is one of all flips, so the form is the same whether they are all or drawn.
        """
        return np.asarray((1 + exceed) / (1 + self.n_flip))


def make_plan(n_subject: int, n_perm: int, random_state: RandomState) -> FlipPlan:
    """Draw `n_perm` flips, or take all ``2**n_subject`` where they are no more than that."""
    n_perm = check_integer(n_perm, "n_perm", minimum=1)
    if n_subject <= math.log2(n_perm):
        return FlipPlan(2**n_subject - 1, exact=True, seed=None)
    return FlipPlan(n_perm, exact=False, seed=as_seed(random_state))
