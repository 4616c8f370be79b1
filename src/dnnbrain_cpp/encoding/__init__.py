"""Encoding models: how well features of a network predict each voxel, by cross-validation."""

from __future__ import annotations

from dnnbrain_cpp.encoding._encode import SCORINGS, encode
from dnnbrain_cpp.encoding._scores import Scores

__all__ = ["SCORINGS", "Scores", "encode"]
