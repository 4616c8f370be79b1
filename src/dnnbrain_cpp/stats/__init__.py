"""Statistics over subjects, of many tests at once."""

from __future__ import annotations

from dnnbrain_cpp.stats._adjust import METHODS, adjust
from dnnbrain_cpp.stats._cluster import ClusterResult, cluster_test, grid_adjacency
from dnnbrain_cpp.stats._kruskal import KruskalResult, kruskal
from dnnbrain_cpp.stats._rm_anova import AnovaEffect, AnovaResult, rm_anova
from dnnbrain_cpp.stats._sign_flip import SignFlipResult, sign_flip_test
from dnnbrain_cpp.stats._ttest import TTestResult, ttest
from dnnbrain_cpp.stats._wilcoxon import WilcoxonResult, wilcoxon

__all__ = [
    "METHODS",
    "AnovaEffect",
    "AnovaResult",
    "ClusterResult",
    "KruskalResult",
    "SignFlipResult",
    "TTestResult",
    "WilcoxonResult",
    "adjust",
    "cluster_test",
    "grid_adjacency",
    "kruskal",
    "rm_anova",
    "sign_flip_test",
    "ttest",
    "wilcoxon",
]
