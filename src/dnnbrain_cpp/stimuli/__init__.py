"""Stimuli: images with an identifier each, decoded rightly, in batches that a network can take."""

from __future__ import annotations

from dnnbrain_cpp.stimuli._batches import Batch, ImageTransform
from dnnbrain_cpp.stimuli._prepared import PreparedStimuli, prepare
from dnnbrain_cpp.stimuli._stim_csv import StimCsv, read_stim_csv, write_stim_csv
from dnnbrain_cpp.stimuli._stimuli import Stimuli

__all__ = [
    "Batch",
    "ImageTransform",
    "PreparedStimuli",
    "StimCsv",
    "Stimuli",
    "prepare",
    "read_stim_csv",
    "write_stim_csv",
]
