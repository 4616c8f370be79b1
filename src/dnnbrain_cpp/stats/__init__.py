"""Statistics of many tests at once."""

from __future__ import annotations

from dnnbrain_cpp.stats._adjust import METHODS, adjust

__all__ = ["METHODS", "adjust"]
