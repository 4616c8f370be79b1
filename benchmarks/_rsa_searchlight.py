"""Searchlights and RSA over time against rsatoolbox, centre by centre and time by time."""

from __future__ import annotations

from functools import partial
from typing import Any

import nibabel as nib
import numpy as np
import rsatoolbox
from numpy.typing import NDArray
from rsatoolbox.inference import eval_fixed
from rsatoolbox.util.searchlight import evaluate_models_searchlight, get_searchlight_RDMs

from _problem import Job, Problem
from dnnbrain_cpp import rsa
from dnnbrain_cpp.io import VolumeGeometry
from dnnbrain_cpp.rsa._neighbours import in_ball

__all__ = ["PROBLEMS"]

N_COND, RADIUS = 92, 9.6  # voxels of 3 mm: up to 123 of them
N_CENTRE = 300
"""That the peer looks at, its neighbourhoods given."""

N_TIME, N_MEG_COND, N_SENSOR, N_TIME_PEER = 600, 118, 306, 30


def _model(n_cond: int) -> rsa.RDMs:
    return rsa.RDMs(np.random.default_rng(1).random(n_cond * (n_cond - 1) // 2))


def _ball_mask(n_vox: int) -> NDArray[np.bool_]:
    """Return the voxels nearest to the middle of a volume."""
    side = int(np.ceil((n_vox * 6 / np.pi) ** (1 / 3))) + 2
    places = np.indices((side, side, side)) - (side - 1) / 2
    distance = (places**2).sum(0).ravel()
    mask = np.zeros(side**3, bool)
    mask[np.argsort(distance, kind="stable")[:n_vox]] = True
    return mask.reshape(side, side, side)


def _make_searchlight() -> Job:
    mask = _ball_mask(10_000)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    header = nib.Nifti1Image(mask.astype(np.int16), affine).header
    where = VolumeGeometry(mask.astype(np.int32), {1: "mask"}, affine, header)
    data = np.random.default_rng(0).standard_normal((N_COND, where.n_vox))
    model = _model(N_COND)
    chosen = np.linspace(0, where.n_vox - 1, N_CENTRE).astype(int)
    balls = in_ball(where, RADIUS)
    neighbours = [balls.members[balls.starts[i] : balls.starts[i + 1]] for i in chosen]
    theirs = rsatoolbox.model.ModelFixed("model", model.dissimilarities[0])

    def peer(n_jobs: int) -> NDArray[np.float64]:
        rdms = get_searchlight_RDMs(data, chosen, neighbours, np.arange(N_COND), verbose=False)
        results = evaluate_models_searchlight(
            rdms, theirs, eval_fixed, method="spearman", n_jobs=n_jobs
        )
        return np.array([np.ravel(result.evaluations)[0] for result in results])

    def difference(ours: rsa.SearchlightResult, scores: NDArray[np.float64]) -> str:
        return f"max |difference| {np.abs(ours.scores[0, chosen] - scores).max():.1e}"

    return Job(
        ours={"searchlight": lambda: rsa.searchlight(data, where, models=model, radius=RADIUS)},
        peers={f"n_jobs={n_jobs}": partial(peer, n_jobs) for n_jobs in (1, 2)},
        difference=difference,
        share=N_CENTRE / where.n_vox,
    )


def _make_timecourse() -> Job:
    data = np.random.default_rng(0).standard_normal((N_TIME, N_MEG_COND, N_SENSOR))
    model = _model(N_MEG_COND)
    theirs = rsatoolbox.rdm.RDMs(model.dissimilarities)

    def peer() -> NDArray[np.float64]:
        scores: list[Any] = []
        for patterns in data[:N_TIME_PEER]:
            dataset = rsatoolbox.data.Dataset(patterns)
            rdms = rsatoolbox.rdm.calc_rdm(dataset, method="correlation")
            scores.append(rsatoolbox.rdm.compare(theirs, rdms, method="spearman")[0, 0])
        return np.array(scores)

    def difference(ours: rsa.TimecourseResult, scores: NDArray[np.float64]) -> str:
        first = ours.scores[0, 0, :N_TIME_PEER]
        return f"max |difference| {np.abs(first - scores).max():.1e}"

    return Job(
        ours={"timecourse": lambda: rsa.timecourse(data, model)},
        peers={"calc_rdm and compare": peer},
        difference=difference,
        share=N_TIME_PEER / N_TIME,
    )


PROBLEMS: list[Problem] = [
    Problem(
        name="searchlight",
        title=f"searchlight, 10,000 centres of up to 123 voxels, n {N_COND}, Spearman",
        peer="rsatoolbox",
        goal=20,
        make=_make_searchlight,
    ),
    Problem(
        name="timecourse",
        title=f"RSA over {N_TIME} times, n {N_MEG_COND}, {N_SENSOR} sensors, Spearman",
        peer="rsatoolbox",
        goal=10,
        make=_make_timecourse,
    ),
]
