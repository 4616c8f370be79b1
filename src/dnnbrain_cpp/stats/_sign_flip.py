"""One-sample tests of maps over subjects, by flipping signs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.stats._flips import ALTERNATIVES, make_plan, subject_maps

__all__ = ["SignFlipResult", "sign_flip_test"]


@dataclass(frozen=True, repr=False, eq=False)
class SignFlipResult:
    """A t in each place, and how likely chance is to give it.

    Attributes
    ----------
    t : ndarray
        In the shape of a subject's map. NaN where a subject has no value, as are `p` and `p_fwe`.
    p : ndarray
        ``(1 + b) / (1 + n_perm)`` with b flips at least as extreme; never 0.
    p_fwe : ndarray
        Likewise, against the most extreme place of each flip: corrected for all places.
    null_extremes : ndarray of shape (n_perm,)
        The most extreme t of each flip: its absolute value, or t, or -t for ``"less"``.
    alternative : str
    n_perm : int
        Flips besides the identity.
    exact : bool
        Whether these are all flips.
    seed : int or None
        None if exact.
    """

    t: NDArray[np.float64]
    p: NDArray[np.float64]
    p_fwe: NDArray[np.float64]
    null_extremes: NDArray[np.float64]
    alternative: str
    n_perm: int
    exact: bool
    seed: int | None

    def to_frame(self) -> pd.DataFrame:
        """Return one row per place: its indices as axis_0, axis_1 ..., t, p and p_fwe."""
        places = np.indices(self.t.shape).reshape(self.t.ndim, self.t.size)
        columns = {f"axis_{i}": index for i, index in enumerate(places)}
        return pd.DataFrame(
            columns | {"t": self.t.ravel(), "p": self.p.ravel(), "p_fwe": self.p_fwe.ravel()}
        )

    def __repr__(self) -> str:
        flips = f"all {self.n_perm + 1} flips" if self.exact else f"{self.n_perm} flips"
        return (
            f"SignFlipResult: {self.t.size} places, {self.alternative}, {flips}; p <= 0.05 in "
            f"{int((self.p <= 0.05).sum())}, family-wise in {int((self.p_fwe <= 0.05).sum())}"
        )


def sign_flip_test(
    maps: ArrayLike,
    *,
    n_perm: int = 10_000,
    alternative: str = "two-sided",
    random_state: RandomState = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> SignFlipResult:
    """Test whether subjects' maps differ from zero on average, corrected for all places.

    Parameters
    ----------
    maps : array_like of shape (n_subject, ...)
        Scores, or differences between two. Places where a subject has NaN are left out.
    n_perm : int
        Random flips of whole subjects; all ``2**n_subject`` where they are no more than that.
    alternative : {"two-sided", "greater", "less"}
    random_state : int, Generator, RandomState or None
    n_threads : int, optional
        By default ``torch.get_num_threads()``. Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    SignFlipResult

    Raises
    ------
    ValueError
        For fewer than 2 subjects, infinite values, or no place with a value in all subjects.

    Notes
    -----
    If a subject's map is as likely to be x as -x, each flip is as likely as what was measured
    (Fisher's randomisation test). The largest t over places of each flip corrects for all places
    whatever their correlation (Nichols & Holmes 2002). Cost: 2 n_subject FLOP a flip and place.

    With S subjects, p cannot be below ``2**-S`` (``2**(1 - S)`` two-sided): 5 are too few for
    p < 0.05 on both sides.

    Examples
    --------
    >>> maps = np.array([[1.0, 0.2], [2.0, -0.1], [1.5, 0.1], [1.2, -0.3]])
    >>> stats.sign_flip_test(maps, alternative="greater").p
    array([0.0625, 0.625 ])
    """
    check_choice(alternative, "alternative", tuple(ALTERNATIVES))
    of_subjects = subject_maps(maps)
    plan = make_plan(len(of_subjects.values), n_perm, random_state)
    with progress_callback(progress, f"{plan.n_flip} sign flips") as report:
        t, exceed, family_exceed, extremes = core.sign_flip_test(
            of_subjects.values,
            plan.n_flip,
            plan.exact,
            plan.seed or 0,
            ALTERNATIVES[alternative],
            resolve_n_threads(n_threads),
            report,
        )
    return SignFlipResult(
        t=of_subjects.spread(t[0], np.nan),
        p=of_subjects.spread(plan.p_values(exceed[0]), np.nan),
        p_fwe=of_subjects.spread(plan.p_values(family_exceed[0]), np.nan),
        null_extremes=extremes[0],
        alternative=alternative,
        n_perm=plan.n_flip,
        exact=plan.exact,
        seed=plan.seed,
    )
