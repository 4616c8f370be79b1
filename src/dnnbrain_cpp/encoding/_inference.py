"""Is a voxel predicted better than chance? Permutation tests of held-out predictions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp import stats
from dnnbrain_cpp._native import core
from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.encoding._held_out import (
    RowBlocks,
    TargetTable,
    block_rows,
    check_held_out,
    share_of_null,
)
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.exceptions import ConstantTargetWarning, NullBandWarning

__all__ = ["InferenceResult", "permutation_test"]

SCHEMES = {
    "permute": core.Exchange.permute,
    "circular": core.Exchange.circular,
    "sign": core.Exchange.sign,
}
AGREEMENTS = {"r": core.Agreement.r, "r2": core.Agreement.r2}
ALTERNATIVES = {
    "greater": core.Alternative.greater,
    "less": core.Alternative.less,
    "two-sided": core.Alternative.two_sided,
}
_LEVEL = 0.05
_BAND = (_LEVEL / 2, 1 - _LEVEL / 2)


@dataclass(frozen=True, repr=False)
class InferenceResult(TargetTable):
    """Scores and how likely chance is to give them.

    Attributes
    ----------
    score : ndarray of shape (n_vox,)
        Mean over folds. NaN where a target is constant in every fold, and so is all that follows.
    p : ndarray of shape (n_vox,)
        ``(1 + b) / (1 + n_perm)`` with b permutations at least as extreme; never 0.
    p_fwe : ndarray of shape (n_vox,)
        Likewise, against the most extreme voxel of each permutation: corrected for all voxels,
        whatever their correlation (Nichols & Holmes 2002).
    p_fdr : ndarray of shape (n_vox,)
        `p` corrected by `fdr`, see `stats.adjust`.
    null_band : ndarray of shape (2, n_vox)
        Between these, 95 % of a voxel's permuted scores lie (2.5 and 97.5 % quantiles).
    null_extremes : ndarray of shape (n_perm,)
        The most extreme score over voxels of each permutation.
    scoring, scheme, alternative, fdr : str
    n_perm, seed : int
        What the p-values can be repeated with.
    targets : tuple
        Names of the targets; by default their numbers.
    """

    score: NDArray[np.float64]
    p: NDArray[np.float64]
    p_fwe: NDArray[np.float64]
    p_fdr: NDArray[np.float64]
    null_band: NDArray[np.float64]
    null_extremes: NDArray[np.float64]
    scoring: str
    scheme: str
    alternative: str
    fdr: str
    n_perm: int
    seed: int
    targets: tuple[object, ...]

    _columns = ("score", "p", "p_fwe", "p_fdr", "null_low", "null_high")

    @property
    def null_low(self) -> NDArray[np.float64]:
        """The lower end of `null_band`."""
        low: NDArray[np.float64] = self.null_band[0]
        return low

    @property
    def null_high(self) -> NDArray[np.float64]:
        """The upper end of `null_band`."""
        high: NDArray[np.float64] = self.null_band[1]
        return high

    def __repr__(self) -> str:
        found = [int((p <= _LEVEL).sum()) for p in (self.p, self.p_fdr, self.p_fwe)]
        return (
            f"InferenceResult: {self.scoring} of {len(self.score)} targets, {self.n_perm} "
            f"permutations ({self.scheme}, {self.alternative}), seed {self.seed}\n"
            f"  p <= {_LEVEL}: {found[0]} targets, {found[1]} with {self.fdr.upper()}, {found[2]} "
            "family-wise"
        )


def permutation_test(
    measured: ArrayLike,
    predicted: ArrayLike | Scores,
    *,
    folds: ArrayLike | None = None,
    blocks: ArrayLike | int | None = None,
    scheme: str = "permute",
    min_shift: int = 0,
    scoring: str = "r",
    alternative: str = "greater",
    n_perm: int = 10_000,
    fdr: str = "bh",
    targets: Sequence[object] | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
    progress: Progress = False,
) -> InferenceResult:
    """Test held-out predictions against measurements that have nothing to do with them.

    The predictions stay; the measured responses are exchanged, always within a fold. What is
    exchanged must be exchangeable under the null hypothesis: single trials in random order are,
    neighbouring volumes of a time series are not. Give those `blocks`, or rotate them.

    Parameters
    ----------
    measured : array_like of shape (n_stim, n_vox) or (n_stim,)
        Responses. float32 or float64; sums are float64.
    predicted : array_like of the same shape, or Scores
        Predictions of rows that the model did not see. `Scores` of one layer that kept theirs; what
        no fold held out is left out.
    folds : array_like of shape (n_stim,), optional
        Label of the fold that held a row out. The score is the mean over folds, as in `Scores`; by
        default there is one fold, and its score pools all rows.
    blocks : int or array_like of shape (n_stim,), optional
        Rows that are exchanged as a whole: so many consecutive ones, or those with one label in one
        fold. By default single rows, and whole folds with ``scheme="circular"``.
    scheme : {"permute", "circular", "sign"}
        ``"permute"``: blocks of a fold change places, their rows in order. ``"circular"``: each
        block is a time series, such as a run, rotated by a shift of its own. ``"sign"``: the
        centred responses of a block change sign or not, which asks for a symmetric distribution.
    min_shift : int
        With ``"circular"``, shifts are from `min_shift` to the length less `min_shift`. All
        rotations, none of them included, make an exact test of series without ends; leaving small
        shifts out makes it the more liberal the shorter the series.
    scoring : {"r", "r2"}
        Pearson correlation or coefficient of determination.
    alternative : {"greater", "less", "two-sided"}
        ``"two-sided"`` compares absolute values of r; R2 under chance is not centred on 0.
    n_perm : int
        The smallest p is ``1 / (1 + n_perm)``.
    fdr : {"bh", "by"}
        How `p_fdr` is corrected.
    targets : sequence, optional
        Names of the targets; by default those of the scores, or their numbers.
    random_state : int, Generator, RandomState or None
    n_threads : int, optional
        By default ``torch.get_num_threads()``. Results do not depend on it.
    progress : bool or callable

    Returns
    -------
    InferenceResult

    Raises
    ------
    ValueError
        For NaN, unequal shapes, folds with one row or one block, series too short for `min_shift`.

    Warns
    -----
    ConstantTargetWarning
        If targets are constant in every fold.
    NullBandWarning
        If no target is significant at 0.05, neither family-wise nor at that false discovery rate.

    Notes
    -----
    With y and p centred in each fold, every permuted score is a dot product, so that ``2 n_stim
    n_perm n_vox`` FLOP in one pass over the data give all of them; rotations and signs cost
    ``n_block n_perm n_vox``. Permutation i is the same for all targets and a pure function of the
    seed and i. Blocks of unequal length are laid end to end in their new order. A fold where a
    target is constant does not count for it; a constant prediction scores r = 0.

    The model is not refitted: the hypothesis is that these predictions are unrelated to the
    responses, given the fit.
    """
    check_choice(scheme, "scheme", tuple(SCHEMES))
    check_choice(scoring, "scoring", tuple(AGREEMENTS))
    check_choice(alternative, "alternative", tuple(ALTERNATIVES))
    check_choice(fdr, "fdr", ("bh", "by"))
    n_perm = check_integer(n_perm, "n_perm", minimum=1)
    min_shift = check_integer(min_shift, "min_shift", minimum=0)
    if alternative == "two-sided" and scoring == "r2":
        raise ValueError(
            "alternative='two-sided' needs scoring='r': under chance R2 is not centred on 0."
        )
    data = check_held_out(
        measured, {"predicted": predicted}, folds=folds, blocks=blocks, targets=targets
    )
    layout = block_rows(data.folds, data.blocks, whole_folds=scheme == "circular")
    _check_exchange(layout, scheme, min_shift)
    seed = as_seed(random_state)
    with progress_callback(progress, f"{n_perm} permutations") as report:
        score, exceed, family_exceed, extremes, band = core.held_out_test(
            data.measured,
            data.predicted[0],
            layout.rows.tolist(),
            layout.block_starts.tolist(),
            layout.fold_starts.tolist(),
            SCHEMES[scheme],
            AGREEMENTS[scoring],
            ALTERNATIVES[alternative],
            min_shift,
            n_perm,
            seed,
            _BAND,
            resolve_n_threads(n_threads),
            report,
        )
    known = np.isfinite(score[0])
    p_value = share_of_null(exceed[0], n_perm, known)
    result = InferenceResult(
        score=score[0],
        p=p_value,
        p_fwe=share_of_null(family_exceed[0], n_perm, known),
        p_fdr=stats.adjust(p_value, method=fdr),
        null_band=band,
        null_extremes=extremes[0] if known.any() else np.full(n_perm, np.nan),
        scoring=scoring,
        scheme=scheme,
        alternative=alternative,
        fdr=fdr,
        n_perm=n_perm,
        seed=seed,
        targets=data.targets,
    )
    _warn_of_constants(~known)
    _warn_of_chance(result)
    return result


def _check_exchange(layout: RowBlocks, scheme: str, min_shift: int) -> None:
    if scheme == "permute":
        layout.check_several_per_fold("to change places")
    elif scheme == "sign":
        if layout.n_block < 2:
            raise ValueError("there must be at least 2 blocks to change signs; got 1.")
    else:
        lengths = np.diff(layout.block_starts)
        shortest = max(2, 2 * min_shift)
        if lengths.min() < shortest:
            raise ValueError(
                f"every series must have at least {shortest} rows to be rotated by min_shift="
                f"{min_shift} or more; series {int(lengths.argmin())} has {int(lengths.min())}."
            )


def _warn_of_constants(constant: NDArray[Any]) -> None:
    """Warn of targets that have no score."""
    if constant.any():
        warnings.warn(
            f"{int(constant.sum())} of {len(constant)} targets are constant in every fold; they "
            "have no score and no p.",
            ConstantTargetWarning,
            stacklevel=3,
        )


def _warn_of_chance(result: InferenceResult) -> None:
    if 1 / (1 + result.n_perm) > _LEVEL or not np.isfinite(result.p).any():
        return
    if np.nanmin(result.p_fwe) > _LEVEL and np.nanmin(result.p_fdr) > _LEVEL:
        warnings.warn(
            f"the whole map sits inside chance: of {len(result.score)} targets none is significant "
            f"at {_LEVEL}, family-wise (smallest p {np.nanmin(result.p_fwe):.3g}) or by "
            f"{result.fdr.upper()} ({np.nanmin(result.p_fdr):.3g}).",
            NullBandWarning,
            stacklevel=3,
        )
