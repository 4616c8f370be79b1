"""RDMs from whatever holds them, and two sets of them over the same conditions."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from dnnbrain_cpp._validate import as_array
from dnnbrain_cpp.exceptions import AlignmentWarning
from dnnbrain_cpp.rsa._rdms import RDM, RDMs

__all__ = ["RDMsLike", "as_rdms", "join"]

RDMsLike = RDM | RDMs | ArrayLike
"""RDMs, or arrays of shape (n, n), (n_rdm, n, n), (n_pair,) or (n_rdm, n_pair)."""


def as_rdms(value: RDMsLike, name: str) -> RDMs:
    """Return `value` as RDMs.

    Parameters
    ----------
    value : RDMs, RDM, sequence of RDM, or array_like
        Arrays: matrices of shape (n_cond, n_cond) or (n_rdm, n_cond, n_cond), which must be
        symmetric with zero diagonal; condensed, (n_pair,) or (n_rdm, n_pair). A 2-D array with as
        many rows as columns is a matrix.
    name : str
        What the caller's user knows it as; used in messages.

    Returns
    -------
    RDMs
        The very object, if it is one.

    Raises
    ------
    TypeError
        If `value` does not hold real numbers.
    ValueError
        If it does not have the shape of RDMs, is not finite, not symmetric, or its diagonal is not
        zero.
    """
    if isinstance(value, RDMs):
        return value
    if isinstance(value, RDM):
        return RDMs([value])
    try:
        if isinstance(value, list | tuple) and any(isinstance(part, RDM) for part in value):
            return RDMs(value)
        array = as_array(value, "it", dtype=np.float64, ndim=(1, 2, 3))
        if array.ndim == 3 or (array.ndim == 2 and array.shape[0] == array.shape[1]):
            return RDMs.from_square(array)
        return RDMs(array)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{name} must be RDMs, made with rsa.rdm, rsa.load_rdms or rsa.RDMs, or an array of "
            f"them, square or condensed: {error}"
        ) from error


def join(models: RDMs, data: RDMs, *, stacklevel: int = 3) -> tuple[RDMs, RDMs]:
    """Return both with the same conditions in the same order, that of the models.

    They are joined by id when both have ids, by order otherwise, with an `AlignmentWarning` if one
    side has ids, told of the caller `stacklevel` calls up.

    Raises
    ------
    ValueError
        If the conditions are not the same.
    """
    if models.n_cond != data.n_cond:
        raise ValueError(
            f"models and data must have the same conditions; got {models.n_cond} and {data.n_cond}."
        )
    if models.ids is None or data.ids is None:
        if models.ids is not None or data.ids is not None:
            side = "the data" if data.ids is None else "the models"
            warnings.warn(
                f"{side} have no ids, so conditions were joined by their order. Give ids= to be "
                "sure.",
                AlignmentWarning,
                stacklevel=stacklevel,
            )
        return models, data
    if set(models.ids) != set(data.ids):
        only = sorted(set(models.ids) ^ set(data.ids))
        raise ValueError(
            f"models and data must have the same condition ids; {len(only)} are on one side only, "
            f"such as {only[0]!r}."
        )
    return models, data if models.ids == data.ids else data.select(models.ids)
