"""A whole study without data: drawn stimuli, a small network, a brain whose layers are known."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd

from dnnbrain_cpp._progress import Progress
from dnnbrain_cpp._validate import check_choice, check_integer
from dnnbrain_cpp.comparison._comparison import Comparison
from dnnbrain_cpp.comparison._folder import claim_folder
from dnnbrain_cpp.comparison._run import compare_networks
from dnnbrain_cpp.datasets import demo_network, draw_stimuli, simulate_subject
from dnnbrain_cpp.features import extract
from dnnbrain_cpp.io import read_responses
from dnnbrain_cpp.rsa import load_rdms

__all__ = ["SIZES", "demonstrate"]

SIZES = {"small": (120, 200), "full": (240, 500)}
"""Stimuli and permutations of each size."""

_ROIS = {"early": "relu1", "middle": "relu3", "late": "relu5"}


def demonstrate(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    size: str = "full",
    command: Sequence[str] | None = None,
    progress: Progress = False,
) -> Comparison:
    """Run the whole analysis on a simulated subject, and see whether it finds what was planted.

    Parameters
    ----------
    folder : path_like
        Gets the report, and under ``data`` the simulated study as a real one would be kept.
    seed : int
        Of drawings, network, subject and statistics.
    size : {"small", "full"}
        120 stimuli and 200 permutations, or 240 and 500.
    command : sequence of str, optional
        How the run was started, for the record.
    progress : bool or callable

    Returns
    -------
    Comparison
        Its ``verdict`` says per region whether the planted layer was recovered.

    Raises
    ------
    FileExistsError
        If `folder` holds anything but an earlier report.

    Notes
    -----
    Responses, mask and dissimilarities are written to files and read back, so that what is analysed
    has gone the way of real data. No network access, no files of others.
    """
    check_integer(seed, "seed", minimum=0)
    n_stim, n_perm = SIZES[check_choice(size, "size", tuple(SIZES))]
    data = claim_folder(folder) / "data"
    stimuli = draw_stimuli(n_stim, seed=seed)
    network = demo_network(seed=seed)
    features = extract(network, stimuli, reduce="mean")
    simulate_subject(features, _ROIS, seed=seed).write(data)

    comparison = compare_networks(
        stimuli,
        network,
        reduce="mean",
        rdms={roi: load_rdms(data / "rdms.npz", key=roi) for roi in _ROIS},
        responses=read_responses(data / "responses.nii.gz", mask=data / "mask.nii.gz"),
        n_perm=n_perm,
        random_state=seed,
        truth=pd.read_csv(data / "truth.csv"),
        progress=progress,
    )
    comparison.save(folder, command=command)
    return comparison
