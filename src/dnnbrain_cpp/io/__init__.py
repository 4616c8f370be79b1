"""Brain responses in and maps out: NIfTI, GIFTI, CIFTI, NumPy arrays, and sidecar tables."""

from __future__ import annotations

from dnnbrain_cpp.io._geometry import VolumeGeometry, as_geometry, read_mask
from dnnbrain_cpp.io._responses import Responses, image_responses, read_responses, write_responses

__all__ = [
    "Responses",
    "VolumeGeometry",
    "as_geometry",
    "image_responses",
    "read_mask",
    "read_responses",
    "write_responses",
]
