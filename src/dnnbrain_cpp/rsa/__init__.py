"""Representational similarity analysis: RDMs, their comparison, permutation tests, ceilings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dnnbrain_cpp.rsa._bootstrap import BootstrapResult, Samples, bootstrap
from dnnbrain_cpp.rsa._bootstrap_crossval import bootstrap_crossval
from dnnbrain_cpp.rsa._ceiling import NoiseCeiling, noise_ceiling
from dnnbrain_cpp.rsa._compare import RSAResult, compare
from dnnbrain_cpp.rsa._conditions import average_conditions
from dnnbrain_cpp.rsa._dissimilarity import METRICS, rdm
from dnnbrain_cpp.rsa._files import load_rdms
from dnnbrain_cpp.rsa._layout import Dendrogram, MDSResult, dendrogram, mds
from dnnbrain_cpp.rsa._mantel import MantelResult, mantel
from dnnbrain_cpp.rsa._mantel_moments import MantelMoments, mantel_moments
from dnnbrain_cpp.rsa._methods import METHODS
from dnnbrain_cpp.rsa._model_comparison import ModelComparison, compare_models
from dnnbrain_cpp.rsa._models import (
    FixedModel,
    InterpolationModel,
    Model,
    SelectionModel,
    WeightedModel,
)
from dnnbrain_cpp.rsa._noise import noise_precision
from dnnbrain_cpp.rsa._partition import VariancePartition, variance_partition
from dnnbrain_cpp.rsa._rdms import RDM, RDMs
from dnnbrain_cpp.rsa._remix import decision_values, remix
from dnnbrain_cpp.rsa._reweight import Reweighting, reweight
from dnnbrain_cpp.rsa._save import save_rdms
from dnnbrain_cpp.rsa._searchlight import SearchlightResult, searchlight
from dnnbrain_cpp.rsa._timecourse import TimecourseResult, rdm_movie, timecourse

if TYPE_CHECKING:
    from dnnbrain_cpp.rsa._fr_rsa import FRRSA

__all__ = [
    "FRRSA",
    "METHODS",
    "METRICS",
    "RDM",
    "BootstrapResult",
    "Dendrogram",
    "FixedModel",
    "InterpolationModel",
    "MDSResult",
    "MantelMoments",
    "MantelResult",
    "Model",
    "ModelComparison",
    "NoiseCeiling",
    "RDMs",
    "RSAResult",
    "Reweighting",
    "Samples",
    "SearchlightResult",
    "SelectionModel",
    "TimecourseResult",
    "VariancePartition",
    "WeightedModel",
    "average_conditions",
    "bootstrap",
    "bootstrap_crossval",
    "compare",
    "compare_models",
    "decision_values",
    "dendrogram",
    "load_rdms",
    "mantel",
    "mantel_moments",
    "mds",
    "noise_ceiling",
    "noise_precision",
    "rdm",
    "rdm_movie",
    "remix",
    "reweight",
    "save_rdms",
    "searchlight",
    "timecourse",
    "variance_partition",
]


def __getattr__(name: str) -> Any:
    # Of scikit-learn's kind by inheritance, and scikit-learn takes a second to load.
    if name == "FRRSA":
        from dnnbrain_cpp.rsa._fr_rsa import FRRSA

        return FRRSA
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
