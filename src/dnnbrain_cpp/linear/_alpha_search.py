"""What ridge from features and ridge from a kernel share: the choice of penalties."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from dnnbrain_cpp._validate import check_choice
from dnnbrain_cpp.linear import _ridge_solvers as solvers
from dnnbrain_cpp.linear._estimator import TensorMixin
from dnnbrain_cpp.linear._folds import FoldPlan

__all__ = ["DEFAULT_ALPHAS", "AlphaSearchMixin", "check_alphas"]

DEFAULT_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 6, 15))


def check_alphas(alphas: ArrayLike, *, positive: bool) -> torch.Tensor:
    """Return penalties as a float64 tensor of shape (a,); raise unless they are finite and > 0."""
    given = np.atleast_1d(np.asarray(alphas))
    array = given.astype(np.float64) if given.dtype.kind in "iuf" else np.array([np.nan])
    low = "positive" if positive else "not negative"
    good = np.isfinite(array) & ((array > 0) if positive else (array >= 0))
    if array.ndim != 1 or not len(array) or not good.all():
        raise ValueError(
            f"alphas must be finite and {low}, one number or a sequence; got {alphas!r}."
        )
    return torch.from_numpy(array.copy())


class AlphaSearchMixin(TensorMixin):
    """For estimators that choose a penalty, for each target or for all, by cross-validation."""

    alphas: ArrayLike
    cv: Any
    alpha_per_target: bool
    scoring: str | None
    store_cv_results: bool

    def _check_search(self) -> torch.Tensor:
        """Return the penalties; raise for those, or a scoring, that there are not."""
        if self.scoring is not None:
            check_choice(
                self.scoring, "scoring", [name for name in solvers.RIDGE_SCORES if name is not None]
            )
        return check_alphas(self.alphas, positive=True)

    @property
    def _leaves_one_out(self) -> bool:
        """Whether single rows are held out, their predictions pooled."""
        return isinstance(self.cv, str) and self.cv == "loo"

    def _make_folds(self, n: int, groups: ArrayLike | None) -> FoldPlan:
        return FoldPlan.make(
            self.cv, n_stim=n, groups=groups, min_test=1 if self._leaves_one_out else 2
        )

    def _choose(
        self,
        scores: torch.Tensor,
        folds: torch.Tensor | None,
        alphas: torch.Tensor,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        """Return the penalty of each target, and remember what was chosen and why.

        Parameters
        ----------
        scores : Tensor of shape (a, t), float64
        folds : Tensor of shape (k, a, t) or None
            Kept if the user wants them.
        alphas : Tensor of shape (a,), float64
        dtype : torch.dtype
            Precision that the scores come from.
        """
        if self.store_cv_results and folds is not None:
            self.cv_results_ = self._back(folds)
        chosen, best = solvers.best_alphas(
            scores, alphas, per_target=self.alpha_per_target, dtype=dtype
        )
        shared = self._one_target or not self.alpha_per_target
        self.alpha_ = float(chosen[0]) if shared else self._back(chosen)
        self.best_score_ = float(best[0]) if shared else self._back(best)
        return chosen
