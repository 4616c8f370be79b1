"""Remixing: RDMs of what a read-out, trained on other images, says about the stimuli."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnnbrain_cpp._validate import as_float_array, check_choice, check_finite
from dnnbrain_cpp.features import Features, Gram
from dnnbrain_cpp.rsa._dissimilarity import rdm
from dnnbrain_cpp.rsa._rdms import RDMs

__all__ = ["decision_values", "remix"]

CLASSIFIERS = ("lda", "svm", "logistic")

Layers = Features | Mapping[str, ArrayLike] | ArrayLike


def decision_values(
    train_features: Layers,
    train_labels: ArrayLike,
    features: Layers,
    *,
    classifier: Any = "lda",
    n_components: int | float | None = None,
) -> Features:
    """Return how strongly a read-out, trained on other images, sees each category in the stimuli.

    Parameters
    ----------
    train_features : Features, mapping of str to array, or array_like of shape (n_train, n_feat)
        Layers for images with known categories, none of them among the stimuli.
    train_labels : array_like of shape (n_train,)
        Categories; ten images or more of each.
    features : as `train_features`
        The same layers for the stimuli, (n_stim, n_feat).
    classifier : {"lda", "svm", "logistic"} or estimator
        Linear discriminants with Ledoit and Wolf's shrinkage; a linear support vector machine or
        logistic regression of each category against the rest. Or any estimator of scikit-learn's
        kind with `decision_function`.
    n_components : int, float or None
        As in `linear.PCA`, fitted to the training images. None keeps all of them, which loses
        nothing: what a linear read-out with a rotation-invariant penalty learns lies in their span.

    Returns
    -------
    Features
        For each layer (n_stim, n_category), or (n_stim, 1) for two categories.

    Raises
    ------
    ValueError
        For fewer than two categories, unequal numbers of labels, layers, or units, or NaN.

    Notes
    -----
    Per layer one inner-product matrix of the training images, ``n_train**2 n_feat`` FLOP, then the
    classifier on at most ``n_train - 1`` components, scaled by one number to a mean variance of 1.
    """
    # Loading scikit-learn takes a second: only who reads out pays for it.
    from sklearn import base

    from dnnbrain_cpp import linear

    labels = np.asarray(train_labels)
    if labels.ndim != 1:
        raise ValueError(f"train_labels must be 1-D; got shape {labels.shape}.")
    n_category = len(np.unique(labels))
    if n_category < 2:
        raise ValueError(f"train_labels must name at least 2 categories; got {n_category}.")
    model = _classifier(classifier)
    training, stimuli = _layers(train_features, "train_features"), _layers(features, "features")
    if list(training) != list(stimuli):
        raise ValueError(
            "train_features and features must have the same layers; got "
            f"{', '.join(training)} and {', '.join(stimuli)}."
        )
    out = {}
    for name, train in training.items():
        new = stimuli[name]
        if len(train) != len(labels):
            raise ValueError(
                f"train_labels must be one for each of the {len(train)} rows of layer {name!r}; "
                f"got {len(labels)}."
            )
        if train.shape[1] != new.shape[1]:
            raise ValueError(
                f"layer {name!r} must have the same units in both; got {train.shape[1]} and "
                f"{new.shape[1]}."
            )
        reduction = linear.PCA(n_components, svd_solver="auto").fit(train)
        within, outside = reduction.transform(train), reduction.transform(new)
        scale = np.sqrt(np.mean(np.square(within, dtype=np.float64))) or 1.0
        fitted = base.clone(model).fit(within / scale, labels)
        values = np.asarray(fitted.decision_function(outside / scale), dtype=np.float64)
        out[name] = values.reshape(len(new), -1)
    ids = features.ids if isinstance(features, Features) else None
    return Features.from_arrays(out, ids=ids)


def remix(
    train_features: Layers,
    train_labels: ArrayLike,
    features: Layers,
    *,
    classifier: Any = "lda",
    n_components: int | float | None = None,
    metric: str = "correlation",
    ids: Sequence[str] | None = None,
) -> RDMs:
    """Return RDMs of layers whose units are remixed for categories, learnt from other images.

    The dissimilarities between the patterns of `decision_values`: what the layer holds about the
    categories, freed of how many units speak for it.

    Parameters
    ----------
    train_features, train_labels, features, classifier, n_components
        As in `decision_values`.
    metric : str
        As in `rdm`. Two categories have one decision value, which has no correlation: take
        ``"euclidean"``.
    ids : sequence of str, optional
        The stimuli's ids, for features that have none.

    Returns
    -------
    RDMs
        One per layer.

    Raises
    ------
    ValueError
        As `decision_values` and `rdm`.

    References
    ----------
    Khaligh-Razavi and Kriegeskorte, PLoS Comput. Biol. 10, e1003915 (2014).
    """
    values = decision_values(
        train_features,
        train_labels,
        features,
        classifier=classifier,
        n_components=n_components,
    )
    if metric == "correlation" and next(iter(_layers(values, "values").values())).shape[1] < 2:
        raise ValueError(
            "a correlation distance needs at least 3 categories, since two have one decision "
            "value. Use metric='euclidean'."
        )
    return rdm(values, metric=metric, ids=ids)


def _classifier(classifier: Any) -> Any:
    if isinstance(classifier, str):
        return _named(check_choice(classifier, "classifier", CLASSIFIERS))
    if not (hasattr(classifier, "decision_function") and hasattr(classifier, "fit")):
        raise TypeError(
            f"classifier must be one of {', '.join(CLASSIFIERS)} or an estimator with "
            f"decision_function; got {classifier!r}."
        )
    return classifier


def _named(classifier: str) -> Any:
    from sklearn.covariance import LedoitWolf
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    if classifier == "lda":
        # shrinkage="auto" would first scale each component to variance 1, the faintest ones too.
        return LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=LedoitWolf())
    if classifier == "svm":
        return OneVsRestClassifier(LinearSVC(dual=True, max_iter=20_000, random_state=0))
    return OneVsRestClassifier(LogisticRegression(max_iter=2_000))


def _layers(features: Layers, name: str) -> dict[str, NDArray[Any]]:
    layers: Mapping[str, Any]
    layers = features if isinstance(features, Mapping) else {"features": features}
    out = {}
    for layer, value in layers.items():
        if isinstance(value, Gram):
            raise TypeError(
                f"{name} must be units; layer {layer!r} is a Gram matrix. Extract it with "
                "reduce='keep'."
            )
        array = as_float_array(value, f"{name}, layer {layer!r}", ndim=2)
        check_finite(array, f"{name}, layer {layer!r}")
        out[layer] = array
    return out
