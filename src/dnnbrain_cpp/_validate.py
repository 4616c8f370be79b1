"""The array boundary: whatever is array-like in, exactly one dtype, layout and rank out.

Each function raises with the same grammar: what must hold, what came, and what to do. The compiled
core accepts only what these functions return.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "as_array",
    "as_float_array",
    "check_choice",
    "check_finite",
    "check_ids",
    "check_integer",
]


def _dims(ndim: int | Collection[int]) -> str:
    dims = [ndim] if isinstance(ndim, int) else sorted(ndim)
    return " or ".join(f"{d}-D" for d in dims)


def as_array(
    value: ArrayLike,
    name: str,
    *,
    dtype: DTypeLike,
    ndim: int | Collection[int] | None = None,
) -> NDArray[Any]:
    """Return `value` as a C-contiguous array of `dtype`, without a copy where none is needed.

    Parameters
    ----------
    value : array_like
        NumPy array (read-only and memory-mapped ones included), torch tensor, anything that speaks
        DLPack or ``__array__``, or nested sequences.
    name : str
        What the caller's user knows it as; used in messages.
    dtype : dtype_like
        The one dtype wanted.
    ndim : int or collection of int, optional
        Allowed ranks.

    Returns
    -------
    ndarray
        C-contiguous, of `dtype`.

    Raises
    ------
    TypeError
        For complex, object or string data.
    ValueError
        For a wrong rank or ragged data.
    """
    array = _to_numpy(value, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must hold real numbers; got dtype {array.dtype}. Convert it before the call."
        )
    if ndim is not None and array.ndim not in ([ndim] if isinstance(ndim, int) else ndim):
        raise ValueError(f"{name} must be {_dims(ndim)}; got shape {array.shape}.")
    return np.ascontiguousarray(array, dtype=dtype) if array.ndim else array.astype(dtype)


def as_float_array(
    value: ArrayLike, name: str, *, ndim: int | Collection[int] | None = None
) -> NDArray[Any]:
    """Like `as_array`, keeping float32 and float64 and turning every other dtype into float64."""
    array = _to_numpy(value, name)
    dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    return as_array(array, name, dtype=dtype, ndim=ndim)


def _to_numpy(value: Any, name: str) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if hasattr(value, "detach"):  # a torch tensor, also one that requires grad or lies on a device
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        return np.asarray(value.float() if str(value.dtype) == "torch.bfloat16" else value)
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a rectangular array; got sequences of unequal lengths."
        ) from error


def check_finite(array: NDArray[Any], name: str) -> None:
    """Raise if `array` holds NaN or infinity, naming the first place."""
    # The sum is finite unless an entry is not (or it overflows); one cheap pass decides most cases.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum(dtype=np.result_type(array, np.float32))):
            return
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    raise ValueError(
        f"{name} must be finite; {int(bad.sum())} of {array.size} values are not, "
        f"the first at {first}. Remove or impute them."
    )


def check_choice(value: object, name: str, choices: Sequence[str]) -> str:
    """Return `value` if it is one of `choices`; otherwise raise, listing them."""
    if isinstance(value, str) and value in choices:
        return value
    allowed = ", ".join(repr(choice) for choice in choices)
    kind = TypeError if not isinstance(value, str) else ValueError
    raise kind(f"{name} must be one of {allowed}; got {value!r}.")


def check_integer(value: object, name: str, *, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as an int in ``[minimum, maximum]``; otherwise raise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer; got {value!r}.")
    if value < minimum or (maximum is not None and value > maximum):
        bound = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be {bound}; got {value}.")
    return int(value)


def check_ids(ids: Sequence[object], name: str, *, n: int | None = None) -> tuple[str, ...]:
    """Return identifiers as a tuple of unique strings; `n` is the number that must come."""
    out = tuple(str(i) for i in ids)
    if n is not None and len(out) != n:
        raise ValueError(f"{name} must name {n} items; got {len(out)}.")
    if len(set(out)) != len(out):
        seen: set[str] = set()
        twice = next(i for i in out if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise ValueError(f"{name} must be unique; {twice!r} comes more than once. Rename one.")
    return out
