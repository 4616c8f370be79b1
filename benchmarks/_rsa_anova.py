"""Rows of the RSA table: analysis of variance with repeated measures over many regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from _problem import Job, Problem
from dnnbrain_cpp import stats

__all__ = ["PROBLEMS"]

N_SUBJECT, N_NETWORK, N_LAYER, N_REGION = 15, 2, 7, 10_000
PART = 10


def _two_way() -> Job:
    import pingouin

    rng = np.random.default_rng(0)
    y = rng.standard_normal((N_SUBJECT, N_NETWORK, N_LAYER, N_REGION))
    y += np.linspace(0, 0.5, N_LAYER)[:, None]
    subject, network, layer = np.indices(y.shape[:3]).reshape(3, -1)
    frame = pd.DataFrame({"subject": subject, "network": network, "layer": layer})
    tables = [frame.assign(tau=y[..., region].ravel()) for region in range(PART)]

    def theirs() -> NDArray[np.float64]:
        columns = ["F", "p_unc", "p_GG_corr", "eps", "ng2"]
        return np.stack(
            [
                pingouin.rm_anova(
                    data=table,
                    dv="tau",
                    within=["network", "layer"],
                    subject="subject",
                    effsize="ng2",
                )[columns].to_numpy(float)
                for table in tables
            ]
        )

    def difference(ours: stats.AnovaResult, peer: Any) -> str:
        first = np.stack(
            [
                [e.f[:PART], e.p[:PART], e.p_gg[:PART], e.eps_gg[:PART], e.eta2_generalized[:PART]]
                for e in ours.values()
            ]
        )
        return f"F, p, eps, eta2 <= {np.abs(first.transpose(2, 0, 1) - peer).max():.1e}"

    return Job(
        ours={"stats.rm_anova": lambda: stats.rm_anova(y, within=("network", "layer"))},
        peers={"loop": theirs},
        difference=difference,
        share=PART / N_REGION,
    )


PROBLEMS = [
    Problem(
        name="anova",
        title="Two-way repeated measures, 15 x 2 x 7, over 10,000 regions",
        peer="pingouin",
        goal=1000,
        make=_two_way,
    )
]
