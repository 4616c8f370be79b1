"""Models of an RDM: fixed, or with something to be fitted to data."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._native import core
from dnnbrain_cpp._validate import as_array, check_finite
from dnnbrain_cpp.rsa._coerce import RDMsLike, as_rdms, join
from dnnbrain_cpp.rsa._pair_weights import (
    check_criterion,
    pair_weights,
    pooled,
    products_over_pairs,
)
from dnnbrain_cpp.rsa._rdms import RDM

__all__ = ["FixedModel", "InterpolationModel", "Model", "SelectionModel", "WeightedModel"]

Weights = NDArray[np.float64]


class Model(ABC):
    """What predicts an RDM as a weighted sum of RDMs.

    Parameters
    ----------
    rdms : RDMs, RDM or array_like
        What predictions are made of.
    method : {"corr", "cosine"}
        What fitting maximises, as a mean over subjects. The prediction may be compared by any
        method.
    name : str, optional
        By default the RDM's, or the kind of the model.

    Attributes
    ----------
    rdms : RDMs
    method, name : str
    """

    _kind = "model"

    def __init__(self, rdms: RDMsLike, *, method: str = "corr", name: str | None = None) -> None:
        self.rdms = as_rdms(rdms, "rdms")
        self.method = check_criterion(method)
        self.name = name if name is not None else self._default_name()

    def _default_name(self) -> str:
        return self._kind if len(self.rdms) > 1 else self.rdms.names[0]

    @property
    def n_weight(self) -> int:
        """Number of RDMs that are weighted."""
        return len(self.rdms)

    def fit(self, data: RDMsLike, conditions: ArrayLike | None = None) -> Weights:
        """Return the weights that fit subjects' RDMs best.

        Parameters
        ----------
        data : RDMs, RDM or array_like
            One per subject; joined with the model's conditions by id.
        conditions : array_like of int, optional
            Places of the conditions to fit to, by default all: only pairs of these count. One that
            comes twice counts twice, as in a bootstrap sample, and never with itself.

        Returns
        -------
        ndarray of shape (n_weight,)

        Raises
        ------
        ValueError
            For fewer than 3 different conditions, or a subject's RDM that is constant over them.
        """
        _, joined = join(self.rdms, as_rdms(data, "data"))
        weights = pair_weights(self.rdms.n_cond, conditions)
        target = pooled(joined, weights, self.method)
        gram, products = products_over_pairs(
            self.rdms.dissimilarities, target, weights, self.method
        )
        return self._solve(gram, products)

    def solve_all(self, grams: Weights, products: Weights) -> Weights:
        """Return the weights of many fits, (n_fit, n_weight), from inner products.

        Parameters
        ----------
        grams : ndarray of shape (n_fit, n_weight, n_weight)
            Of the model's RDMs, about their means where ``method`` is ``"corr"``.
        products : ndarray of shape (n_fit, n_weight)
            With the mean over subjects of RDMs of unit length.
        """
        solved = [self._solve(gram, product) for gram, product in zip(grams, products, strict=True)]
        return np.array(solved).reshape(products.shape)

    @abstractmethod
    def _solve(self, gram: Weights, products: Weights) -> Weights:
        """Return the weights from inner products of RDMs with each other and with the data."""

    def predict(self, weights: ArrayLike) -> RDM:
        """Return the RDM that the model predicts for `weights`, of shape (n_weight,)."""
        array = as_array(weights, "weights", dtype=np.float64, ndim=1)
        check_finite(array, "weights")
        if len(array) != self.n_weight:
            raise ValueError(f"weights must be {self.n_weight}; got {len(array)}.")
        return RDM(
            array @ self.rdms.dissimilarities,
            ids=self.rdms.ids,
            name=self.name,
            metric=self.rdms.metric,
        )

    def __repr__(self) -> str:
        parts = ", ".join(self.rdms.names[:4]) + (", ..." if len(self.rdms) > 4 else "")
        return f"{type(self).__name__}({self.name!r}: {parts})"


class FixedModel(Model):
    """One RDM, with nothing to fit.

    Parameters
    ----------
    rdm : RDM, RDMs of one, or array_like
    name : str, optional
    """

    def __init__(self, rdm: RDMsLike, *, name: str | None = None) -> None:
        super().__init__(rdm, name=name)
        if len(self.rdms) != 1:
            raise ValueError(f"a FixedModel must be of one RDM; got {len(self.rdms)}.")

    def fit(self, data: RDMsLike, conditions: ArrayLike | None = None) -> Weights:
        """Return the weight 1, whatever the data."""
        return np.ones(1)

    def _solve(self, gram: Weights, products: Weights) -> Weights:
        return np.ones(1)


class SelectionModel(Model):
    """The one of several RDMs that is most like the data it is fitted to.

    Such as the best layer of a network: chosen on other conditions or subjects than those it is
    then compared with, or it is no fair competitor of a `FixedModel`.

    Notes
    -----
    The mean over subjects of Pearson's r (or of the cosine), from inner products: 2 L m FLOP. Of
    equals, the first. An RDM that is constant over the conditions is never chosen while another
    varies.
    """

    _kind = "selection"

    def _solve(self, gram: Weights, products: Weights) -> Weights:
        square = np.diagonal(gram)
        length = np.sqrt(np.where(square > 0, square, 1.0))
        scores = np.where(square > 0, products / length, -np.inf)
        weights = np.zeros(len(scores))
        weights[scores.argmax()] = 1.0
        return weights


class WeightedModel(Model):
    """A sum of RDMs with weights that are not negative.

    Squared Euclidean distances add up over features, so that weights of *squared* distances
    (``metric="sqeuclidean"``, or correlation distances) are those of the features, stretched; a sum
    of roots is the RDM of nothing.

    Parameters
    ----------
    rdms : RDMs, RDM or array_like
    method : {"corr", "cosine"}
        ``"corr"`` fits with a constant that is free, ``"cosine"`` without one.
    nonnegative : bool
        False for weights of any sign.
    name : str, optional

    Notes
    -----
    The weights with the highest mean correlation (cosine) with subjects are, up to a factor, those
    of least squares to the mean of the subjects' z-scored RDMs (RDMs of unit length); the factor is
    that of least squares. Lawson and Hanson's active sets on the (L, L) inner products, with a
    relative tolerance: 2 L^2 m FLOP for these, microseconds for the rest, for any scale of the
    RDMs. Where no RDM goes with the data, all weights are zero.

    References
    ----------
    Khaligh-Razavi and Kriegeskorte, PLoS Comput. Biol. 10, e1003915 (2014). Lawson and Hanson,
    Solving Least Squares Problems (1974).
    """

    _kind = "weighted"

    def __init__(
        self,
        rdms: RDMsLike,
        *,
        method: str = "corr",
        nonnegative: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(rdms, method=method, name=name)
        self.nonnegative = nonnegative

    def solve_all(self, grams: Weights, products: Weights) -> Weights:
        """Return the weights of many fits, as `Model.solve_all`; side by side where >= 0."""
        if not self.nonnegative:
            return super().solve_all(grams, products)
        flat = np.ascontiguousarray(grams.reshape(len(grams), -1))
        found: Weights = core.nnls(flat, np.ascontiguousarray(products), 1, None)
        return found

    def _solve(self, gram: Weights, products: Weights) -> Weights:
        if self.nonnegative:
            found: Weights = core.nnls(gram.reshape(1, -1), products[None], 1, None)[0]
            return found
        # At unit diagonal, so that RDMs of unlike scales do not count as dependent.
        length = np.sqrt(np.diagonal(gram))
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        scaled = gram * inverse * inverse[:, None]
        return np.asarray(np.linalg.lstsq(scaled, products * inverse, rcond=1e-13)[0] * inverse)


class InterpolationModel(Model):
    """A point on the path that joins RDMs one after another.

    Such as RDMs of one model at increasing values of a parameter. Weights are ``1 - t`` and ``t``
    for two neighbours, zero for the others.

    Notes
    -----
    Exact: on a segment the correlation (cosine) has one stationary point, in closed form from
    inner products; the best over segments and their ends is taken.
    """

    _kind = "interpolation"

    def __init__(self, rdms: RDMsLike, *, method: str = "corr", name: str | None = None) -> None:
        super().__init__(rdms, method=method, name=name)
        if len(self.rdms) < 2:
            raise ValueError("an InterpolationModel must be of at least 2 RDMs; got 1.")

    def _solve(self, gram: Weights, products: Weights) -> Weights:
        best, best_score = np.zeros(len(products)), -np.inf
        for place in range(len(products) - 1):
            pair = slice(place, place + 2)
            for t in (0.0, 1.0, _turning_point(gram[pair, pair], products[pair])):
                weights = np.zeros(len(products))
                weights[pair] = 1.0 - t, t
                square = weights @ gram @ weights
                score = float(weights @ products / np.sqrt(square)) if square > 0 else -np.inf
                if score > best_score:
                    best, best_score = weights, score
        if best_score == -np.inf:
            best[0] = 1.0
        return best


def _turning_point(gram: Weights, products: Weights) -> float:
    """Return where between 0 and 1 the cosine of (1 - t) x_0 + t x_1 with the data may be highest.

    With d = x_1 - x_0, the derivative of ``(a + b t) / sqrt(c + 2 e t + f t^2)`` is zero at
    ``t = (b c - a e) / (a f - b e)``.
    """
    a, b = products[0], products[1] - products[0]
    c, e = gram[0, 0], gram[0, 1] - gram[0, 0]
    f = gram[1, 1] - 2 * gram[0, 1] + gram[0, 0]
    below = a * f - b * e
    t = float((b * c - a * e) / below) if below != 0 else 0.0
    return min(max(t, 0.0), 1.0)
