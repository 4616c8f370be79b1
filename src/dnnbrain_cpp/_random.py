"""One 64-bit seed from whatever scikit-learn and NumPy users hand in."""

from __future__ import annotations

import numpy as np

__all__ = ["RandomState", "as_seed"]

RandomState = int | np.integer | np.random.Generator | np.random.RandomState | None


def as_seed(random_state: RandomState) -> int:
    """Return the seed that `random_state` stands for.

    Parameters
    ----------
    random_state : int, Generator, RandomState or None
        An int is the seed itself; a generator is asked for one; None takes fresh entropy.

    Returns
    -------
    int
        In ``[0, 2**63)``; results keep it, so that any run can be repeated.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**63))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**63 - 1, dtype=np.int64))
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer):
        raise TypeError(
            "random_state must be an int, a numpy Generator, a RandomState or None; "
            f"got {random_state!r}."
        )
    if not 0 <= random_state < 2**63:
        raise ValueError(f"random_state must be in [0, 2**63); got {random_state}.")
    return int(random_state)
