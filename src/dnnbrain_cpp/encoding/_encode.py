"""From features and responses to cross-validated scores, in one call."""

from __future__ import annotations

import os
from typing import Any

from numpy.typing import ArrayLike

from dnnbrain_cpp._progress import Progress
from dnnbrain_cpp.encoding._encoder import Encoder
from dnnbrain_cpp.encoding._layers import Sources
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.encoding._targets import TargetsLike

__all__ = ["encode"]


def encode(
    features: Sources,
    responses: TargetsLike,
    *,
    estimator: Any = None,
    cv: Any = 5,
    groups: ArrayLike | None = None,
    scoring: str = "r",
    fold_average: str = "mean",
    iter_axis: str | None = None,
    return_predictions: bool = False,
    mask: str | os.PathLike[str] | None = None,
    progress: Progress = False,
) -> Scores:
    """Predict every voxel's response from each layer, and score what was held out.

    Parameters
    ----------
    features : Features, mapping of str to array, or array_like of shape (n_stim, n_feat)
        Layers are fitted one by one; arrays may be memory maps or torch tensors. Layers extracted
        with ``reduce="gram"`` will do.
    responses : Responses, path, DataFrame, or array_like of shape (n_stim, n_vox)
        `Responses`, files and tables with an index are joined by id when both sides have ids, in
        any order; when one has none, by order, with an `AlignmentWarning`. An array is taken in the
        order of `features`.
    estimator : scikit-learn regressor, optional
        ``LinearRegression``, ``Ridge``, ``RidgeCV`` and ``GridSearchCV(Ridge())``, alone or behind
        ``StandardScaler`` and ``PCA(k)`` in a pipeline, and ``PLSRegression``, run natively, with
        all steps inside the fold and the numbers of scikit-learn's exact solvers; so do those of
        these names in `linear`, its `PCRegression` of a fixed count, and its `KernelRidgeCV`, for
        which a layer is a kernel. Any other regressor runs as it is. ``Scores.route`` says which,
        and why not. ``cv="run"`` of an estimator of `linear` takes the groups of each training
        set. By default PCA and least squares, with a quarter as many components as the smallest
        training set has stimuli, at most 100.
    cv : int, "run", "loo", splitter, FoldPlan, or iterable of (train, test)
        As in scikit-learn; an int is unshuffled `KFold`, or `GroupKFold` with groups; ``"run"``
        leaves out one group at a time, ``"loo"`` one stimulus. Stimuli that are sorted by category
        want ``KFold(5, shuffle=True, random_state=0)``.
    groups : array_like of shape (n_stim,), optional
        Stimuli of one group, such as a run, are held out together. In the order of `features`.
    scoring : {"r", "r2", "mse", "ev"}
        Pearson correlation, coefficient of determination, mean squared error or explained variance
        (R2 that forgives an offset), per target.
    fold_average : {"mean", "pooled"}
        ``"mean"``: a score per fold. ``"pooled"``: one score over all held-out predictions, each
        with the offset of its own training set. They differ where folds are few or unequal; folds
        of one stimulus can only be pooled. Pooled r of an uninformative model is below zero, since
        the mean of the others falls as a held-out value rises.
    iter_axis : {"channel", "row_col"}, optional
        Fit each channel of a layer (its units: all positions), or each position (its units: all
        channels), by itself. Needs ``reduce="keep"``, or arrays of shape (n_stim, n_chn, n_row,
        n_col). Results are named ``layer[channel=3]`` and ``layer[row=1, column=2]``, from 0.
    return_predictions : bool
        Keep the held-out predictions, as large as the responses for each layer.
    mask : path_like, optional
        For responses that are a NIfTI path.
    progress : bool or callable

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        For NaN, unequal stimuli, impossible folds, or more components than a fold has dimensions.

    Warns
    -----
    ConstantTargetWarning
        If targets are constant in the held-out stimuli of a fold; their scores there are NaN.

    Notes
    -----
    Native route: with more features than training stimuli, ``2 n_stim**2 n_feat`` FLOP once per
    layer; with `StandardScaler` once per fold, as its scales differ. Then per fold one
    factorisation of min(n_train, n_feat), and ``2 k n_stim n_vox`` FLOP for k components. Nothing
    is refitted on units.
    """
    encoder = Encoder(
        estimator,
        cv=cv,
        scoring=scoring,
        groups=groups,
        fold_average=fold_average,
        iter_axis=iter_axis,
        return_predictions=return_predictions,
    )
    return encoder.fit(features, responses, mask=mask, progress=progress).scores_
