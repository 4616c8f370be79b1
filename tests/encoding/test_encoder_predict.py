"""Responses to stimuli that no model was fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Lasso, LinearRegression, Ridge, RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dnnbrain_cpp import linear
from dnnbrain_cpp.encoding import Decoder, Encoder, Probe
from dnnbrain_cpp.features import Gram
from tolerances import TOLERANCES

ALPHAS = [0.1, 10.0, 1000.0]
ESTIMATORS = [
    Ridge(2.0),
    RidgeCV(ALPHAS),
    make_pipeline(StandardScaler(), PCA(4, svd_solver="full"), LinearRegression()),
    linear.RidgeCV(ALPHAS, cv=3),
    linear.PLSRegression(2),
    linear.PCRegression([1, 2, 4]),
    KNeighborsRegressor(3),
    Lasso(0.1, random_state=0),
]


def simulate(n_stim: int = 50) -> Any:
    """Two layers of 12 and 70 units; targets 0 and 2 follow the first, 1 and 3 the second."""
    rng = np.random.default_rng(3)
    layers = {"a": rng.standard_normal((n_stim, 12)), "b": rng.standard_normal((n_stim, 70))}
    layers["b"][:, :3] *= 6
    y = np.empty((n_stim, 4))
    y[:, ::2] = layers["a"][:, :4] @ rng.standard_normal((4, 2))
    y[:, 1::2] = layers["b"][:, :3] @ rng.standard_normal((3, 2))
    return layers, y + 0.3 * rng.standard_normal(y.shape) + 10


def split(layers: Any, n_new: int = 9) -> Any:
    old = {name: layer[:-n_new] for name, layer in layers.items()}
    return old, {name: layer[-n_new:] for name, layer in layers.items()}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_as_refitted_on_all(estimator: Any) -> None:
    layers, y = simulate()
    old, new = split(layers)
    encoder = Encoder(estimator, cv=4).fit(old, y[:-9])
    expected = {
        name: clone(estimator).fit(old[name], y[:-9]).predict(new[name]).reshape(9, -1)
        for name in layers
    }
    for name in layers:
        found = encoder.predict({name: new[name]}, layer=name)
        np.testing.assert_allclose(found, expected[name], atol=TOLERANCES["fp64_factor"])
    best = encoder.scores_.best_layer()["layer"]
    assert set(best) == {"a", "b"}
    mixed = np.column_stack([expected[name][:, place] for place, name in enumerate(best)])
    np.testing.assert_allclose(encoder.predict(new), mixed, atol=TOLERANCES["fp64_factor"])
    assert np.corrcoef(mixed[:, 1], y[-9:, 1])[0, 1] > 0.5


def test_by_default_the_components_that_were_scored() -> None:
    layers, y = simulate()
    old, new = split(layers)
    encoder = Encoder(cv=4).fit(old["b"], y[:-9])
    n_comp = 30 // 4  # of the 30 stimuli of the smallest training set
    model = make_pipeline(PCA(n_comp, svd_solver="full"), LinearRegression())
    np.testing.assert_allclose(
        encoder.predict(new["b"]),
        model.fit(old["b"], y[:-9]).predict(new["b"]),
        atol=TOLERANCES["fp64_factor"],
    )


def test_one_new_stimulus_in_single_precision() -> None:
    layers, y = simulate()
    x = layers["a"].astype(np.float32)
    encoder = Encoder(Ridge(), cv=4, scoring="mse").fit(x, y.astype(np.float32))
    found = encoder.predict(x[:1])
    assert found.dtype == np.float32
    assert found.shape == (1, 4)


def test_inner_folds_by_run() -> None:
    layers, y = simulate(48)
    runs = np.repeat(np.arange(4), 12)
    model = linear.RidgeCV(ALPHAS, cv="run")
    encoder = Encoder(model, cv="run", groups=runs).fit(layers["a"], y)
    expected = clone(model).fit(layers["a"], y, groups=runs).predict(layers["a"][:5])
    np.testing.assert_allclose(
        encoder.predict(layers["a"][:5]), expected, atol=TOLERANCES["fp64_factor"]
    )


def test_channels() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3, 2, 2))
    y = x[:, 1].reshape(40, 4) @ rng.standard_normal((4, 2))
    encoder = Encoder(Ridge(), cv=4, iter_axis="channel").fit({"conv": x}, y)
    expected = Ridge().fit(x[:, 1].reshape(40, 4), y).predict(x[:6, 1].reshape(6, 4))
    found = encoder.predict({"conv": x[:6]})
    np.testing.assert_allclose(found, expected, atol=TOLERANCES["fp64_factor"])


def test_targets_without_a_score_are_predicted_all_the_same() -> None:
    layers, y = simulate()
    y[:, 0] = 7.0
    with pytest.warns(UserWarning, match="1 of 4 targets"):
        encoder = Encoder(Ridge(), cv=4).fit(layers, y)
    np.testing.assert_allclose(encoder.predict(layers)[:, 0], 7.0)


def test_what_cannot_be_predicted() -> None:
    layers, y = simulate()
    with pytest.raises(NotFittedError):
        Encoder().predict(layers)
    encoder = Encoder(Ridge(), cv=4).fit(layers, y)
    for features, layer, message in (
        (layers, "c", "layer must be one of 'a', 'b'; got 'c'"),
        ({"a": layers["a"]}, None, "features must hold layer 'b'.*; got 'a'"),
        ({**layers, "b": layers["b"][:, 1:]}, None, "'b' must have the 70 features .*; got 69"),
        ({**layers, "b": layers["b"][1:]}, None, "must be of the same stimuli"),
        ({**layers, "b": layers["b"] * np.nan}, None, "layer 'b' must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder.predict(features, layer=layer)
    grams = {"a": Gram.from_features(layers["a"])}
    with pytest.raises(TypeError, match="features of layer 'a'"):
        encoder.predict(grams, layer="a")
    with pytest.raises(TypeError, match="features of layer 'a'"):
        Encoder(Ridge(), cv=4).fit(grams, y).predict({"a": layers["a"]})


@pytest.mark.parametrize("model", [Encoder(Ridge(3.0), cv=7), Decoder(cv=3), Probe(cv=4)])
def test_can_be_cloned(model: Any) -> None:
    copy = clone(model)
    assert copy is not model
    assert repr(copy.get_params()) == repr(model.get_params())
    assert copy.set_params(cv=2).cv == 2
