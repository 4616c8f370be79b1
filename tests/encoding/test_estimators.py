"""Any other regressor runs through scikit-learn as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import (
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    MultiTaskLasso,
    Ridge,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVR

from dnnbrain_cpp.encoding import encode
from dnnbrain_cpp.exceptions import Cancelled, ConstantTargetWarning
from dnnbrain_cpp.features import Gram
from oracle.encoding import refit
from tolerances import TOLERANCES


@pytest.fixture(autouse=True)
def _scikit_learn_may_draw() -> Iterator[None]:
    """Put NumPy's global state back: estimators without a seed, such as SVR, draw from it."""
    state = np.random.get_state()  # noqa: NPY002 - the legacy state is the one they use
    yield
    np.random.set_state(state)  # noqa: NPY002


@pytest.fixture
def data() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((45, 8))
    return x, x @ rng.standard_normal((8, 3)) + rng.standard_normal((45, 3)) + 4


SEVERAL = {
    "Ridge": Ridge(2.0, solver="lsqr", tol=1e-14),
    "Lasso": Lasso(0.1),
    "RidgeCV": RidgeCV([0.1, 1, 10], scoring="r2"),
    "KNeighborsRegressor": KNeighborsRegressor(3),
    "RandomForestRegressor": RandomForestRegressor(3, random_state=0),
    "MinMaxScaler + Ridge": make_pipeline(MinMaxScaler(), Ridge()),
    "PCA + StandardScaler + LinearRegression": make_pipeline(
        PCA(3), StandardScaler(), LinearRegression()
    ),
    "GridSearchCV": GridSearchCV(Lasso(), {"alpha": [0.01, 100]}),
    "MultiTaskLasso": MultiTaskLasso(0.1),
}
ONE = {
    "SVR": SVR(C=2.0),
    "LassoCV": LassoCV(alphas=[0.01, 0.1], cv=3),
    "StandardScaler + SVR": make_pipeline(StandardScaler(), SVR()),
    "GridSearchCV": GridSearchCV(SVR(), {"C": [0.1, 10]}),
}


@pytest.mark.parametrize("scoring", ["r", "r2"])
@pytest.mark.parametrize("name", SEVERAL)
def test_estimators_of_several_targets(name: str, scoring: str, data: Any) -> None:
    x, y = data
    splits = list(KFold(4, shuffle=True, random_state=1).split(x))
    scores = encode(x, y, estimator=SEVERAL[name], cv=splits, scoring=scoring)
    assert scores.route["features"].startswith(f"scikit-learn: {name} as it is; ")
    assert scores.fallbacks["features"] in scores.route["features"]
    expected = refit(SEVERAL[name], x, y, splits, scoring)
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )


@pytest.mark.parametrize("name", ONE)
def test_estimators_of_one_target_are_fitted_to_each(name: str, data: Any) -> None:
    x, y = data
    splits = list(KFold(4).split(x))
    scores = encode(x, y, estimator=ONE[name], cv=4)
    assert scores.route["features"].startswith(
        f"scikit-learn: {name} as it is, one model per target; no native route"
    )
    expected = refit(ONE[name], x, y, splits, one_by_one=True)
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )


@pytest.mark.parametrize("name", [*SEVERAL, "SVR", "LassoCV"])
def test_one_voxel(name: str, data: Any) -> None:
    """No estimator complains about a column where it wants a vector, or the reverse."""
    x, y = data
    estimator = {**ONE, **SEVERAL}[name]
    scores = encode(x, y[:, :1], estimator=estimator, cv=4)
    expected = refit(estimator, x, y[:, :1], KFold(4).split(x), one_by_one=name != "MultiTaskLasso")
    np.testing.assert_allclose(
        scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
    )


def test_equal_to_cross_val_predict(data: Any) -> None:
    x, y = data
    splits = list(KFold(5).split(x))
    predicted = cross_val_predict(Ridge(), x, y, cv=splits)
    scores = encode(x, y, estimator=Ridge()).scores["features"]
    for fold, (_, test) in enumerate(splits):
        expected = [np.corrcoef(y[test, v], predicted[test, v])[0, 1] for v in range(3)]
        np.testing.assert_allclose(scores[fold], expected, rtol=0, atol=TOLERANCES["fp64_score"])


def test_the_estimator_is_left_as_it_was(data: Any) -> None:
    x, y = data
    estimator = Ridge()
    encode(x, y, estimator=estimator)
    assert not hasattr(estimator, "coef_")


def test_a_regressor_that_is_not_of_scikit_learn(data: Any) -> None:
    class Mine:
        def fit(self, x: Any, y: Any) -> Mine:
            self.weights = np.linalg.lstsq(x, y, rcond=None)[0]
            return self

        def predict(self, x: Any) -> Any:
            return x @ self.weights

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            return {}

    x, y = data
    scores = encode(x, y, estimator=Mine())
    np.testing.assert_allclose(
        scores.scores["features"],
        refit(Mine(), x, y, KFold(5).split(x)),
        rtol=0,
        atol=TOLERANCES["fp64_score"],
    )


def test_constant_predictions_score_zero(data: Any) -> None:
    x, y = data
    for estimator in (DummyRegressor(), Lasso(1e6)):
        assert not encode(x, y, estimator=estimator).scores["features"].any()
        assert (encode(x, y, estimator=estimator, scoring="r2").scores["features"] <= 0).all()


def test_constant_targets(data: Any) -> None:
    x, y = data
    y[:9, 1] = 0.1
    with pytest.warns(ConstantTargetWarning, match="1 of 3 targets"):
        scores = encode(x, y, estimator=Ridge()).scores["features"]
    assert np.isnan(scores[0, 1])
    assert np.isfinite(np.delete(scores.ravel(), 1)).all()


def test_gram_matrices_are_not_enough(data: Any) -> None:
    x, y = data
    gram = Gram.from_features(x)
    for estimator in (Lasso(), make_pipeline(StandardScaler(), Ridge())):
        with pytest.raises(TypeError, match=r"needs the features themselves; layer 'fc'.*'keep'"):
            encode({"a": x, "fc": gram}, y, estimator=estimator)


@pytest.mark.parametrize("wrong", ["ridge", Ridge, 3.0, StandardScaler()])
def test_what_is_not_a_regressor(wrong: Any, data: Any) -> None:
    with pytest.raises(TypeError, match=r"must be a scikit-learn regressor.*got"):
        encode(*data, estimator=wrong)


def test_a_classifier_is_refused(data: Any) -> None:
    with pytest.raises(TypeError, match="must be a regressor, which predicts numbers"):
        encode(*data, estimator=LogisticRegression())


def test_progress_and_cancellation(data: Any) -> None:
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        seen.append((done, total))

    encode(*data, estimator=Lasso(), cv=3, progress=watch)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        encode(*data, estimator=Lasso(), progress=lambda done, total: False)
