"""Models against subjects: scores, permutation p-values, noise ceiling."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.rsa._ceiling import NoiseCeiling, noise_ceiling
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._comparable import check_comparable
from dnnbrain_cpp.rsa._methods import ALTERNATIVES, METHODS, check_method

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
    ceiling : NoiseCeiling or None
        None with one subject.
    models, subjects : tuple of str
    method, alternative : str
    n_perm, seed : int
        What the p-values can be repeated with; seed is None without permutations.
    """

    scores: NDArray[np.float64]
    p_values: NDArray[np.float64] | None
    group_p_values: NDArray[np.float64] | None
    ceiling: NoiseCeiling | None
    models: tuple[str, ...]
    subjects: tuple[str, ...]
    method: str
    alternative: str
    n_perm: int
    seed: int | None
    group_scores: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "group_scores", self.scores.mean(1))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per model and subject: model, subject, method, score, p."""
        n_model, n_subject = self.scores.shape
        p_values = np.full_like(self.scores, np.nan) if self.p_values is None else self.p_values
        return pd.DataFrame(
            {
                "model": np.repeat(self.models, n_subject),
                "subject": np.tile(self.subjects, n_model),
                "method": self.method,
                "score": self.scores.ravel(),
                "p": p_values.ravel(),
            }
        )

    def summary(self) -> pd.DataFrame:
        """Return one row per model: mean score, its standard error over subjects, group p."""
        n_subject = self.scores.shape[1]
        sem = (
            self.scores.std(1, ddof=1) / np.sqrt(n_subject)
            if n_subject > 1
            else np.full(len(self.models), np.nan)
        )
        group_p = np.nan if self.group_p_values is None else self.group_p_values
        return pd.DataFrame(
            {"model": self.models, "score": self.group_scores, "sem": sem, "p": group_p}
        )

    def __repr__(self) -> str:
        lines = [
            f"RSAResult: {len(self.models)} models x {len(self.subjects)} subjects, {self.method}"
            + (f", {self.n_perm} permutations, seed {self.seed}" if self.n_perm else ""),
            self.summary().to_string(index=False, float_format=lambda value: f"{value:.4g}"),
        ]
        return "\n".join(lines if self.ceiling is None else [*lines, repr(self.ceiling)])


def compare(
    models: RDMsLike,
    data: RDMsLike,
    *,
    method: str = "tau-b",
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
    method : {"corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b"}
        Comparator; rsatoolbox's names. Where models predict ties, take tau-a or rho-a (Nili et
        al. 2014).
    n_perm : int
        Random relabellings of the model's conditions; 0 for scores alone.
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
    Mantel test: ``p = (1 + #extreme) / (1 + n_perm)``. Conditions are permuted, not entries, which
    are dependent; one relabelling serves all models and subjects, so that the group's mean has a
    permutation distribution too. The group's p speaks of these subjects, not of others: for those,
    test the scores over subjects. No p is corrected for the number of models. With m pairs, a
    permutation costs O(m) for each model and subject, O(m log m) for tau.
    """
    method = check_method(method)
    check_choice(alternative, "alternative", tuple(ALTERNATIVES))
    n_perm = check_integer(n_perm, "n_perm", minimum=0)
    models, data = join(as_rdms(models, "models"), as_rdms(data, "data"))
    check_comparable(models, "models", method)
    check_comparable(data, "data", method)
    seed = as_seed(random_state) if n_perm else None
    with progress_callback(progress, f"RSA, {n_perm} permutations") as report:
        scores, exceed, group_exceed = core.compare_rdms(
            models.dissimilarities,
            data.dissimilarities,
            models.n_cond,
            METHODS[method],
            ALTERNATIVES[alternative],
            n_perm,
            seed or 0,
            resolve_n_threads(n_threads),
            report,
        )
    return RSAResult(
        scores=scores,
        p_values=(1 + exceed) / (1 + n_perm) if n_perm else None,
        group_p_values=(1 + group_exceed[:, 0]) / (1 + n_perm) if n_perm else None,
        ceiling=noise_ceiling(data, method=method) if len(data) > 1 else None,
        models=models.names,
        subjects=data.names,
        method=method,
        alternative=alternative,
        n_perm=n_perm,
        seed=seed,
    )
