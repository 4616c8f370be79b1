"""Weights of many targets, formed when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

__all__ = ["Weights", "exact_product"]

_CHUNK = 1 << 22
"""Values that are converted at once: 32 MiB in float64."""


def exact_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return left @ right in float64, the right side converted some columns at a time."""
    out = left.new_empty((left.shape[0], right.shape[1]))
    step = max(1, _CHUNK // max(1, right.shape[0]))
    for first in range(0, right.shape[1], step):
        out[:, first : first + step] = left @ right[:, first : first + step].double()
    return out


@dataclass
class _Rows:
    """Weights as sums of rows: (X - w o')' D / s^2, with w the square roots of weights."""

    X: torch.Tensor  # (n, p)
    dual: torch.Tensor  # D (n, t)
    ones: torch.Tensor  # w (n,) float64
    scale: torch.Tensor | None  # s (p,) float64

    def chunks(self) -> list[slice]:
        n, p = self.X.shape
        step = max(1, _CHUNK // n)
        return [slice(first, min(p, first + step)) for first in range(0, p, step)]

    def centred(
        self, columns: slice, origin: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        chunk = self.X[:, columns].to(dtype)
        if origin is None:
            return chunk
        return chunk - torch.outer(self.ones.to(dtype), origin[columns].to(dtype))


class Weights:
    """A linear map from features, about an origin, to targets.

    Attributes
    ----------
    origin : Tensor of shape (p,) or None
        Near the mean of the features: a large common offset then cancels no digits.
    """

    def __init__(
        self, origin: torch.Tensor | None, formed: torch.Tensor | None, rows: _Rows | None
    ) -> None:
        self.origin = origin
        self._formed = formed
        self._rows = rows

    @classmethod
    def of(cls, formed: torch.Tensor, origin: torch.Tensor | None) -> Self:
        """Return weights that are there, shape (p, t)."""
        return cls(origin, formed, None)

    @classmethod
    def of_rows(
        cls,
        X: torch.Tensor,
        dual: torch.Tensor,
        ones: torch.Tensor,
        origin: torch.Tensor | None,
        scale: torch.Tensor | None,
    ) -> Self:
        """Return weights as sums of the rows of X (n, p) with dual coefficients (n, t)."""
        return cls(origin, None, _Rows(X, dual, ones, scale))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self._any.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._any.device

    @property
    def _any(self) -> torch.Tensor:
        if self._formed is not None:
            return self._formed
        assert self._rows is not None
        return self._rows.dual

    def formed(self) -> torch.Tensor:
        """Return the weights, shape (p, t); the rows are let go."""
        if self._formed is None:
            rows = self._rows
            assert rows is not None
            out = rows.dual.new_empty((rows.X.shape[1], rows.dual.shape[1]))
            for columns in rows.chunks():
                part = rows.centred(columns, self.origin, self.dtype).T @ rows.dual
                if rows.scale is not None:
                    part /= rows.scale[columns, None].square()
                out[columns] = part
            self._formed, self._rows = out, None
        return self._formed

    def apply(self, data: torch.Tensor) -> torch.Tensor:
        """Return (data - origin) times the weights, by way of whichever is cheaper.

        Parameters
        ----------
        data : Tensor of shape (m, p)
            On any device; of the precision that the result is to have.
        """
        data = data.to(self.device)
        if self.origin is not None:
            data = data - self.origin.to(data.dtype)
        return self.apply_centred(data)

    def apply_centred(self, data: torch.Tensor) -> torch.Tensor:
        """Return data times the weights, shape (m, t)."""
        rows = self._rows
        if rows is not None:
            (n, p), t, m = rows.X.shape, rows.dual.shape[1], data.shape[0]
            if m * n * (p + t) > p * t * (n + m):
                self.formed()
        if self._formed is not None:
            return _product(data, self._formed)
        assert rows is not None
        kernel = data.new_zeros((data.shape[0], rows.X.shape[0]))
        for columns in rows.chunks():
            left = data[:, columns]
            if rows.scale is not None:
                left = left / rows.scale[columns].square().to(left.dtype)
            kernel += left @ rows.centred(columns, self.origin, data.dtype).T
        return _product(kernel, rows.dual)


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.dtype == right.dtype:
        return left @ right
    return exact_product(left.double(), right).to(left.dtype)
