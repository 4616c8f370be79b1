"""Brain data joined to stimuli: by id wherever there are ids, by order otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.rsa import RDM, RDMs

__all__ = ["BY_ID", "BY_ORDER", "join_rdms", "join_responses", "scorable"]

BY_ID = "id"
BY_ORDER = "order"


def join_rdms(
    rdms: RDMs | RDM | Mapping[str, RDMs | RDM] | None, ids: Sequence[str]
) -> tuple[dict[str, RDMs], dict[str, str]]:
    """Return the RDMs of each region over `ids`, in that order, and how each was joined."""
    if rdms is None:
        return {}, {}
    by_roi = {"brain": rdms} if isinstance(rdms, RDM | RDMs) else dict(rdms)
    joined: dict[str, RDMs] = {}
    joined_by: dict[str, str] = {}
    for roi, data in by_roi.items():
        if isinstance(data, RDM):
            data = RDMs([data])
        if not isinstance(data, RDMs):
            raise TypeError(
                f"rdms must hold RDMs; that of {roi!r} is {type(data).__name__}. Read it with "
                "rsa.load_rdms, or build it with rsa.RDMs."
            )
        what = f"RDMs of {roi!r}"
        if data.ids is None:
            _check_count(what, data.n_cond, ids)
            joined[roi] = RDMs(data.dissimilarities, ids=ids, names=data.names, metric=data.metric)
            joined_by[roi] = BY_ORDER
        else:
            _check_same(what, data.ids, ids)
            joined[roi] = data if data.ids == tuple(ids) else data.select(ids)
            joined_by[roi] = BY_ID
    return joined, joined_by


def join_responses(
    responses: Responses | None, ids: Sequence[str]
) -> tuple[Responses | None, str | None]:
    """Return the responses to `ids`, in that order, and how they were joined."""
    if responses is None:
        return None, None
    if responses.ids is None:
        _check_count("responses", responses.n_stim, ids)
        named = Responses(
            responses.data, ids=tuple(ids), rois=responses.rois, geometry=responses.geometry
        )
        return named, BY_ORDER
    _check_same("responses", responses.ids, ids)
    return responses if responses.ids == tuple(ids) else responses.select(ids), BY_ID


def scorable(responses: Responses) -> NDArray[np.bool_]:
    """Return which voxels can be scored: those that are finite at every stimulus and vary."""
    data = responses.data
    usable: NDArray[np.bool_] = np.isfinite(data).all(axis=0) & (data != data[0]).any(axis=0)
    if not usable.any():
        raise ValueError(
            f"responses must hold a voxel that is finite and varies; none of {responses.n_vox} "
            "does. Check the mask."
        )
    return usable


def _check_count(what: str, n: int, ids: Sequence[str]) -> None:
    if n != len(ids):
        raise ValueError(
            f"{what} without ids must be of all stimuli, in their order; got {n} for "
            f"{len(ids)} stimuli. Give both the same stimuli, or give ids."
        )


def _check_same(what: str, found: Sequence[str], ids: Sequence[str]) -> None:
    absent = [name for name in ids if name not in set(found)]
    extra = [name for name in found if name not in set(ids)]
    if absent or extra:
        example = f"{absent[0]!r} has none" if absent else f"{extra[0]!r} is no stimulus"
        raise ValueError(
            f"{what} must be of the same stimuli by id; {len(absent)} stimuli are missing there "
            f"and {len(extra)} are on that side only ({example}). Select the same on both sides."
        )
