"""Noise ceilings: how well any model could do, given how much subjects differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from dnnbrain_cpp._native import core
from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._methods import ALTERNATIVES, METHODS, check_method

__all__ = ["KINDS", "NoiseCeiling", "noise_ceiling"]

KINDS = ("mean-rdm", "optimal")


@dataclass(frozen=True)
class NoiseCeiling:
    """Bounds on the mean similarity of the true model's RDM with subjects.

    Attributes
    ----------
    lower, upper : float
    method : str
        Comparator.
    kind : str
        How subjects were pooled: names the formula.
    """

    lower: float
    upper: float
    method: str
    kind: str

    def __repr__(self) -> str:
        return f"NoiseCeiling({self.lower:.4f} to {self.upper:.4f}, {self.method}, {self.kind})"


def noise_ceiling(rdms: RDMsLike, *, method: str = "tau-b", kind: str = "mean-rdm") -> NoiseCeiling:
    """Return the noise ceiling of subjects' RDMs.

    Upper bound: mean over subjects of the similarity with the pool of all; lower bound: with the
    pool of all others (Nili et al. 2014).

    Parameters
    ----------
    rdms : RDMs or array_like
        One per subject, at least two.
    method : str
        Comparator, see `compare`.
    kind : {"mean-rdm", "optimal"}
        ``"mean-rdm"`` pools by the mean of the RDMs as they are (Cichy et al. 2019; Truzzi & Cusack
        2020); its upper bound is not strict. ``"optimal"`` first brings each RDM to what the
        comparator sees: unit norm (cosine), z-scores (corr), ranks (spearman, rho-a; close from
        below for tau-a, tau-b), which makes the upper bound the best that one RDM can reach.

    Returns
    -------
    NoiseCeiling

    Raises
    ------
    ValueError
        With fewer than two subjects, or a constant RDM.
    """
    method = check_method(method)
    check_choice(kind, "kind", KINDS)
    rdms = as_rdms(rdms, "rdms")
    check_comparable(rdms, "rdms", method)
    n_subject = len(rdms)
    if n_subject < 2:
        raise ValueError(f"a noise ceiling needs at least 2 subjects; got {n_subject}.")
    subjects = rdms.dissimilarities
    pooled_of = subjects if kind == "mean-rdm" else _as_seen(subjects, method)
    total = pooled_of.sum(0)
    others = (total - pooled_of) / (n_subject - 1)
    pools = np.ascontiguousarray(np.vstack([total / n_subject, others]))
    scores, _, _ = core.compare_rdms(
        pools, subjects, rdms.n_cond, METHODS[method], ALTERNATIVES["two-sided"], 0, 0, 1, None
    )
    return NoiseCeiling(
        lower=float(np.diagonal(scores[1:]).mean()),
        upper=float(scores[0].mean()),
        method=method,
        kind=kind,
    )


def _as_seen(subjects: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    if method in ("cosine", "corr"):
        vectors = subjects - (subjects.mean(1, keepdims=True) if method == "corr" else 0.0)
        unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit
    ranks: NDArray[np.float64] = rankdata(subjects, axis=1)
    return ranks
