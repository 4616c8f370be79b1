"""How many threads a call may use."""

from __future__ import annotations

from dnnbrain_cpp._validate import check_integer

__all__ = ["resolve_n_threads"]


def resolve_n_threads(n_threads: int | None) -> int:
    """Return `n_threads`, or torch's own setting when it is None.

    Following ``torch.get_num_threads()`` keeps one dial for the whole process: what a user, a
    scheduler or joblib set for torch holds for our kernels too.
    """
    if n_threads is None:
        import torch

        return torch.get_num_threads()
    return check_integer(n_threads, "n_threads", minimum=1)
