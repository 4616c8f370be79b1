"""Real voxels: Haxby et al. 2001, one slice, twelve runs of eight categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from dnnbrain_cpp.encoding import encode
from dnnbrain_cpp.io import read_responses
from oracle.encoding import pcr, refit
from tolerances import TOLERANCES


@pytest.fixture(scope="module")
def haxby(data_dir: Path) -> tuple[NDArray[Any], ...]:
    """Return features, voxels and runs, of one pattern per run and category.

    Features are the category, one-hot, and noise: what a design without a network knows.
    """
    folder = data_dir / "haxby2001-pymvpa"
    responses = read_responses(folder / "bold.nii.gz", mask=folder / "mask.nii.gz")
    lines = [line.split() for line in (folder / "attributes_literal.txt").read_text().splitlines()]
    lines = [line for line in lines if len(line) == 2]
    label = np.array([line[0] for line in lines])
    chunk = np.array([int(line[1]) for line in lines])
    assert responses.data.shape == (len(lines), 530)
    volumes = responses.data.astype(np.float64)
    patterns, categories, runs = [], [], []
    for run in range(12):
        within = volumes[chunk == run]
        scale = within.std(0)
        for category in sorted(set(label) - {"rest"}):
            mean = volumes[(chunk == run) & (label == category)].mean(0)
            patterns.append((mean - within.mean(0)) / np.where(scale > 0, scale, 1))
            categories.append(category)
            runs.append(run)
    kinds = np.array(categories)
    one_hot = (kinds[:, None] == np.unique(kinds)).astype(float)
    noise = np.random.default_rng(0).standard_normal((len(kinds), 4)) * 0.1
    return np.hstack([one_hot, noise]), np.array(patterns), np.array(runs)


def test_category_predicts_voxels_of_a_run_that_was_left_out(haxby: Any) -> None:
    features, voxels, runs = haxby
    scores = encode(features, voxels, estimator=pcr(7), cv=LeaveOneGroupOut(), groups=runs)
    assert scores.scores["features"].shape == (12, 530)
    r = scores.mean("features")
    # Categories shuffled inside each run: what chance gives on these voxels and runs.
    rng = np.random.default_rng(1)
    shuffled = np.concatenate([8 * run + rng.permutation(8) for run in range(12)])
    chance = encode(
        features[shuffled], voxels, estimator=pcr(7), cv=LeaveOneGroupOut(), groups=runs
    ).mean("features")
    assert abs(np.median(chance)) < 0.05
    assert np.median(r) > np.median(chance) + 0.1
    assert (chance > 0.3).mean() < 0.02
    assert (r > 0.3).mean() > 0.2  # a fifth of the slice
    assert np.sort(r)[-50:].mean() > 0.6


def test_equal_to_scikit_learn_on_real_voxels(haxby: Any) -> None:
    features, voxels, runs = haxby
    splits = list(LeaveOneGroupOut().split(features, groups=runs))
    chosen = voxels[:, ::53]
    for estimator in (pcr(7), Ridge(1.0)):
        scores = encode(features, chosen, estimator=estimator, cv=LeaveOneGroupOut(), groups=runs)
        expected = refit(estimator, features, chosen, splits)
        np.testing.assert_allclose(
            scores.scores["features"], expected, rtol=0, atol=TOLERANCES["fp64_score"]
        )


def test_default_groups_are_whole_runs(haxby: Any) -> None:
    features, voxels, runs = haxby
    by_number = encode(features, voxels[:, :20], cv=12, groups=runs)
    one_out = encode(features, voxels[:, :20], cv=LeaveOneGroupOut(), groups=runs)
    np.testing.assert_allclose(  # the same folds, though not in the same order
        np.sort(by_number.scores["features"], 0),
        np.sort(one_out.scores["features"], 0),
        rtol=0,
        atol=TOLERANCES["fp64_score"],
    )
