"""Coverage and error rates of the bootstrap over simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp import rsa

N_COND, N_SUBJECT, N_FEATURE, N_BOOT = 24, 12, 6, 300
N_EXPERIMENT = 1000
N_NULL = 8000
N_TRUTH = 3000
LOW, HIGH = 0.93, 0.97

Values = NDArray[np.float64]
ROWS, COLUMNS = np.triu_indices(N_COND, 1)


def squared_distances(patterns: Values) -> Values:
    difference = patterns[..., ROWS, :] - patterns[..., COLUMNS, :]
    return np.asarray((difference**2).sum(-1))


def experiment(
    rng: np.random.Generator, conditions: Values | None, subjects: Values | None
) -> tuple[Values, Values]:
    """Draw two models, each half of the features, and subjects who weigh features as they please.

    Features and weights are drawn alike, so that the models do equally well in new conditions and
    subjects.
    """
    features = rng.standard_normal((N_COND, 2 * N_FEATURE)) if conditions is None else conditions
    weights = rng.gamma(2.0, 1.0, (N_SUBJECT, 2 * N_FEATURE)) if subjects is None else subjects
    noise = 1.5 * rng.standard_normal((N_SUBJECT, N_COND, N_FEATURE))
    patterns = np.concatenate([features * np.sqrt(weights)[:, None, :], noise], 2)
    models = np.stack([features[:, :N_FEATURE], features[:, N_FEATURE:]])
    return squared_distances(models), squared_distances(patterns)


@pytest.mark.slow
@pytest.mark.parametrize("over", [("subjects",), ("conditions",), ("conditions", "subjects")])
def test_intervals_hold_the_truth(over: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    conditions = None if "conditions" in over else rng.standard_normal((N_COND, 2 * N_FEATURE))
    subjects = None if "subjects" in over else rng.gamma(2.0, 1.0, (N_SUBJECT, 2 * N_FEATURE))
    intervals = np.stack(
        [
            rsa.bootstrap(
                *experiment(rng, conditions, subjects),
                n_boot=N_BOOT,
                over=over,
                method="corr",
                ceiling=None,
                random_state=i,
            ).conf_int()
            for i in range(N_EXPERIMENT)
        ]
    )
    truth = np.mean(
        [
            rsa.compare(*experiment(rng, conditions, subjects), method="corr").scores.mean(1)
            for _ in range(N_TRUTH)
        ],
        axis=0,
    )
    coverage = ((intervals[:, :, 0] <= truth) & (truth <= intervals[:, :, 1])).mean()
    assert LOW <= coverage <= HIGH, coverage


@pytest.mark.slow
def test_equal_models_differ_in_five_percent() -> None:
    rng = np.random.default_rng(1)
    p = [
        rsa.bootstrap(
            *experiment(rng, None, None),
            n_boot=N_BOOT,
            method="corr",
            ceiling=None,
            random_state=i,
        )
        .compare_models()["p"]
        .item()
        for i in range(N_NULL)
    ]
    rate = np.mean(np.array(p) <= 0.05)
    # The standard error is 0.0024; over the first 2,000 (0.0049) the rate is 0.0395.
    assert 0.04 <= rate <= 0.06, rate
