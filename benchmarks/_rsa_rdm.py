"""RDMs: correlation distances of wide layers, crossnobis distances, precision of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from _problem import Job, Problem
from dnnbrain_cpp import rsa

_SHARE = 8  # of the conditions of the widest layer, which the peers' job keeps; time grows with n^2


def _layer(n_stim: int, n_feat: int, dtype: type) -> np.ndarray:
    """Rectified units of unequal scale, as a layer's are."""
    rng = np.random.default_rng(0)
    scale = rng.exponential(1, n_feat).astype(np.float32)
    units = rng.standard_normal((n_stim, n_feat), dtype=np.float32) * scale
    return np.maximum(units, 0).astype(dtype)


def _apart(ours: Any, theirs: Any) -> str:
    one, other = np.ravel(ours), np.ravel(theirs)
    return f"max {np.abs(one[: len(other)] - other).max():.1e}"


def _rsatoolbox_correlation(features: np.ndarray) -> Callable[[], Any]:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm.calc import calc_rdm_correlation

    dataset = Dataset(features)
    return lambda: calc_rdm_correlation(dataset).dissimilarities[0]


def _correlation(n_stim: int, n_feat: int, dtype: type) -> Callable[[], Job]:
    def make() -> Job:
        features = _layer(n_stim, n_feat, dtype)
        return Job(
            ours={"rdm": lambda: rsa.rdm(features).dissimilarities},
            peers={
                "rsatoolbox": _rsatoolbox_correlation(features),
                "SciPy": lambda: pdist(features, "correlation"),
            },
            difference=_apart,
        )

    return make


def _wide_correlation() -> Job:
    """Give the peers an eighth of the conditions: their time is that of 1/64 of the pairs."""
    features = _layer(1000, 200_000, np.float32)
    part = np.ascontiguousarray(features[: 1000 // _SHARE])
    expected = rsa.rdm(part).dissimilarities

    def difference(_: Any, theirs: Any) -> str:
        return _apart(expected, theirs)

    return Job(
        ours={"rdm": lambda: rsa.rdm(features).dissimilarities},
        peers={
            "rsatoolbox": _rsatoolbox_correlation(part),
            "SciPy": lambda: pdist(part, "correlation"),
        },
        difference=difference,
        share=(1 / _SHARE) ** 2,
    )


def _crossnobis() -> Job:
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm.calc import calc_rdm_crossnobis

    rng = np.random.default_rng(1)
    n_run, n_cond, n_channel = 8, 92, 200
    patterns = rng.standard_normal((n_run * n_cond, n_channel))
    conditions, runs = np.tile(np.arange(n_cond), n_run), np.repeat(np.arange(n_run), n_cond)
    precision = rsa.noise_precision(rng.standard_normal((400, n_channel)))
    dataset = Dataset(patterns, obs_descriptors={"condition": conditions, "run": runs})
    return Job(
        ours={
            "rdm": lambda: (
                rsa.rdm(
                    patterns,
                    metric="crossnobis",
                    conditions=conditions,
                    runs=runs,
                    precision=precision,
                ).dissimilarities
            )
        },
        peers={
            "rsatoolbox": lambda: calc_rdm_crossnobis(
                dataset, "condition", noise=precision, cv_descriptor="run"
            ).dissimilarities[0]
        },
        difference=_apart,
    )


def _precision(method: str, theirs: str) -> Callable[[], Job]:
    def make() -> Job:
        from rsatoolbox.data.noise import prec_from_residuals

        rng = np.random.default_rng(2)
        mixing = np.eye(400) + 0.1 * rng.standard_normal((400, 400))
        residuals = rng.standard_normal((1000, 400)) @ mixing
        return Job(
            ours={"noise_precision": lambda: rsa.noise_precision(residuals, method=method)},
            peers={"rsatoolbox": lambda: prec_from_residuals(residuals, method=theirs)},
            difference=_apart,
        )

    return make


PROBLEMS = [
    Problem(
        name="rdm-correlation-4096",
        title="correlation RDM, 1,000 x 4,096, float64",
        peer="rsatoolbox, SciPy",
        goal=20,
        make=_correlation(1000, 4096, np.float64),
    ),
    Problem(
        name="rdm-correlation-200000",
        title="correlation RDM, 1,000 x 200,000, float32 (peers: 125 conditions)",
        peer="rsatoolbox, SciPy",
        goal=20,
        make=_wide_correlation,
    ),
    Problem(
        name="rdm-crossnobis",
        title="crossnobis, 92 conditions x 8 runs x 200 voxels",
        peer="rsatoolbox",
        goal=2,
        make=_crossnobis,
    ),
    Problem(
        name="noise-ledoit-wolf",
        title="precision of noise, Ledoit-Wolf, 1,000 x 400",
        peer="rsatoolbox",
        goal=18,
        make=_precision("ledoit-wolf", "shrinkage_eye"),
    ),
    Problem(
        name="noise-shrunk-diagonal",
        title="precision of noise, Schaefer-Strimmer, 1,000 x 400",
        peer="rsatoolbox",
        goal=18,
        make=_precision("shrunk-diagonal", "shrinkage_diag"),
    ),
]
