"""Names of the comparators and alternatives, and what the core calls them."""

from __future__ import annotations

from dnnbrain_cpp._native import core
from dnnbrain_cpp._validate import check_choice

__all__ = ["ALTERNATIVES", "METHODS", "check_method"]

METHODS = {
    "corr": core.Comparator.corr,
    "cosine": core.Comparator.cosine,
    "spearman": core.Comparator.spearman,
    "rho-a": core.Comparator.rho_a,
    "tau-a": core.Comparator.tau_a,
    "tau-b": core.Comparator.tau_b,
    "corr_cov": core.Comparator.corr_cov,
    "cosine_cov": core.Comparator.cosine_cov,
    "cka": core.Comparator.cosine_cov,  # the same number, see kernels/comparator.hpp
    "cka-unbiased": core.Comparator.cka_unbiased,
}
"""rsatoolbox's names of the ways to compare two RDMs, and centred kernel alignment."""

ALTERNATIVES = {
    "two-sided": core.Alternative.two_sided,
    "greater": core.Alternative.greater,
    "less": core.Alternative.less,
}

_SYNONYMS = {"pearson": "corr", "kendalltau": "tau-b", "kendall": "tau-b"}


def check_method(method: str) -> str:
    """Return the comparator's own name; SciPy's names are understood."""
    return check_choice(_SYNONYMS.get(method, method), "method", tuple(METHODS))
