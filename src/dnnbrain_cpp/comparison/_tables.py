"""The two tables of a comparison: one row per subject and seed, and their summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp.encoding import Scores
from dnnbrain_cpp.rsa import RSAResult

__all__ = [
    "SCORES",
    "SUMMARY",
    "best_maps",
    "encoding_rows",
    "records",
    "rsa_rows",
    "score_table",
    "summarise",
]

SCORES = (
    "analysis",
    "network",
    "seed",
    "layer",
    "roi",
    "subject",
    "method",
    "score",
    "p",
    "ceiling_lower",
    "ceiling_upper",
)
SUMMARY = (
    "analysis",
    "network",
    "layer",
    "roi",
    "method",
    "score",
    "sem",
    "seed_sd",
    "n_subject",
    "n_seed",
    "p",
    "ceiling_lower",
    "ceiling_upper",
)
_CELL = ["analysis", "network", "layer", "roi", "method"]
_SUBJECT = "subject-01"


def rsa_rows(result: RSAResult, roi: str) -> pd.DataFrame:
    """Return one row per layer and subject, with the group's p beside it as ``group_p``."""
    rows = result.to_frame().rename(columns={"model": "layer"})
    group_p = np.nan if result.group_p_values is None else result.group_p_values
    by_layer = pd.Series(group_p, index=list(result.models), dtype=np.float64)
    ceiling = result.ceiling
    return rows.assign(
        analysis="rsa",
        roi=roi,
        group_p=rows["layer"].map(by_layer).to_numpy(),
        ceiling_lower=np.nan if ceiling is None else ceiling.lower,
        ceiling_upper=np.nan if ceiling is None else ceiling.upper,
    )


def encoding_rows(scores: Scores, method: str) -> pd.DataFrame:
    """Return one row per layer and region: the mean over its voxels, which has no p-value."""
    rows = scores.by_roi().drop(columns="n_vox")
    return rows.assign(
        analysis="encoding",
        subject=_SUBJECT,
        method=method,
        p=np.nan,
        group_p=np.nan,
        ceiling_lower=np.nan,
        ceiling_upper=np.nan,
    )


def score_table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put rows of all networks together: by analysis, then region, network, seed and layer."""
    table = pd.concat(parts, ignore_index=True)
    table["seed"] = table["seed"].astype("Int64")
    keys = {key: _appearance(table[key]) for key in ("analysis", "roi", "network")}
    order = pd.DataFrame(keys).sort_values(list(keys), kind="stable").index
    return table.loc[order, [*SCORES, "group_p"]].reset_index(drop=True)


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network, layer and region.

    ``score`` is the mean over subjects and seeds; ``sem`` the standard error over subjects, each
    averaged over seeds; ``seed_sd`` the standard deviation over seeds, each averaged over subjects;
    ``p`` the group's p-value, the largest over seeds.
    """
    subjects = _mean_by(scores, [*_CELL, "subject"]).groupby(_CELL, sort=False)["score"]
    seeds = _mean_by(scores, [*_CELL, "seed"]).groupby(_CELL, sort=False)["score"]
    cells = scores.groupby(_CELL, sort=False)
    table = pd.DataFrame(
        {
            "score": subjects.mean(),
            "sem": subjects.sem(),
            "seed_sd": seeds.std(),
            "n_subject": subjects.size(),
            "n_seed": seeds.size(),
            "p": cells["group_p"].max(),
            "ceiling_lower": cells["ceiling_lower"].first(),
            "ceiling_upper": cells["ceiling_upper"].first(),
        }
    )
    return table.reset_index()[list(SUMMARY)]


def best_maps(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each voxel's best score and the number of that layer, from 1; NaN if left out."""
    values = table.to_numpy()
    known = np.isfinite(values).any(axis=0)
    filled = np.where(np.isfinite(values), values, -np.inf)
    score = np.where(known, filled.max(axis=0), np.nan)
    number = np.where(known, filled.argmax(axis=0) + 1.0, np.nan)
    return score, number


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of `table`, each as a mapping from column to value."""
    return cast("list[dict[str, Any]]", table.to_dict("records"))


def _mean_by(scores: pd.DataFrame, keys: list[str]) -> Any:
    return scores.groupby(keys, sort=False, dropna=False)["score"].mean().reset_index()


def _appearance(column: pd.Series[Any]) -> pd.Series[Any]:
    """Rank values by their first appearance."""
    places = {value: place for place, value in enumerate(dict.fromkeys(column))}
    return column.map(places)
