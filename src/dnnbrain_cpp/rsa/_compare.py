"""Models against subjects: scores, permutation p-values, noise ceiling."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._progress import Progress
from dnnbrain_cpp._random import RandomState
from dnnbrain_cpp.rsa._ceiling import NoiseCeiling, noise_ceiling
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._methods import check_method
from dnnbrain_cpp.rsa._permute import permute
from dnnbrain_cpp.rsa._rdms import RDMs
from dnnbrain_cpp.rsa._whitening import WHITENED, Whitening, unshared_part
from dnnbrain_cpp.stats import adjust

__all__ = ["RSAResult", "compare"]


@dataclass(frozen=True, repr=False)
class RSAResult:
    """Scores of models with subjects.

    Attributes
    ----------
    scores : ndarray of shape (n_model, n_subject)
    p_values : ndarray of shape (n_model, n_subject) or None
        Of each model with each subject.
    group_scores : ndarray of shape (n_model,)
        Mean over subjects.
    group_p_values : ndarray of shape (n_model,) or None
        Of the mean over subjects under the same relabelling of conditions.
    fwe_p_values : ndarray of shape (n_model, n_subject) or None
        Corrected for the number of models: against the most extreme model of the same subject under
        each relabelling.
    group_fwe_p_values : ndarray of shape (n_model,) or None
        Likewise, of the mean over subjects.
    ceiling : NoiseCeiling or None
        None with one subject, and where controls were taken out.
    models, subjects : tuple of str
    method, alternative : str
    n_perm, seed : int
        What the p-values can be repeated with; seed is None without random permutations.
    exact : bool
        Whether all ``n_cond!`` relabellings were gone through; n_perm is their number.
    controls : tuple of str
        Names of the RDMs that were taken out.
    """

    scores: NDArray[np.float64]
    p_values: NDArray[np.float64] | None
    group_p_values: NDArray[np.float64] | None
    fwe_p_values: NDArray[np.float64] | None
    group_fwe_p_values: NDArray[np.float64] | None
    ceiling: NoiseCeiling | None
    models: tuple[str, ...]
    subjects: tuple[str, ...]
    method: str
    alternative: str
    n_perm: int
    seed: int | None
    exact: bool = False
    controls: tuple[str, ...] = ()
    group_scores: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "group_scores", self.scores.mean(1))

    def adjusted(self, method: str = "bh") -> NDArray[np.float64]:
        """Return the p-values of each subject corrected for the number of models.

        Parameters
        ----------
        method : {"bh", "by", "holm", "bonferroni"}
            See `stats.adjust`. For the family-wise error, `fwe_p_values` have more power, as they
            know how models depend on each other.

        Returns
        -------
        ndarray of shape (n_model, n_subject)

        Raises
        ------
        ValueError
            Without permutations.
        """
        if self.p_values is None:
            raise ValueError("there are no p-values to adjust; compare with n_perm=1000, say.")
        return adjust(self.p_values, method=method, axis=0)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per model and subject: model, subject, method, score, p, p_fwe."""
        n_model, n_subject = self.scores.shape
        none = np.full_like(self.scores, np.nan)
        return pd.DataFrame(
            {
                "model": np.repeat(self.models, n_subject),
                "subject": np.tile(self.subjects, n_model),
                "method": self.method,
                "score": self.scores.ravel(),
                "p": (none if self.p_values is None else self.p_values).ravel(),
                "p_fwe": (none if self.fwe_p_values is None else self.fwe_p_values).ravel(),
            }
        )

    def summary(self) -> pd.DataFrame:
        """Return one row per model: mean score, its standard error over subjects, and group p.

        ``p_fwe`` is corrected for the number of models by the most extreme one, ``p_fdr`` by
        Benjamini & Hochberg's procedure.
        """
        n_subject = self.scores.shape[1]
        sem = (
            self.scores.std(1, ddof=1) / np.sqrt(n_subject)
            if n_subject > 1
            else np.full(len(self.models), np.nan)
        )
        none = np.full(len(self.models), np.nan)
        p = none if self.group_p_values is None else self.group_p_values
        p_fwe = none if self.group_fwe_p_values is None else self.group_fwe_p_values
        return pd.DataFrame(
            {
                "model": self.models,
                "score": self.group_scores,
                "sem": sem,
                "p": p,
                "p_fwe": p_fwe,
                "p_fdr": adjust(p),
            }
        )

    def __repr__(self) -> str:
        if self.exact:
            how = f", all {self.n_perm} relabellings"
        else:
            how = f", {self.n_perm} permutations, seed {self.seed}" if self.n_perm else ""
        without = f", without {', '.join(self.controls)}" if self.controls else ""
        lines = [
            f"RSAResult: {len(self.models)} models x {len(self.subjects)} subjects, {self.method}"
            + without
            + how,
            self.summary().to_string(index=False, float_format=lambda value: f"{value:.4g}"),
        ]
        return "\n".join(lines if self.ceiling is None else [*lines, repr(self.ceiling)])


def compare(
    models: RDMsLike,
    data: RDMsLike,
    *,
    method: str = "tau-b",
    controls: RDMsLike | None = None,
    removal: str = "partial",
    sigma_k: ArrayLike | None = None,
    n_perm: int = 0,
    alternative: str = "two-sided",
    random_state: RandomState = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> RSAResult:
    """Compare every model RDM with every subject's.

    Parameters
    ----------
    models : RDMs, RDM, or array_like
        One per model, such as a layer. Arrays may be square or condensed.
    data : RDMs, RDM, or array_like
        One per subject, over the same conditions. Joined by id when both have ids, in any order;
        by order otherwise, with an `AlignmentWarning`.
    method : str
        Comparator, by rsatoolbox's names. ``"corr"``, ``"cosine"``, ``"spearman"``, ``"tau-b"``;
        where models predict ties, ``"tau-a"`` or ``"rho-a"`` (Nili et al. 2014); ``"corr_cov"`` and
        ``"cosine_cov"``, which know that distances with a condition in common share its noise
        (Diedrichsen et al. 2020); for squared distances ``"cka"``, linear CKA of the inner products
        they stand for, which is ``"cosine_cov"``, and ``"cka-unbiased"``.
    controls : RDMs, RDM, or array_like, optional
        RDMs to take out, joined like the data. Not for tau-a and rho-a, whose similarity of an RDM
        with itself is below 1 where it has ties.
    removal : {"partial", "semi-partial"}
        Controls are taken out of models and data, or of models alone.
    sigma_k : array_like of shape (n_cond, n_cond) or (n_cond,), optional
        Covariance of the patterns' noise between conditions, for corr_cov and cosine_cov; equal and
        independent by default. Not with permutations: conditions whose noise differs are not
        exchangeable.
    n_perm : int
        Random relabellings of the model's conditions; 0 for scores alone. With 8 conditions or
        fewer all ``n_cond!`` are gone through instead.
    alternative : {"two-sided", "greater", "less"}
        ``"two-sided"`` compares absolute values.
    random_state : int, Generator, RandomState or None
    n_threads : int, optional
        By default ``torch.get_num_threads()``. Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    RSAResult

    Raises
    ------
    ValueError
        For unequal conditions, or an RDM for which the comparator is undefined (constant).

    Notes
    -----
    Mantel test: ``p = (1 + #extreme) / (1 + n_perm)``; where all relabellings are gone through, the
    part of them that is as extreme. Conditions are permuted, not entries, which are dependent; one
    relabelling serves all models and subjects, so that the group's mean and the most extreme model
    have permutation distributions too. The group's p speaks of these subjects, not of others: for
    those, test the scores over subjects, as `compare_models` does. With m pairs, a permutation
    costs O(m) for each model and subject, O(m log m) for tau.

    Taking out controls z: ``(r_xy - r_xz R^-1 r_zy) / sqrt((1 - r_xz R^-1 r_zx)(1 - r_yz R^-1
    r_zy))`` with R the similarities of controls; semi-partial without the last factor. Permutations
    move the model and leave data and controls in place (Legendre 2000).
    """
    method = check_method(method)
    models, data = join(as_rdms(models, "models"), as_rdms(data, "data"))
    check_comparable(models, "models", method)
    check_comparable(data, "data", method)
    taken_out = None
    if controls is not None:
        _check_removable(method)
        _, taken_out = join(models, as_rdms(controls, "controls"))
        check_comparable(taken_out, "controls", method)
    seen = method  # what the core is asked for
    if sigma_k is not None:
        _check_whitenable(method, n_perm)
        white = Whitening(sigma_k, models.n_cond)
        models, data = white(models, method), white(data, method)
        taken_out = None if taken_out is None else white(taken_out, method)
        seen = "cosine"
    tested = permute(
        models,
        data,
        method=seen,
        n_perm=n_perm,
        alternative=alternative,
        random_state=random_state,
        n_threads=n_threads,
        progress=progress,
        controls=taken_out,
        removal=removal,
    )
    bounded = len(data) > 1 and taken_out is None
    return RSAResult(
        scores=tested.scores,
        p_values=tested.p_values,
        group_p_values=tested.group_p_values,
        fwe_p_values=tested.fwe_p_values,
        group_fwe_p_values=tested.group_fwe_p_values,
        ceiling=_ceiling(data, seen, method) if bounded else None,
        models=models.names,
        subjects=data.names,
        method=method,
        alternative=alternative,
        n_perm=tested.n_perm,
        seed=tested.seed,
        exact=tested.exact,
        controls=() if taken_out is None else taken_out.names,
    )


def _ceiling(data: RDMs, seen: str, method: str) -> NoiseCeiling:
    if seen == "cka-unbiased":
        data, seen = RDMs(unshared_part(data), ids=data.ids, names=data.names), "cosine"
    elif seen == "cka":
        seen = "cosine_cov"
    return replace(noise_ceiling(data, method=seen), method=method)


def _check_removable(method: str) -> None:
    if method in ("tau-a", "rho-a"):
        raise ValueError(
            f"{method} of an RDM with itself is below 1 where it has ties, so nothing can be taken "
            "out by it; use method='tau-b' or 'spearman'."
        )


def _check_whitenable(method: str, n_perm: int) -> None:
    if method not in WHITENED:
        raise ValueError(
            f"sigma_k is for the comparators {' and '.join(WHITENED)}; got method={method!r}."
        )
    if n_perm:
        raise ValueError(
            "sigma_k says that the noise of conditions differs, so that relabelling them does not "
            "leave the data's distribution as it is. Leave sigma_k out, or test by rsa.bootstrap."
        )
