"""Lasso and elastic net per target: scikit-learn's models, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from contract import run_check
from dnnbrain_cpp.linear import ElasticNetCV, LassoCV


@parametrize_with_checks([LassoCV(10, cv=3, n_jobs=1), ElasticNetCV(alphas=10, cv=3, n_jobs=1)])
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    run_check(estimator, check)


def draw(t: int = 4) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 12)) + 2
    coef = rng.standard_normal((12, t)) * (rng.random((12, t)) < 0.3)
    return x, x @ coef * [1, 10, 100, 0][:t] + rng.standard_normal((40, t)) + 5


def close(ours: Any, peer: Any) -> None:
    """Arrays of another layout are summed in another order."""
    np.testing.assert_allclose(ours, peer, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("alphas", [20, [0.001, 0.1, 1.0]], ids=str)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_target_is_scikit_learns(alphas: Any, n_jobs: int) -> None:
    x, y = draw()
    lasso = LassoCV(alphas, cv=4, n_jobs=n_jobs).fit(x, y)
    net = ElasticNetCV([0.3, 0.9], alphas, cv=4, n_jobs=n_jobs).fit(x, y)
    for place in range(y.shape[1]):
        peer = linear_model.LassoCV(alphas=alphas, cv=4, random_state=0).fit(x, y[:, place])
        close(lasso.coef_[place], peer.coef_)
        close(lasso.alpha_[place], peer.alpha_)
        close(lasso.intercept_[place], peer.intercept_)
        np.testing.assert_allclose(lasso.predict(x)[:, place], peer.predict(x))
        peer = linear_model.ElasticNetCV(l1_ratio=[0.3, 0.9], alphas=alphas, cv=4, random_state=0)
        peer.fit(x, y[:, place])
        close(net.coef_[place], peer.coef_)
        assert net.l1_ratio_[place] == peer.l1_ratio_
    assert len(np.unique(lasso.alpha_)) > 1


def test_shapes_groups_and_tensors() -> None:
    x, y = draw()
    groups = np.arange(40) // 8
    model = LassoCV(5, cv=5, n_jobs=1).fit(x, y[:, 0], groups=groups)
    peer = linear_model.LassoCV(
        alphas=5, cv=list(GroupKFold(5).split(x, groups=groups)), random_state=0
    )
    close(model.coef_, peer.fit(x, y[:, 0]).coef_)
    assert np.ndim(model.alpha_) == 0
    assert model.predict(x).shape == (40,)
    tensor = LassoCV(5, n_jobs=1).fit(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    assert tensor.coef_.shape == (4, 12)
    assert tensor.coef_.dtype == tensor.predict(torch.from_numpy(x).float()).dtype == torch.float32
    assert tensor.score(torch.from_numpy(x), torch.from_numpy(y)) > 0.5


def test_one_warning_for_all_targets() -> None:
    x, y = draw()
    with pytest.warns(ConvergenceWarning, match="1 passes for 4 of 4 targets") as caught:
        LassoCV([1e-6], max_iter=1, n_jobs=1).fit(x, y)
    assert len(caught) == 1


@pytest.mark.parametrize("alphas", [0, [0.0], [-1.0], [np.nan], []], ids=str)
def test_wrong_alphas(alphas: Any) -> None:
    with pytest.raises(ValueError, match="alphas must be"):
        LassoCV(alphas).fit(*draw())
