"""Weighted sums of RDMs, crossvalidated over conditions and subjects, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._methods import METHODS, check_method

__all__ = ["Reweighting", "reweight"]

SUM = "weighted"
"""What the weighted sum is called among the models."""

_METHODS = ("corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b")
_MIN_CONDITIONS = 3
_OVER = ("conditions", "subjects")
_HELD_OUT_CONDITIONS = 0.13
_HELD_OUT_SUBJECTS = 0.25

Values = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Reweighting:
    """Crossvalidated scores of RDMs and of their weighted sum.

    Attributes
    ----------
    models : tuple of str
        The RDMs, then ``"weighted"``.
    scores : ndarray of shape (n_model + 1,)
        Of the data as they are; mean over splits and held-out subjects.
    lower, upper : float
        Noise ceilings on the same splits: held-out subjects with the pool of training subjects, and
        with the pool of all.
    weights : ndarray of shape (n_model,)
        Mean over splits of weights that sum to one.
    samples : ndarray of shape (n_boot, n_model + 1)
        Scores of each bootstrap sample, each the mean over its splits.
    ceiling_samples : ndarray of shape (n_boot, 2)
    weight_samples : ndarray of shape (n_boot, n_model)
    method : str
    n_split, n_test_conditions, n_test_subjects, seed : int
    """

    models: tuple[str, ...]
    scores: Values
    lower: float
    upper: float
    weights: Values
    samples: Values
    ceiling_samples: Values
    weight_samples: Values
    method: str
    n_split: int
    n_test_conditions: int
    n_test_subjects: int
    seed: int

    def ci(self, level: float = 0.95) -> Values:
        """Return percentile intervals of the scores, (n_model + 1, 2).

        They hold the noise of the splits, and that of pairs once for conditions and once for
        subjects: wider than they need be. Of a test that two models differ by them, 0.3 % of 300
        nulls came out below 0.05; `bootstrap` has the corrections for fixed models.
        """
        self._check_samples()
        tail = 50 * (1 - level)
        limits: Values = np.percentile(self.samples, [tail, 100 - tail], axis=0).T
        return limits

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return a row per model: model, score, low, high, weight."""
        low, high = (
            self.ci(level).T if len(self.samples) else np.full((2, len(self.models)), np.nan)
        )
        return pd.DataFrame(
            {
                "model": self.models,
                "score": self.scores,
                "low": low,
                "high": high,
                "weight": [*self.weights, np.nan],
            }
        )

    def _check_samples(self) -> None:
        if not len(self.samples):
            raise ValueError("there are no bootstrap samples; call reweight with n_boot=1000.")

    def __repr__(self) -> str:
        frame = self.to_frame().to_string(index=False, float_format=lambda value: f"{value:.4g}")
        return (
            f"Reweighting: {len(self.weights)} RDMs, {self.method}, {self.n_split} splits "
            f"({self.n_test_conditions} conditions, {self.n_test_subjects} subjects held out), "
            f"{len(self.samples)} bootstrap samples, seed {self.seed}\n{frame}\n"
            f"ceiling {self.lower:.4f} to {self.upper:.4f}"
        )


def reweight(
    models: RDMsLike,
    data: RDMsLike,
    *,
    n_boot: int = 1000,
    n_split: int = 20,
    n_test_conditions: int | None = None,
    n_test_subjects: int | None = None,
    method: str = "corr",
    over: Collection[str] = _OVER,
    random_state: RandomState = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> Reweighting:
    """Compare RDMs, and their best weighted sum, with subjects that the weights have not seen.

    Parameters
    ----------
    models : RDMs or array_like
        What is weighted, such as the layers of a network; squared distances (see `WeightedModel`).
    data : RDMs, RDM or array_like
        One per subject. Joined by id.
    n_boot : int
        Bootstrap samples; 0 for scores alone.
    n_split : int
        Random splits of each sample, and of the data themselves.
    n_test_conditions : int, optional
        Distinct conditions held out, 3 at least; by default 13 % of them.
    n_test_subjects : int, optional
        Distinct subjects held out; by default a quarter. 0, the default for one subject: only
        conditions are held out, and the weights are fitted to all subjects.
    method : {"corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b"}
        Comparison of held-out pairs. The fit maximises cosines for ``"cosine"``, correlations for
        all others.
    over : collection of {"conditions", "subjects"}
        What is drawn with replacement.
    random_state : int, Generator, RandomState or None
    n_threads : int, optional
        Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    Reweighting

    Raises
    ------
    ValueError
        If too few conditions or subjects would remain, or an RDM is constant.

    Notes
    -----
    In each sample and split, weights that are not negative are fitted to pairs of training
    conditions and the pool of training subjects, and the sum is compared with each held-out subject
    over pairs of held-out conditions: no pair across the two sides is used. All copies of a
    condition, or subject, of a sample are on one side; copies of one condition against each other
    are no pair. What is constant over the held-out pairs scores 0.

    A sample holds fewer distinct conditions and subjects than the data, so that its scores do not
    spread around `scores`; the intervals are of percentiles, as published, and wide.

    Cost per split: ``n_pair (n_model**2 / 2 + 3 n_subject)`` multiplications, Lawson and Hanson's
    active sets, and comparisons of the held-out pairs.

    References
    ----------
    Storrs et al., J. Cogn. Neurosci. 33, 2044 (2021). Khaligh-Razavi and Kriegeskorte, PLoS Comput.
    Biol. 10, e1003915 (2014).
    """
    method = check_method(method)
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}; got {method!r}.")
    n_boot = check_integer(n_boot, "n_boot", minimum=0)
    n_split = check_integer(n_split, "n_split", minimum=1)
    over = set(over)
    if not over <= set(_OVER) or not over:
        raise ValueError(f"over must be of 'conditions' and 'subjects'; got {sorted(over)}.")
    rdms, subjects = join(as_rdms(models, "models"), as_rdms(data, "data"))
    n_cond, n_subject = rdms.n_cond, len(subjects)
    if n_test_conditions is None:
        n_test_conditions = max(_MIN_CONDITIONS, round(_HELD_OUT_CONDITIONS * n_cond))
    if n_test_subjects is None:
        n_test_subjects = max(1, round(_HELD_OUT_SUBJECTS * n_subject)) if n_subject > 1 else 0
    check_integer(
        n_test_conditions,
        "n_test_conditions",
        minimum=_MIN_CONDITIONS,
        maximum=max(_MIN_CONDITIONS, n_cond - _MIN_CONDITIONS),
    )
    check_integer(n_test_subjects, "n_test_subjects", minimum=0, maximum=max(0, n_subject - 1))
    for name, checked in (("models", rdms), ("data", subjects)):
        flat = np.ptp(checked.dissimilarities, axis=1) == 0
        if flat.any():
            raise ValueError(
                f"{name} must be RDMs that vary; {checked.names[int(flat.argmax())]!r} is "
                "constant. Leave it out."
            )
    seed = as_seed(random_state)
    plan = core.SplitPlan(
        n_cond,
        n_subject,
        n_split,
        n_test_conditions,
        n_test_subjects,
        "conditions" in over,
        "subjects" in over,
        seed,
    )
    with progress_callback(progress, f"reweighting, {n_boot} samples") as report:
        scores, ceilings, weights = core.reweight_rdms(
            rdms.dissimilarities,
            subjects.dissimilarities,
            plan,
            n_boot,
            METHODS[method],
            resolve_n_threads(n_threads),
            report,
        )
    return Reweighting(
        models=(*rdms.names, SUM),
        scores=scores[0],
        lower=float(ceilings[0, 0]),
        upper=float(ceilings[0, 1]),
        weights=weights[0],
        samples=scores[1:],
        ceiling_samples=ceilings[1:],
        weight_samples=weights[1:],
        method=method,
        n_split=n_split,
        n_test_conditions=n_test_conditions,
        n_test_subjects=n_test_subjects,
        seed=seed,
    )
