"""Names and defaults that others rely on."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import dnnbrain_cpp
from dnnbrain_cpp import encoding, linear, rsa, stats

REQUIRED = inspect.Parameter.empty

PARAMETERS: dict[Any, dict[str, Any]] = {
    linear.PCA: {"n_components": None, "svd_solver": "auto"},
    linear.IncrementalPCA: {"n_components": None},
    linear.Ridge: {"alpha": 1.0, "fit_intercept": True},
    linear.RidgeCV: {
        "cv": 5,
        "alpha_per_target": True,
        "fit_intercept": True,
        "scoring": None,
        "standardize": None,
        "store_cv_results": False,
    },
    linear.KernelRidgeCV: {"cv": 5},
    linear.BandedRidgeCV: {"bands": None, "n_iter": 100, "cv": 5, "random_state": None},
    linear.PCRegression: {"n_components": None, "cv": 5},
    linear.PLSRegression: {"n_components": 2, "scale": True, "algorithm": "nipals"},
    linear.plan: {"n": REQUIRED, "p": REQUIRED, "t": REQUIRED, "budget_bytes": None},
    linear.Delayer: {"delays": (1, 2, 3, 4), "runs": None},
    linear.delayed_kernel: {"K": REQUIRED, "delays": REQUIRED, "runs": None},
    linear.hrf_operator: {"onsets": REQUIRED, "durations": REQUIRED, "model": "spm"},
    linear.detrend_basis: {"n_vol": REQUIRED, "kind": "polynomial", "runs": None},
    linear.zscore_runs: {"Y": REQUIRED, "runs": REQUIRED},
    encoding.encode: {
        "features": REQUIRED,
        "responses": REQUIRED,
        "estimator": None,
        "cv": 5,
        "groups": None,
        "scoring": "r",
    },
    encoding.Encoder: {"estimator": None, "cv": 5, "scoring": "r", "groups": None},
    encoding.univariate: {"X": REQUIRED, "Y": REQUIRED, "cv": 10},
    encoding.decode: {"responses": REQUIRED, "targets": REQUIRED, "cv": 5},
    encoding.probe: {"features": REQUIRED, "labels": REQUIRED},
    encoding.stack: {"features": REQUIRED, "responses": REQUIRED},
    encoding.variance_partition: {"bands": REQUIRED, "responses": REQUIRED, "cv": 5},
    encoding.noise_ceiling: {"responses": REQUIRED},
    rsa.rdm: {
        "features": REQUIRED,
        "metric": "correlation",
        "ids": None,
        "conditions": None,
        "runs": None,
        "precision": None,
        "noise": None,
        "residuals": None,
    },
    rsa.load_rdms: {"path": REQUIRED, "key": None, "ids": None, "names": None},
    rsa.save_rdms: {"rdms": REQUIRED, "path": REQUIRED, "kind": "dRDM", "matlab": "5"},
    rsa.noise_precision: {"residuals": REQUIRED, "method": "ledoit-wolf", "dof": None},
    rsa.average_conditions: {"patterns": REQUIRED, "labels": REQUIRED},
    rsa.WeightedModel: {"rdms": REQUIRED, "method": "corr", "nonnegative": True, "name": None},
    rsa.reweight: {"models": REQUIRED, "data": REQUIRED, "n_boot": 1000, "n_split": 20},
    rsa.remix: {
        "train_features": REQUIRED,
        "train_labels": REQUIRED,
        "features": REQUIRED,
        "classifier": "lda",
        "metric": "correlation",
    },
    rsa.variance_partition: {"predictors": REQUIRED, "data": REQUIRED, "cv": None},
    rsa.FRRSA: {"alphas": None, "kind": "sqeuclidean", "nonnegative": False, "scoring": "corr"},
    rsa.mds: {"rdm": REQUIRED, "n_components": 2, "kind": "metric", "random_state": None},
    rsa.dendrogram: {"rdm": REQUIRED, "method": "average"},
    rsa.compare: {
        "models": REQUIRED,
        "data": REQUIRED,
        "method": "tau-b",
        "controls": None,
        "n_perm": 0,
        "alternative": "two-sided",
        "random_state": None,
    },
    rsa.bootstrap: {
        "models": REQUIRED,
        "data": REQUIRED,
        "n_boot": 1000,
        "over": ("conditions", "subjects"),
        "method": "tau-b",
        "random_state": None,
    },
    rsa.bootstrap_crossval: {"models": REQUIRED, "data": REQUIRED, "n_boot": 1000},
    rsa.noise_ceiling: {"rdms": REQUIRED, "method": "tau-b", "kind": "mean-rdm"},
    rsa.mantel: {
        "x": REQUIRED,
        "y": REQUIRED,
        "method": "tau-b",
        "n_perm": 10000,
        "alternative": "two-sided",
        "random_state": None,
    },
    stats.rm_anova: {"y": REQUIRED, "within": ("network", "layer")},
    stats.ttest: {"a": REQUIRED, "b": None, "paired": False, "axis": 0},
    stats.wilcoxon: {"a": REQUIRED, "b": None, "axis": 0},
    stats.adjust: {"p": REQUIRED, "method": "bh"},
    rsa.searchlight: {
        "img": REQUIRED,
        "mask": None,
        "models": None,
        "radius": None,
        "metric": "correlation",
        "method": "spearman",
    },
    rsa.timecourse: {"data": REQUIRED, "models": REQUIRED, "metric": "correlation", "window": 1},
    stats.cluster_test: {"maps": REQUIRED, "threshold": None, "n_perm": 10_000},
    stats.sign_flip_test: {"maps": REQUIRED, "n_perm": 10_000, "alternative": "two-sided"},
}


@pytest.mark.parametrize("name", PARAMETERS, ids=lambda name: name.__name__)
def test_parameters_and_defaults(name: Any) -> None:
    found = inspect.signature(name).parameters
    for parameter, default in PARAMETERS[name].items():
        assert found[parameter].default == default


@pytest.mark.parametrize(
    ("name", "first"),
    [
        (linear.RidgeCV, ["alphas"]),
        (linear.KernelRidgeCV, ["alphas"]),
        (linear.BandedRidgeCV, ["bands", "alphas"]),
        (linear.FracRidge, ["fractions"]),
        (linear.FracRidgeCV, ["fractions"]),
        (encoding.encode, ["features", "responses"]),
        (encoding.univariate, ["X", "Y"]),
        (rsa.compare, ["models", "data"]),
        (rsa.mantel, ["x", "y", "method", "n_perm", "alternative", "random_state"]),
    ],
)
def test_what_comes_first_needs_no_name(name: Any, first: list[str]) -> None:
    found = inspect.signature(name).parameters.values()
    assert [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD] == first


@pytest.mark.parametrize("package", [linear, encoding, rsa, stats])
def test_all_that_is_named_is_there_and_told(package: Any) -> None:
    assert sorted(set(package.__all__)) == sorted(package.__all__)
    for name in package.__all__:
        thing = getattr(package, name)
        if callable(thing):
            assert inspect.getdoc(thing), name


def test_what_scores_become() -> None:
    for name in ("to_frame", "to_xarray", "to_img", "to_gifti", "to_cifti", "best_layer", "by_roi"):
        assert callable(getattr(encoding.Scores, name))


def test_packages_are_attributes() -> None:
    assert dnnbrain_cpp.linear is linear
    assert dnnbrain_cpp.encoding is encoding
