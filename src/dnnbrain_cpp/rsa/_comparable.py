"""Which RDMs a comparator is defined for."""

from __future__ import annotations

from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["check_comparable"]


def check_comparable(rdms: RDMs, name: str, method: str) -> None:
    """Raise unless `rdms` are RDMs for each of which `method` has a value."""
    values = rdms.dissimilarities
    if method == "cosine":
        flat, what = ~values.any(1), "zero"
    elif method in ("corr", "spearman", "tau-b"):
        flat, what = values.min(1) == values.max(1), "equal"
    else:
        return  # tau-a and rho-a of a constant RDM are zero
    if flat.any():
        culprit = rdms.names[int(flat.argmax())]
        raise ValueError(
            f"{method} needs RDMs whose dissimilarities are not all {what}; those of {culprit!r} "
            f"in {name} are. Leave it out, or use method='tau-a'."
        )
