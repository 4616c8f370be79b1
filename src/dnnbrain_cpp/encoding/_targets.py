"""The responses of an encoding model, whatever they come as, joined with the features by id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_float_array, check_finite, check_ids
from dnnbrain_cpp.encoding._warnings import warn_caller
from dnnbrain_cpp.exceptions import AlignmentWarning
from dnnbrain_cpp.io import Responses, VolumeGeometry, read_responses

__all__ = ["Targets", "TargetsLike", "read_targets"]

TargetsLike = Responses | pd.DataFrame | ArrayLike | str | os.PathLike[str]
"""What responses may come as."""


@dataclass(frozen=True)
class Targets:
    """Checked responses and what is known of their columns.

    Parameters
    ----------
    data : ndarray of shape (n_stim, n_vox)
    ids : tuple of str, optional
        The stimulus of each row.
    by_order : bool
        Rows are those of the features, as an array's are, without a word about it.
    names : tuple, optional
        Of the columns.
    rois : tuple of str, optional
        Region of each column.
    geometry : VolumeGeometry, optional
        Place of each column.
    """

    data: NDArray[Any]
    ids: tuple[str, ...] | None = None
    by_order: bool = True
    names: tuple[object, ...] | None = None
    rois: tuple[str, ...] | None = None
    geometry: VolumeGeometry | None = None

    def joined(self, feature_ids: Sequence[str] | None) -> Targets:
        """Return the rows in the order of the features.

        Raises
        ------
        ValueError
            If stimuli are on one side only.

        Warns
        -----
        AlignmentWarning
            If one side has no ids.
        """
        if self.by_order:
            return self
        if feature_ids is None or self.ids is None:
            if feature_ids is not None or self.ids is not None:
                side = "the responses" if self.ids is None else "the features"
                warn_caller(
                    f"{side} have no ids, so stimuli were joined by their order. "
                    "Give ids to be sure.",
                    AlignmentWarning,
                )
            return self
        only = sorted(set(feature_ids) ^ set(self.ids))
        if only:
            raise ValueError(
                f"features and responses must be of the same stimuli; {len(only)} ids are on one "
                f"side only, such as {only[0]!r}."
            )
        place = {name: row for row, name in enumerate(self.ids)}
        rows = [place[name] for name in feature_ids]
        return replace(self, data=self.data[rows], ids=tuple(feature_ids))


def read_targets(
    responses: TargetsLike, mask: str | os.PathLike[str] | None = None, *, name: str = "responses"
) -> Targets:
    """Check responses of any kind.

    Parameters
    ----------
    responses : Responses, path, DataFrame or array_like of shape (n_stim, n_vox)
    mask : path_like, optional
        For a path: which voxels are looked at.
    name : str
        What the user knows them as; used in messages.

    Raises
    ------
    ValueError
        For NaN, a wrong rank, or a mask without a path.
    """
    if isinstance(responses, str | os.PathLike):
        responses = read_responses(responses, mask=mask)
    elif mask is not None:
        raise ValueError(
            f"mask is for {name} that are read from a path; got {type(responses).__name__}."
        )
    if isinstance(responses, Responses):
        return Targets(
            _checked(responses.data, name),
            ids=responses.ids,
            by_order=False,
            rois=responses.rois,
            geometry=responses.geometry,
        )
    if isinstance(responses, pd.Series):
        responses = responses.to_frame()
    if isinstance(responses, pd.DataFrame):
        # Rows that pandas has numbered itself are in order, not named.
        named = not isinstance(responses.index, pd.RangeIndex)
        return Targets(
            _checked(responses.to_numpy(), name),
            ids=check_ids(list(responses.index), f"the index of {name}") if named else None,
            by_order=not named,
            names=tuple(responses.columns),
        )
    return Targets(_checked(responses, name))


def _checked(values: ArrayLike, name: str) -> NDArray[Any]:
    array = as_float_array(values, name, ndim=2)
    if array.shape[1] == 0:
        raise ValueError(f"{name} must hold at least one target; got none.")
    check_finite(array, name)
    return array
