"""Features of any network: all layers in one pass, reduced as they appear."""

from __future__ import annotations

from dnnbrain_cpp.features._extract import extract
from dnnbrain_cpp.features._features import Features
from dnnbrain_cpp.features._gram import Gram
from dnnbrain_cpp.features._plan import Plan, plan

__all__ = ["Features", "Gram", "Plan", "extract", "plan"]
