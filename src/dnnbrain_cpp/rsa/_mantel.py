"""The Mantel test of two RDMs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._progress import Progress
from dnnbrain_cpp._random import RandomState
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._methods import check_method
from dnnbrain_cpp.rsa._permute import permute
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["MantelResult", "mantel"]


class _Unpacked(NamedTuple):
    statistic: float
    p_value: float
    n_perm: int
    null: NDArray[np.float64]


class MantelResult(_Unpacked):
    """What a Mantel test found; unpacks into its first four attributes.

    Attributes
    ----------
    statistic : float
        Similarity of the RDMs as they are.
    p_value : float
        NaN without permutations.
    n_perm : int
        Relabellings of the conditions that were gone through.
    null : ndarray of shape (n_perm,)
        Similarity under each of them.
    method, alternative : str
    exact : bool
        Whether all ``n_cond!`` relabellings were gone through, the identity first.
    seed : int or None
        What the relabellings can be drawn with again.
    """

    method: str
    alternative: str
    exact: bool
    seed: int | None

    def __repr__(self) -> str:
        how = "all" if self.exact else f"seed {self.seed},"
        return (
            f"MantelResult({self.method} {self.statistic:.4f}, p {self.p_value:.4g}, "
            f"{self.alternative}, {how} {self.n_perm} relabellings)"
        )


def mantel(
    x: RDMsLike,
    y: RDMsLike,
    method: str = "tau-b",
    n_perm: int = 10000,
    alternative: str = "two-sided",
    random_state: RandomState = None,
    *,
    stop_after: int | None = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> MantelResult:
    """Test whether two RDMs are more alike than RDMs of unrelated conditions would be.

    Parameters
    ----------
    x, y : RDM, RDMs of one, or array_like of shape (n_cond, n_cond) or (n_pair,)
        Joined by id when both have ids. The conditions of `x` are relabelled.
    method : str
        Comparator, see `compare`.
    n_perm : int
        Random relabellings. With 8 conditions or fewer all ``n_cond!`` are gone through instead.
    alternative : {"two-sided", "greater", "less"}
        ``"two-sided"`` compares absolute values.
    random_state : int, Generator, RandomState or None
    stop_after : int, optional
        End after so many relabellings that are at least as extreme, 20 say: the p of a null is
        known well enough long before `n_perm`, and a small p takes all of them.
    n_threads : int, optional
        By default ``torch.get_num_threads()``. Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    MantelResult
        ``statistic, p_value, n_perm, null = mantel(x, y)``.

    Raises
    ------
    ValueError
        For matrices that are not symmetric or whose diagonal is not zero, NaN, fewer than 3
        conditions, unequal conditions, more than one RDM on a side, or an RDM for which the
        comparator is undefined.

    Notes
    -----
    ``p = (1 + #extreme) / (1 + n_perm)`` (Mantel 1967; Phipson & Smyth 2010); where all
    relabellings are gone through, the part that is as extreme as the identity, which is one of
    them. If it was stopped after h at relabelling l, ``p = h / l`` (Besag & Clifford 1991). tau-a
    and tau-b have the same p. For n conditions a relabelling costs O(n^2), O(n^2 log n) for tau.

    Examples
    --------
    >>> import numpy as np
    >>> from dnnbrain_cpp import rsa
    >>> rng = np.random.default_rng(0)
    >>> patterns = rng.standard_normal((12, 50))
    >>> x = rsa.rdm(patterns)
    >>> y = rsa.rdm(patterns + 0.5 * rng.standard_normal((12, 50)))
    >>> statistic, p_value, n_perm, null = rsa.mantel(x, y, n_perm=999, random_state=0)
    >>> p_value
    0.001
    """
    method = check_method(method)
    first, second = join(_one(x, "x"), _one(y, "y"))
    check_comparable(first, "x", method)
    check_comparable(second, "y", method)
    tested = permute(
        first,
        second,
        method=method,
        n_perm=n_perm,
        alternative=alternative,
        random_state=random_state,
        n_threads=n_threads,
        progress=progress,
        keep_null=True,
        stop_after=0 if stop_after is None else check_integer(stop_after, "stop_after", minimum=1),
    )
    result = MantelResult(
        statistic=float(tested.scores[0, 0]),
        p_value=float("nan") if tested.p_values is None else float(tested.p_values[0, 0]),
        n_perm=tested.n_perm,
        null=tested.null[:, 0] if tested.n_perm else np.empty(0),
    )
    result.method = method
    result.alternative = alternative
    result.exact = tested.exact
    result.seed = tested.seed
    return result


def _one(value: RDMsLike, name: str) -> RDMs:
    rdms = as_rdms(value, name)
    if len(rdms) != 1:
        raise ValueError(f"{name} must be one RDM; got {len(rdms)}. Use rsa.compare for several.")
    return rdms
