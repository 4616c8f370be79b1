"""Which layer each region points to, and whether it is the one that was planted there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dnnbrain_cpp.comparison._tables import records

__all__ = ["best_layers", "judge"]


def best_layers(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `summary` with the highest score of each analysis, network and region."""
    scored = summary[summary["score"].notna()]
    best = scored.groupby(["analysis", "roi", "network"], sort=False)["score"].idxmax()
    return summary.loc[best].reset_index(drop=True)


def judge(summary: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Compare the layer that each analysis finds with the planted one.

    Parameters
    ----------
    summary : DataFrame
    truth : DataFrame
        ``roi``, ``layer``, and if known ``noise_ceiling`` (expected correlation of a voxel with a
        perfect model) and ``measured_ceiling`` (that of the voxels drawn).

    Returns
    -------
    DataFrame
        One row per network and region: ``network``, ``roi``, ``planted``, then for each analysis
        its ``_layer`` and ``_score``; ``noise_ceiling``, ``measured_ceiling``, ``ceiling_lower``,
        ``ceiling_upper``; ``match``, true if every analysis found the planted layer.
    """
    for column in ("roi", "layer"):
        if column not in truth.columns:
            raise ValueError(
                f"truth must have the columns roi and layer; got {', '.join(truth.columns)}."
            )
    best = {
        (cell["network"], cell["roi"], cell["analysis"]): cell
        for cell in records(best_layers(summary))
    }
    rows = []
    for network in dict.fromkeys(summary["network"]):
        for planted in records(truth):
            roi = planted["roi"]
            found = [a for a in ("encoding", "rsa") if (network, roi, a) in best]
            if not found:
                raise ValueError(
                    f"truth must speak of regions that were compared; {roi!r} was not. Regions "
                    f"are {', '.join(dict.fromkeys(summary['roi']))}."
                )
            row: dict[str, Any] = {"network": network, "roi": roi, "planted": planted["layer"]}
            for analysis in found:
                cell = best[network, roi, analysis]
                row |= {f"{analysis}_layer": cell["layer"], f"{analysis}_score": cell["score"]}
                if analysis == "rsa":
                    row |= {name: cell[name] for name in ("ceiling_lower", "ceiling_upper")}
            for name in ("noise_ceiling", "measured_ceiling"):
                row[name] = planted.get(name, np.nan)
            row["match"] = all(row[f"{a}_layer"] == planted["layer"] for a in found)
            rows.append(row)
    return pd.DataFrame(rows)
