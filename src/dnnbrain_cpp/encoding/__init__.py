"""Encoding models: how well features of a network predict each voxel, by cross-validation."""

from __future__ import annotations

from dnnbrain_cpp.encoding._ceiling import (
    CEILINGS,
    NoiseCeiling,
    NormalisedScores,
    noise_ceiling,
    normalise,
)
from dnnbrain_cpp.encoding._decode import Decoder, decode
from dnnbrain_cpp.encoding._encode import encode
from dnnbrain_cpp.encoding._encoder import Encoder
from dnnbrain_cpp.encoding._inference import InferenceResult, permutation_test
from dnnbrain_cpp.encoding._layers import Part
from dnnbrain_cpp.encoding._partition import VariancePartition, variance_partition
from dnnbrain_cpp.encoding._probe import CLASS_SCORINGS, Probe, probe
from dnnbrain_cpp.encoding._resample import (
    ConfidenceInterval,
    ModelComparison,
    bootstrap_ci,
    compare_models,
)
from dnnbrain_cpp.encoding._scores import Scores
from dnnbrain_cpp.encoding._scoring import FOLD_AVERAGES, SCORINGS
from dnnbrain_cpp.encoding._stack import Stacked, simplex_weights, stack
from dnnbrain_cpp.encoding._univariate import UnivariateScores, univariate

__all__ = [
    "CEILINGS",
    "CLASS_SCORINGS",
    "FOLD_AVERAGES",
    "SCORINGS",
    "ConfidenceInterval",
    "Decoder",
    "Encoder",
    "InferenceResult",
    "ModelComparison",
    "NoiseCeiling",
    "NormalisedScores",
    "Part",
    "Probe",
    "Scores",
    "Stacked",
    "UnivariateScores",
    "VariancePartition",
    "bootstrap_ci",
    "compare_models",
    "decode",
    "encode",
    "noise_ceiling",
    "normalise",
    "permutation_test",
    "probe",
    "simplex_weights",
    "stack",
    "univariate",
    "variance_partition",
]
