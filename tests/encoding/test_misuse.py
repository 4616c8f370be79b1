"""What cannot be done is said before any work: what must hold, what came, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline

from dnnbrain_cpp import encoding

RNG = np.random.default_rng(0)
N = 40
X = RNG.standard_normal((N, 12))
Y = RNG.standard_normal((N, 5))
RUNS = np.arange(N) % 4


def with_nan(values: Any) -> Any:
    out = values.astype(float)
    out[3, 2] = np.nan
    return out


def encode(x: Any = X, y: Any = Y, **options: Any) -> Any:
    return encoding.encode(x, y, **options)


def univariate(x: Any = X, y: Any = Y, **options: Any) -> Any:
    return encoding.univariate(x, y, **options)


def stack(x: Any = X, y: Any = Y, **options: Any) -> Any:
    return encoding.stack({"a": x, "b": x}, y, **options)


def partition(x: Any = X, y: Any = Y, **options: Any) -> Any:
    return encoding.variance_partition({"a": x, "b": x}, y, **options)


def decode(x: Any = X, y: Any = Y, **options: Any) -> Any:
    return encoding.decode(x, y, **options)


def probe(x: Any = X, y: Any = RUNS, **options: Any) -> Any:
    return encoding.probe(x, y, **options)


CROSS_VALIDATED = [encode, univariate, stack, partition, decode, probe]
FOLDS: list[tuple[dict[str, Any], str]] = [
    ({"cv": 41}, "cv must be from 2 to .*; got 41"),
    ({"cv": 1}, "cv must be from 2 to .*; got 1"),
    ({"cv": 0.5}, "cv must be a number of folds, 'run', 'loo', a splitter .*; got 0.5"),
    ({"cv": "kfold"}, "cv must be one of 'run', 'loo'; got 'kfold'"),
    ({"cv": "run"}, "groups must say the run of each stimulus"),
    ({"cv": "run", "groups": np.zeros(N)}, "groups must be 2 at least"),
    ({"cv": 5, "groups": RUNS}, "cv must be from 2 to the number of groups, 4; got 5"),
    ({"cv": "run", "groups": np.where(RUNS == 0, np.nan, RUNS)}, "groups must be finite"),
    ({"cv": "run", "groups": RUNS[1:]}, r"groups must have shape \(40,\); got \(39,\)"),
    ({"cv": [(np.arange(20), np.arange(0))]}, "hold out at least .*; fold 0 has 20 and 0"),
    ({"cv": [(np.arange(30), np.arange(20, 40))]}, "row 20 in both parts"),
]
DATA: list[tuple[dict[str, Any], str]] = [
    ({"x": with_nan(X)}, "finite; 1 of 480 values are not, the first at"),
    ({"x": X[:-1]}, "must be of the same stimuli; layer .* has 39, the responses 40"),
    ({"x": X.astype(str)}, "must hold real numbers"),
    ({"x": X[:, 0]}, "must be 2-D"),
    ({"x": X * 1j}, "must hold real numbers; got dtype complex128"),
]


@pytest.mark.parametrize("options", FOLDS, ids=lambda pair: pair[1][:24])
@pytest.mark.parametrize("function", CROSS_VALIDATED)
def test_folds(function: Callable[..., Any], options: tuple[dict[str, Any], str]) -> None:
    given, message = options
    with pytest.raises((ValueError, TypeError), match=message):
        function(**given)


@pytest.mark.parametrize("options", DATA, ids=lambda pair: pair[1][:24])
@pytest.mark.parametrize("function", [encode, univariate, stack, partition, decode])
def test_data(function: Callable[..., Any], options: tuple[dict[str, Any], str]) -> None:
    given, message = options
    with pytest.raises((ValueError, TypeError), match=message):
        function(**given)


@pytest.mark.parametrize("function", [encode, univariate, stack, partition])
def test_responses(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="must be finite; 1 of 200 values are not"):
        function(y=with_nan(Y))
    with pytest.raises(ValueError, match="must hold at least one target"):
        function(y=Y[:, :0])


@pytest.mark.parametrize("function", [encode, stack, decode])
@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Ridge, "an instance with fit and predict; got <class"),
        ("ridge", "an instance with fit and predict; got 'ridge'"),
        (LogisticRegression(), "must be a regressor, which predicts numbers; got Logistic"),
        (make_pipeline(PCA(13), LinearRegression()), "keep from 1 to 12 components"),
        (Ridge(-1.0), "alphas must be finite and not negative.*; got -1.0"),
        (Ridge(np.nan), "alphas must be finite"),
        (Ridge("1"), "alphas must be finite and not negative.*; got '1'"),
        (RidgeCV([0.0, 1.0]), "alphas must be finite and positive"),
        (RidgeCV([-1.0, 1.0], cv=3), "alphas must be finite and not negative"),
        (RidgeCV([1.0, 2.0], cv=36), r"the cv of RidgeCV.* in fold 0, cv must be from 2"),
    ],
)
def test_estimators(function: Callable[..., Any], estimator: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        function(estimator=estimator)


@pytest.mark.parametrize("function", [encode, univariate, stack, decode, probe])
@pytest.mark.parametrize("scoring", ["rho", ["r"], np.mean])
def test_scoring(function: Callable[..., Any], scoring: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="scoring must be one of '"):
        function(scoring=scoring)


@pytest.mark.parametrize("function", [stack, partition])
def test_inner_folds(function: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"inner_cv must divide .* in fold 0, cv must be .* 32"):
        function(inner_cv=100)
    with pytest.raises(ValueError, match=r"inner_cv must divide .* number of groups, 3; got 5"):
        function(cv=4, groups=RUNS)


def test_the_rest() -> None:
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: partition(alphas=[0.0, 1.0]), "alphas must be finite and positive"),
        (lambda: partition(alphas="auto"), "alphas must be finite and positive.*; got 'auto'"),
        (lambda: probe(y=np.zeros(N, dtype=int)), "two classes at least; all are 0"),
        (lambda: probe(estimator=Ridge()), "must be a classifier, which predicts classes"),
        (lambda: probe(cv=11), "smallest class, 10 of 0; got 11"),
        (lambda: encoding.bootstrap_ci(Y, Y, level=95), "level must be between 0 and 1; got 95"),
    ]
    for call, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
