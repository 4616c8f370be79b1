"""Which RDMs a comparator is defined for."""

from __future__ import annotations

import numpy as np

from dnnbrain_cpp.rsa._rdms import RDMs
from dnnbrain_cpp.rsa._whitening import unshared_part

__all__ = ["check_comparable"]

_NORM_ALONE = ("cosine", "cosine_cov", "cka")
_SPREAD = ("corr", "corr_cov", "spearman", "tau-b")
_NOTHING = 1e-12


def check_comparable(rdms: RDMs, name: str, method: str) -> None:
    """Raise unless `rdms` are RDMs for each of which `method` has a value."""
    values = rdms.dissimilarities
    if method in _NORM_ALONE:
        flat, what = ~values.any(1), "all zero"
    elif method in _SPREAD:
        flat, what = values.min(1) == values.max(1), "all equal"
    elif method == "cka-unbiased":
        if rdms.n_cond < 4:
            raise ValueError(f"{method} needs at least 4 conditions; {name} have {rdms.n_cond}.")
        size = np.abs(values).max(1)
        flat = np.abs(unshared_part(rdms)).max(1) <= _NOTHING * size
        what = "sums of one number for each condition"
    else:
        return  # tau-a and rho-a of a constant RDM are zero
    if flat.any():
        culprit = rdms.names[int(flat.argmax())]
        raise ValueError(
            f"{method} needs RDMs whose dissimilarities are not {what}; those of {culprit!r} "
            f"in {name} are. Leave it out, or use method='tau-a'."
        )
