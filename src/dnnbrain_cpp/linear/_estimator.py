"""What all estimators share: arrays or tensors in, the same kind out.

NumPy input follows scikit-learn's rules to the letter. A tensor stays on its device from `fit` to
the result, and learnt attributes are tensors too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from dnnbrain_cpp._native import as_tensor

__all__ = ["TensorMixin", "TensorTransformer"]

_DTYPES = (torch.float32, torch.float64)


class TensorMixin:
    """For estimators of scikit-learn's kind whose work is done on tensors.

    Subclasses call `_fit_data` in ``fit``, `_new_data` in ``predict`` or ``transform``, and pass
    what they return or learn through `_back`.
    """

    def _fit_data(
        self, X: Any, y: Any = None, *, min_samples: int = 2
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return X of shape (n, p) and y of shape (n, t) as tensors of one dtype, X's.

        Remembers the kind of X, and whether y was 1-D. Raises ValueError as scikit-learn does: for
        NaN, empty or ragged data, unequal lengths.
        """
        self._is_tensor = isinstance(X, torch.Tensor)
        self._one_target = False
        if isinstance(X, torch.Tensor):
            data = _check_tensor(X, "X", min_samples=min_samples)
            self.n_features_in_ = data.shape[1]
            targets = None if y is None else self._check_targets(y, data)
            return data, targets
        if y is None:
            # With y=None rather than without: that is refused where targets are required.
            array = validate_data(
                self, X, None, dtype=[np.float64, np.float32], ensure_min_samples=min_samples
            )
            return as_tensor(array), None
        array, target_array = validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            multi_output=True,
            y_numeric=True,
            ensure_min_samples=min_samples,
        )
        self._one_target = target_array.ndim == 1
        target_array = np.asarray(target_array, dtype=array.dtype).reshape(len(array), -1)
        return as_tensor(array), as_tensor(target_array)

    def _fit_pair(
        self, X: Any, y: Any, *, min_samples: int = 2
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Like `_fit_data`, for estimators that cannot do without y."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        data, targets = self._fit_data(X, y, min_samples=min_samples)
        assert targets is not None
        return data, targets

    def _check_targets(self, y: Any, data: torch.Tensor) -> torch.Tensor:
        targets = torch.as_tensor(y, device=data.device, dtype=data.dtype).detach()
        self._one_target = targets.ndim == 1
        targets = targets.reshape(len(targets), -1) if targets.ndim == 1 else targets
        targets = _check_tensor(targets, "y", min_samples=1)
        if len(targets) != len(data):
            raise ValueError(
                f"X and y must have as many rows as each other; got {len(data)} and {len(targets)}."
            )
        return targets

    def _new_data(self, X: Any) -> torch.Tensor:
        """Return new rows of shape (n, p) as a tensor of the dtype they come in."""
        check_is_fitted(self)
        if isinstance(X, torch.Tensor):
            data = _check_tensor(X, "X", min_samples=1)
            if data.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X must have the {self.n_features_in_} features that the estimator was fitted "
                    f"on; got {data.shape[1]}."
                )
            return data
        array = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return as_tensor(array)

    def _back(self, result: torch.Tensor) -> Any:
        """Return a result as the kind of array that the estimator was fitted on."""
        return result if self._is_tensor else result.cpu().numpy()

    def _back_targets(self, result: torch.Tensor) -> Any:
        """Like `_back`, for shape (..., t): without the axis of targets where y was 1-D."""
        return self._back(result[..., 0] if self._one_target else result)


class TensorTransformer(
    TensorMixin,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Turns rows into ``n_components_`` columns, in the dtype that they come in."""

    n_components_: int

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_tensor(tensor: torch.Tensor, name: str, *, min_samples: int) -> torch.Tensor:
    data = tensor.detach()
    if data.dtype not in _DTYPES:
        data = data.to(torch.float64 if not data.is_floating_point() else torch.float32)
    if data.ndim != 2:
        raise ValueError(
            f"{name} must be 2-D; got shape {tuple(tensor.shape)}. Reshape your data to "
            "(n_samples, n_features)."
        )
    if len(data) < min_samples:
        raise ValueError(f"{name} must have at least {min_samples} rows; got {len(data)}.")
    if data.shape[1] < 1:
        raise ValueError(f"{name} must have at least one column; got none.")
    if not bool(data.isfinite().all()):
        raise ValueError(f"{name} must be finite; it holds NaN or infinity. Remove or impute them.")
    return data
