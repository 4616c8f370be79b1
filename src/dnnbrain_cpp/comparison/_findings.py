"""What came out, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dnnbrain_cpp.comparison._tables import records
from dnnbrain_cpp.comparison._verdict import best_layers

__all__ = ["LEVEL", "count", "findings", "format_p", "listed", "notes", "verdict_sentence"]

LEVEL = 0.05
"""Below it a p-value is marked; it is not corrected for the number of tests."""


def format_p(p: float) -> str:
    """Return a p-value with its relation sign, as in ``= 0.012`` or ``< 0.001``."""
    return "< 0.001" if p < 0.0005 else f"= {p:.3f}"


def count(n: int, what: str) -> str:
    """Return a number of things, in the singular or plural."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def findings(summary: pd.DataFrame, labels: Mapping[tuple[str, str], str]) -> list[str]:
    """Return one sentence per analysis and region, about the network and layer that fit best.

    Parameters
    ----------
    summary : DataFrame
    labels : mapping of (network, layer) to str
    """
    tops: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in records(best_layers(summary)):
        known = tops.setdefault((cell["analysis"], cell["roi"]), cell)
        if cell["score"] > known["score"]:
            tops[cell["analysis"], cell["roi"]] = cell
    sentences = []
    for (analysis, roi), top in tops.items():
        where = f"{labels[top['network'], top['layer']]} of {top['network']}"
        score = f"{top['method'] if analysis == 'rsa' else 'mean r'} {top['score']:.3f}"
        if analysis == "encoding":
            sentences.append(f"Voxels of {roi} are best predicted from {where}: {score}.")
            continue
        sentences.append(f"The geometry of {roi} is closest to {where}: {score}{_relative(top)}.")
    return sentences


def _relative(top: Mapping[str, Any]) -> str:
    """Say how a score of RSA stands to chance and to the noise ceiling, where these are known."""
    score, lower, upper = top["score"], top["ceiling_lower"], top["ceiling_upper"]
    if top["p"] >= LEVEL:
        return f", no more than chance gives (p {format_p(top['p'])})"
    if not lower > 0 or score <= 0:
        return ""
    if score < lower:
        return f", {score / lower:.0%} of the lower noise ceiling"
    return f", {'within' if score <= upper else 'above'} the noise ceiling"


def verdict_sentence(verdict: pd.DataFrame) -> str:
    """Return how many planted layers were recovered."""
    n, n_match = len(verdict), int(verdict["match"].sum())
    if n_match == n:
        return (
            "The planted layer was recovered."
            if n == 1
            else (f"All {n} planted layers were recovered.")
        )
    return f"{n_match} of {n} planted layers were recovered."


def notes(record: Mapping[str, Any]) -> list[str]:
    """Return what a reader should know before trusting the numbers, one sentence each.

    Parameters
    ----------
    record : mapping
        See `Comparison.record`.
    """
    sentences = []
    by_order = [roi for roi, data in record["rdms"].items() if data["joined_by"] == "order"]
    responses = record["responses"]
    if responses is not None and responses["joined_by"] == "order":
        by_order.append("the responses")
    if by_order:
        sentences.append(
            f"{listed(by_order)} came without ids and were joined with the stimuli by order "
            f"({record['stimuli']['ids'][0]} first): right only if both are in the same order."
        )
    skipped = record["stimuli"]["skipped"]
    if skipped:
        names = ", ".join(name for name, _ in skipped[:5])
        sentences.append(
            f"{count(len(skipped), 'image')} could not be read, and left out on both sides: {names}"
            f"{', ...' if len(skipped) > 5 else ''}."
        )
    if responses is not None and responses["n_left_out"]:
        sentences.append(
            f"{count(responses['n_left_out'], 'voxel')} of {responses['n_vox']:,} are not finite "
            "or never vary; they have no score."
        )
    return sentences
