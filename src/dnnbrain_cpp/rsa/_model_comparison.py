"""Which models are better than which, over subjects."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._random import RandomState
from dnnbrain_cpp._validate import as_array, check_choice, check_finite
from dnnbrain_cpp.rsa._compare import RSAResult
from dnnbrain_cpp.stats import METHODS as ADJUSTMENTS
from dnnbrain_cpp.stats import adjust, sign_flip_test, ttest, wilcoxon

__all__ = ["ModelComparison", "compare_models"]

TESTS = ("t", "wilcoxon", "sign-flip")
Matrix = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """Pairwise differences between models, tested over subjects.

    Attributes
    ----------
    difference : ndarray of shape (n_model, n_model)
        Mean over subjects of the row's score less the column's.
    p_values, adjusted : ndarray of shape (n_model, n_model)
        Two-sided; as they are, and corrected for the number of pairs. NaN on the diagonal, and
        where two models differ in no subject.
    models : tuple of str
    n_subject : int
    test, adjustment : str
    """

    difference: Matrix
    p_values: Matrix
    adjusted: Matrix
    models: tuple[str, ...]
    n_subject: int
    test: str
    adjustment: str

    def to_frame(self) -> pd.DataFrame:
        """Return one row per pair: first, second, difference, p, p_adjusted."""
        rows, columns = np.triu_indices(len(self.models), 1)
        return pd.DataFrame(
            {
                "first": [self.models[i] for i in rows],
                "second": [self.models[j] for j in columns],
                "difference": self.difference[rows, columns],
                "p": self.p_values[rows, columns],
                "p_adjusted": self.adjusted[rows, columns],
            }
        )

    def __repr__(self) -> str:
        head = (
            f"ModelComparison: {len(self.models)} models, {self.n_subject} subjects, "
            f"{self.test}, {self.adjustment}"
        )
        table = self.to_frame().to_string(index=False, float_format=lambda value: f"{value:.4g}")
        return f"{head}\n{table}"


def compare_models(
    scores: RSAResult | ArrayLike,
    *,
    test: str = "t",
    adjustment: str = "holm",
    random_state: RandomState = None,
) -> ModelComparison:
    """Test each pair of models for a difference that holds for subjects like these.

    Parameters
    ----------
    scores : RSAResult, or array_like of shape (n_model, n_subject)
    test : {"t", "wilcoxon", "sign-flip"}
        Paired, two-sided, over subjects: t; signed ranks; all sign flips of subjects' differences,
        or 10,000 of them.
    adjustment : {"holm", "bh", "by", "bonferroni", "max"}
        Over pairs, see `stats.adjust`. ``"max"``, for sign flips, compares with the largest t of
        all pairs under each flip.
    random_state : int, Generator, RandomState or None
        For sign flips.

    Returns
    -------
    ModelComparison

    Raises
    ------
    ValueError
        For fewer than 2 models or 2 subjects.

    Notes
    -----
    Subjects are the random effect, conditions are fixed: what is found holds for these conditions.
    For both, see `bootstrap`. Scores are tested as they are: squaring correlations first, as is
    sometimes done, makes any model's mean positive and loses the sign of a difference.
    """
    check_choice(test, "test", TESTS)
    check_choice(adjustment, "adjustment", (*ADJUSTMENTS, "max"))
    if adjustment == "max" and test != "sign-flip":
        raise ValueError(f"adjustment='max' is for test='sign-flip'; got test={test!r}.")
    if isinstance(scores, RSAResult):
        values, names = scores.scores, scores.models
    else:
        values = as_array(scores, "scores", dtype=np.float64, ndim=2)
        names = tuple(f"model-{i + 1:02d}" for i in range(len(values)))
    check_finite(values, "scores")
    n_model, n_subject = values.shape
    if n_model < 2 or n_subject < 2:
        raise ValueError(
            "models are compared over subjects, at least 2 of each; got "
            f"{n_model} models and {n_subject} subjects."
        )
    pairs = list(combinations(range(n_model), 2))
    differences = np.stack([values[i] - values[j] for i, j in pairs], axis=1)
    corrected = None
    if test == "t":
        p = ttest(differences).p
    elif test == "wilcoxon":
        p = wilcoxon(differences).p
    else:
        flips = sign_flip_test(differences, random_state=random_state)
        p, corrected = flips.p, flips.p_fwe
    if adjustment != "max" or corrected is None:
        corrected = adjust(p, method=adjustment)
    return ModelComparison(
        difference=values.mean(1)[:, None] - values.mean(1),
        p_values=_square(p, n_model),
        adjusted=_square(corrected, n_model),
        models=names,
        n_subject=n_subject,
        test=test,
        adjustment=adjustment,
    )


def _square(of_pairs: Matrix, n_model: int) -> Matrix:
    square = np.full((n_model, n_model), np.nan)
    rows, columns = np.triu_indices(n_model, 1)
    square[rows, columns] = square[columns, rows] = of_pairs
    return square
