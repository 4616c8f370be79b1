"""The main job: networks run once each, their layers compared with regions of brains."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Literal

import pandas as pd
import torch
from numpy.typing import ArrayLike

from dnnbrain_cpp._progress import Progress, progress_callback
from dnnbrain_cpp._random import RandomState, as_seed
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.comparison._comparison import Comparison
from dnnbrain_cpp.comparison._join import BY_ORDER, join_rdms, join_responses
from dnnbrain_cpp.comparison._settings import Settings, seeded_folds
from dnnbrain_cpp.comparison._stages import Stages
from dnnbrain_cpp.comparison._work import Run
from dnnbrain_cpp.exceptions import (
    AlignmentWarning,
    ConstantTargetWarning,
    SkippedStimulusWarning,
)
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.networks import Network
from dnnbrain_cpp.rsa import METRICS, RDM, RDMs
from dnnbrain_cpp.rsa._methods import ALTERNATIVES, check_method
from dnnbrain_cpp.stimuli import Stimuli

__all__ = ["compare_networks"]


def compare_networks(
    stimuli: Stimuli,
    networks: Network | Iterable[Network],
    *,
    layers: str | Sequence[str] | None = None,
    reduce: str | Mapping[str, str] = "mean",
    rdms: RDMs | RDM | Mapping[str, RDMs | RDM] | None = None,
    responses: Responses | None = None,
    metric: str = "correlation",
    method: str = "tau-b",
    n_perm: int = 1000,
    alternative: str = "two-sided",
    estimator: Any = None,
    cv: Any = 5,
    groups: ArrayLike | None = None,
    random_state: RandomState = 0,
    truth: pd.DataFrame | None = None,
    batch_size: int | str = "auto",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    n_workers: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    progress: Progress = False,
) -> Comparison:
    """Compare layers of networks with regions of brains, by RSA, encoding, or both.

    Parameters
    ----------
    stimuli : Stimuli
    networks : Network or iterable of Network
        Taken one at a time, so that a generator keeps a single network in memory. Those of one
        name and one kind of weights count as seeds of the same network.
    layers : str or sequence of str, optional
        Patterns, see `Network.resolve`; by default each network's own selection.
    reduce : str or mapping of pattern to str
        What is done with each layer's units, see `extract`.
    rdms : RDMs or mapping of str to RDMs, optional
        Per region the RDMs of all subjects, for RSA. Joined by id; where they have no ids they are
        taken in the order of the stimuli, with an `AlignmentWarning`.
    responses : Responses, optional
        Of one subject's voxels, for encoding. Joined likewise. Voxels that are not finite or never
        vary are left out and counted.
    metric : {"correlation", "cosine", "euclidean", "sqeuclidean"}
        Of the layers' RDMs.
    method : {"corr", "cosine", "spearman", "rho-a", "tau-a", "tau-b"}
        How two RDMs are compared.
    n_perm : int
        Relabellings of the stimuli for p-values of RSA; 0 for none.
    alternative : {"two-sided", "greater", "less"}
    estimator : scikit-learn regressor, optional
        See `encode`; by default PCA inside the fold and least squares.
    cv : int, splitter, or iterable of (train, test)
        An int is that many folds, shuffled with `random_state` (or `GroupKFold` with groups).
    groups : array_like of shape (n_stim,), optional
        Stimuli of one group, such as a run, are held out together.
    random_state : int, Generator, RandomState or None
        Of permutations and folds, the same for every network and region.
    truth : DataFrame, optional
        For simulated subjects: columns ``roi`` and ``layer`` (the planted one), and if known
        ``noise_ceiling``. The result then holds a verdict.
    batch_size, device, dtype, n_workers, on_error
        As in `extract`. With ``on_error="skip"`` unreadable stimuli are left out on both sides.
    progress : bool or callable

    Returns
    -------
    Comparison
        With ``scores`` (one row per network, seed, layer, region and subject), ``summary``, and
        ``save`` for the whole as tables, figures and a report.

    Raises
    ------
    ValueError
        If there is nothing to compare with, stimuli differ between the sides, or two networks are
        the same in name, weights and seed.

    Warns
    -----
    AlignmentWarning
        Where data were joined by order.
    SkippedStimulusWarning, ConstantTargetWarning
        Where stimuli were skipped or voxels left out.

    Notes
    -----
    Images are decoded once for all networks of one transform if their pixels fit into a quarter of
    the free memory. Permutation p-values hold for these subjects: stimuli are relabelled, subjects
    are not resampled. Encoding scores carry no p-value.

    Examples
    --------
    >>> rdms = {"IT": rsa.load_rdms("fmri.npz", ids=stimuli.ids)}  # doctest: +SKIP
    >>> networks = (networks.alexnet(seed=seed) for seed in range(10))  # doctest: +SKIP
    >>> result = compare_networks(stimuli, networks, rdms=rdms)  # doctest: +SKIP
    >>> result.save("report")  # doctest: +SKIP
    """
    # What the parts would refuse later is refused before a network has run.
    check_choice(metric, "metric", tuple(METRICS))
    method = check_method(method)
    check_choice(alternative, "alternative", tuple(ALTERNATIVES))
    check_choice(on_error, "on_error", ("raise", "skip"))
    check_integer(n_perm, "n_perm", minimum=0)
    if rdms is None and responses is None:
        raise ValueError("give rdms, responses or both; there is nothing to compare with.")
    subjects, joined_by = join_rdms(rdms, stimuli.ids)
    measured, responses_by = join_responses(responses, stimuli.ids)
    seed = as_seed(random_state)
    settings = Settings(
        layers=layers,
        reduce=reduce,
        metric=metric,
        method=method,
        n_perm=n_perm,
        alternative=alternative,
        estimator=estimator,
        cv=seeded_folds(cv, groups, seed),
        groups=groups,
        seed=seed,
        extraction={
            "batch_size": batch_size,
            "device": device,
            "dtype": dtype,
            "n_workers": n_workers,
            "on_error": on_error,
        },
    )
    several = [networks] if isinstance(networks, Network) else networks
    n_network = len(several) if isinstance(several, Sized) else 0
    steps = ["extract", *(f"rsa {roi}" for roi in subjects), *(["encode"] if measured else [])]
    with progress_callback(progress, "comparing") as report:
        stages = Stages(report, steps, n_network)
        run = Run(stimuli, subjects, measured, settings, stages, keep_pixels=n_network != 1)
        for network in several:
            run.take(network)
            run.stages.next_network()
    by_order = [roi for roi, how in joined_by.items() if how == BY_ORDER]
    by_order += ["responses"] if responses_by == BY_ORDER else []
    _warn(run, by_order)
    return run.result(truth, {"rdms": joined_by, "responses": responses_by})


def _warn(run: Run, by_order: list[str]) -> None:
    """Say once, at the user's line, what the report says too."""
    if by_order:
        warnings.warn(
            f"{', '.join(by_order)} had no ids and were joined with the stimuli by order. Give "
            "ids= to be sure.",
            AlignmentWarning,
            stacklevel=3,
        )
    if run.skipped:
        warnings.warn(
            f"{len(run.skipped)} stimuli could not be read and were left out, such as "
            f"{run.skipped[0][0]!r}.",
            SkippedStimulusWarning,
            stacklevel=3,
        )
    if run.n_unusable:
        warnings.warn(
            f"{run.n_unusable} voxels are not finite or never vary, and were left out.",
            ConstantTargetWarning,
            stacklevel=3,
        )
