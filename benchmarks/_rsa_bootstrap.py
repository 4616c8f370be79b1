"""Rows of the RSA table: bootstraps over conditions and subjects."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _problem import Job, Problem
from dnnbrain_cpp import rsa

__all__ = ["PROBLEMS"]

N_COND, N_MODEL, N_SUBJECT, N_BOOT = 92, 7, 15, 1000
SHARES = {"corr": 0.02, "spearman": 0.01, "tau-a": 0.005, "cosine_cov": 0.005}
N_CHECKED = 3


def _data() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    shared = rng.random(N_COND * (N_COND - 1) // 2)
    models = shared + rng.random((N_MODEL, len(shared)))
    return models, shared + 2 * rng.random((N_SUBJECT, len(shared)))


def _peer(models: Any, data: Any, method: str, n_boot: int) -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        warnings.simplefilter("ignore")
        from rsatoolbox.inference import eval_dual_bootstrap
        from rsatoolbox.model import ModelFixed
        from rsatoolbox.rdm import RDMs

        fixed = [ModelFixed(str(i), model) for i, model in enumerate(models)]
        return eval_dual_bootstrap(fixed, RDMs(data), method=method, k_pattern=1, k_rdm=1, N=n_boot)


def _difference(models: Any, data: Any, method: str, ours: rsa.BootstrapResult) -> str:
    """Let the peer score some of our samples: it draws others."""
    from dnnbrain_cpp.rsa._resample import draw_counts

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rsatoolbox.rdm import RDMs, compare

        counts = draw_counts(
            np.random.default_rng(ours.seed),
            ours.n_boot,
            N_COND,
            at_least=3,
            groups=np.arange(N_COND),
        )
        worst = 0.0
        for sample, scores in zip(
            counts[:N_CHECKED], ours.parts["conditions"].scores, strict=False
        ):
            drawn = np.repeat(np.arange(N_COND), sample.astype(int))
            x, y = (RDMs(rdms).subsample_pattern("index", drawn) for rdms in (models, data))
            worst = max(worst, float(np.abs(compare(x, y, method).mean(1) - scores).max()))
    return f"scores of {N_CHECKED} samples within {worst:.0e}"


def _bootstrap(method: str) -> Job:
    models, data = _data()
    share = SHARES[method]
    return Job(
        ours={
            "counts as weights": lambda: rsa.bootstrap(
                models, data, n_boot=N_BOOT, method=method, ceiling="optimal", random_state=0
            )
        },
        peers={"rsatoolbox": lambda: _peer(models, data, method, round(N_BOOT * share))},
        difference=lambda ours, _: _difference(models, data, method, ours),
        share=share,
    )


PROBLEMS = [
    Problem(
        name=f"bootstrap_{method.replace('-', '_')}",
        title=f"dual bootstrap, {method}, {N_BOOT} samples, {N_MODEL} models x {N_SUBJECT} "
        f"subjects, n {N_COND}, ceilings",
        peer="rsatoolbox",
        goal=100.0,
        make=functools.partial(_bootstrap, method),
    )
    for method in SHARES
]
