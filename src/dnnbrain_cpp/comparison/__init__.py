"""The main job: layers of networks compared with brains, as tables, figures and a report."""

from __future__ import annotations

from dnnbrain_cpp.comparison._comparison import Comparison
from dnnbrain_cpp.comparison._demo import demonstrate
from dnnbrain_cpp.comparison._findings import LEVEL
from dnnbrain_cpp.comparison._folder import check_folder
from dnnbrain_cpp.comparison._run import compare_networks
from dnnbrain_cpp.comparison._tables import records

__all__ = ["LEVEL", "Comparison", "check_folder", "compare_networks", "demonstrate", "records"]
