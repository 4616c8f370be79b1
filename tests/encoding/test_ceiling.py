"""Noise ceilings: of data whose signal is known, and against the published formulas."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dnnbrain_cpp import encoding
from dnnbrain_cpp.encoding import CEILINGS, Scores, noise_ceiling, normalise
from dnnbrain_cpp.exceptions import ConstantTargetWarning
from tolerances import TOLERANCES

CLOSE = {"rtol": TOLERANCES["fp64_score"], "atol": TOLERANCES["fp64_score"]}


def simulate(n_rep: int, n_stim: int, reliability: Any, seed: int = 0) -> NDArray[np.float64]:
    """Repeats of a signal that makes up `reliability` of a trial's variance, shape (R, n, v)."""
    rng = np.random.default_rng(seed)
    share = np.asarray(reliability)
    signal = np.sqrt(share) * rng.standard_normal((n_stim, len(share)))
    noise = np.sqrt(1 - share) * rng.standard_normal((n_rep, n_stim, len(share)))
    return signal + noise


@pytest.mark.parametrize("kind", CEILINGS)
@pytest.mark.parametrize("n_rep", [2, 3, 6])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_unbiased_for_a_known_signal(kind: str, n_rep: int, share: float) -> None:
    n_stim, n_vox = 300, 400
    repeats = simulate(n_rep, n_stim, np.full(n_vox, share), seed=n_rep)
    ceiling = noise_ceiling(repeats, kind=kind)
    assert ceiling.noise_share == pytest.approx(1 / n_rep)
    true = share / (share + (1 - share) / n_rep)
    # The standard error of a mean over voxels is 0.003 or less, and a ratio of estimates is biased
    # by some 1 / n_stim; more so r2, which is curved in the reliability.
    np.testing.assert_allclose(ceiling.reliability.mean(), share, atol=0.01)
    np.testing.assert_allclose(ceiling.r2.mean(), true, atol=0.02)
    single = noise_ceiling(repeats, kind=kind, n_averaged=1)
    np.testing.assert_allclose(single.r2, single.reliability, **CLOSE)
    np.testing.assert_array_equal(ceiling.reliability, single.reliability)


@pytest.mark.parametrize("kind", ["explainable-variance", "ncsnr"])
def test_pure_noise_has_a_ceiling_of_zero_on_average(kind: str) -> None:
    repeats = simulate(3, 100, np.zeros(2000))
    ceiling = noise_ceiling(repeats, kind=kind)
    assert ceiling.reliability.mean() == pytest.approx(0.0, abs=0.005)
    assert (ceiling.reliability < 0).mean() == pytest.approx(0.5, abs=0.05)
    assert (ceiling.r >= 0).all()
    assert (ceiling.ncsnr >= 0).all()


def test_the_true_model_reaches_the_ceiling() -> None:
    n_rep, n_stim, n_vox = 4, 4000, 20
    rng = np.random.default_rng(1)
    share = np.linspace(0.1, 0.8, n_vox)
    signal = np.sqrt(share) * rng.standard_normal((n_stim, n_vox))
    repeats = signal + np.sqrt(1 - share) * rng.standard_normal((n_rep, n_stim, n_vox))
    mean = repeats.mean(0)
    r = [np.corrcoef(signal[:, v], mean[:, v])[0, 1] for v in range(n_vox)]
    r2 = 1 - ((mean - signal) ** 2).sum(0) / ((mean - mean.mean(0)) ** 2).sum(0)
    for kind in CEILINGS:
        ceiling = noise_ceiling(repeats, kind=kind)
        np.testing.assert_allclose(ceiling.r, r, atol=0.06)
        np.testing.assert_allclose(ceiling.r2, r2, atol=0.06)
        assert np.mean(ceiling.r2 - r2) == pytest.approx(0.0, abs=0.01)


def test_explainable_variance_is_the_published_formula() -> None:
    repeats = 5 + 3 * simulate(4, 50, [0.2, 0.7, 0.0])
    for zscore in (True, False):
        for v in range(3):
            runs = [repeats[i, :, v] for i in range(4)]
            if zscore:
                runs = [(run - run.mean()) / run.std(ddof=1) for run in runs]
            ev = np.var(np.mean(runs, axis=0), ddof=1) / np.mean([np.var(x, ddof=1) for x in runs])
            expected = ev - (1 - ev) / (4 - 1)
            ceiling = noise_ceiling(repeats, zscore=zscore, n_averaged=1)
            assert ceiling.r2[v] == pytest.approx(expected, abs=TOLERANCES["fp64_score"])


def test_z_scores_take_away_the_gain_of_a_run() -> None:
    repeats = simulate(3, 200, np.full(50, 0.5))
    gained = repeats * np.array([1.0, 10.0, 100.0])[:, None, None] + 1000.0
    np.testing.assert_allclose(
        noise_ceiling(gained).r2, noise_ceiling(repeats).r2, atol=TOLERANCES["fp64_factor"]
    )
    assert noise_ceiling(gained, zscore=False).r2.mean() < 0.5


def test_ncsnr_is_the_published_formula() -> None:
    """Responses of variance 1: the signal's is what the noise leaves; with 3 trials each."""
    repeats = simulate(3, 5000, [0.1, 0.4, 0.8])
    z = repeats / repeats.reshape(-1, 3).std(0)
    noise = np.sqrt(z.var(0, ddof=1).mean(0))
    ncsnr = np.sqrt(np.maximum(1 - noise**2, 0)) / noise
    ceiling = noise_ceiling(repeats, kind="ncsnr")
    np.testing.assert_allclose(ceiling.ncsnr, ncsnr, rtol=1e-3)
    np.testing.assert_allclose(ceiling.r2, ncsnr**2 / (ncsnr**2 + 1 / 3), rtol=1e-3)


def test_unequal_repeats() -> None:
    """A stimuli with one trial, B with two, C with three: 1/m is their mean."""
    rng = np.random.default_rng(2)
    n_vox, share = 600, 0.4
    stimuli = rng.permutation(np.repeat(np.arange(90), np.repeat([1, 2, 3], 30)))
    signal = np.sqrt(share) * rng.standard_normal((90, n_vox))
    trials = signal[stimuli] + np.sqrt(1 - share) * rng.standard_normal((180, n_vox))
    ceiling = noise_ceiling(trials, kind="ncsnr", stimuli=stimuli)
    assert ceiling.noise_share == pytest.approx((30 / 1 + 30 / 2 + 30 / 3) / 90)
    expected = ceiling.ncsnr**2 / (ceiling.ncsnr**2 + ceiling.noise_share)
    np.testing.assert_allclose(ceiling.r, np.sqrt(expected), **CLOSE)
    assert ceiling.reliability.mean() == pytest.approx(share, abs=0.012)
    # The twin: variances within stimuli, one at a time.
    v = 0
    within = sum(
        ((trials[stimuli == s, v] - trials[stimuli == s, v].mean()) ** 2).sum() for s in range(90)
    ) / (180 - 90)
    held = (180 - (30 * 1 + 30 * 4 + 30 * 9) / 180) / 179
    signal_variance = (trials[:, v].var(ddof=1) - within) / held
    assert ceiling.reliability[v] == pytest.approx(
        signal_variance / (signal_variance + within), abs=TOLERANCES["fp64_score"]
    )
    with pytest.raises(ValueError, match="same number of trials of each stimulus; got from 1 to 3"):
        noise_ceiling(trials, stimuli=stimuli)


@pytest.mark.parametrize("kind", CEILINGS)
def test_trials_with_ids_are_repeats(kind: str) -> None:
    repeats = simulate(3, 40, [0.3, 0.6])
    names = np.array([f"image {i:02d}" for i in range(40)])
    stimuli = np.tile(names, 3)
    expected = noise_ceiling(repeats, kind=kind)
    trials = repeats.reshape(120, 2)
    np.testing.assert_allclose(
        noise_ceiling(trials, kind=kind, stimuli=stimuli).r2, expected.r2, **CLOSE
    )
    if kind == "ncsnr":  # for it the order of trials is of no importance
        order = np.random.default_rng(0).permutation(120)
        shuffled = noise_ceiling(trials[order], kind=kind, stimuli=stimuli[order])
        np.testing.assert_allclose(shuffled.r2, expected.r2, **CLOSE)


@pytest.mark.parametrize("n_rep", [2, 4, 6])
def test_equal_halves_follow_spearman_and_brown(n_rep: int) -> None:
    repeats = simulate(n_rep, 60, [0.3, 0.6, 0.9])
    splits = {
        frozenset([half, tuple(sorted(set(range(n_rep)) - set(half)))])
        for half in itertools.combinations(range(n_rep), n_rep // 2)
    }
    r = np.mean(
        [
            [
                np.corrcoef(repeats[list(a)].mean(0)[:, v], repeats[list(b)].mean(0)[:, v])[0, 1]
                for v in range(3)
            ]
            for a, b in splits
        ],
        axis=0,
    )
    ceiling = noise_ceiling(repeats, kind="split-half")
    np.testing.assert_allclose(ceiling.r2, 2 * r / (1 + r), **CLOSE)


def test_random_splits() -> None:
    repeats = simulate(6, 100, np.full(30, 0.5))
    every = noise_ceiling(repeats, kind="split-half")
    some = noise_ceiling(repeats, kind="split-half", splits=200, random_state=0)
    np.testing.assert_allclose(some.r2, every.r2, atol=0.01)
    again = noise_ceiling(repeats, kind="split-half", splits=200, random_state=0)
    np.testing.assert_array_equal(again.r2, some.r2)
    few = [noise_ceiling(repeats, kind="split-half", splits=1, random_state=i).r2 for i in (0, 1)]
    assert not np.array_equal(*few)
    flipped = repeats * np.array([1, -1, 1, -1, 1, -1])[:, None, None]
    np.testing.assert_array_equal(noise_ceiling(flipped[:2], kind="split-half").r2, np.zeros(30))
    with pytest.raises(ValueError, match="20 repeats have 92378 splits, more than 5000"):
        noise_ceiling(np.zeros((20, 3, 1)), kind="split-half")


@pytest.mark.parametrize("kind", CEILINGS)
def test_hard_cases(kind: str) -> None:
    repeats = simulate(3, 30, [0.5, 0.5, 0.5, 0.5])
    base = noise_ceiling(repeats, kind=kind)
    single = (1e6 + 16 * repeats).astype(np.float32)
    exact = noise_ceiling(single.astype(np.float64), kind=kind)
    np.testing.assert_array_equal(noise_ceiling(single, kind=kind).r2, exact.r2)
    np.testing.assert_allclose(exact.r2, base.r2, atol=0.01)
    np.testing.assert_allclose(noise_ceiling(repeats[..., :1], kind=kind).r2, base.r2[:1], **CLOSE)
    np.testing.assert_array_equal(noise_ceiling(torch.from_numpy(repeats), kind=kind).r2, base.r2)
    np.testing.assert_allclose(noise_ceiling(1e3 * repeats, kind=kind).r2, base.r2, **CLOSE)
    frozen = np.asfortranarray(repeats)
    frozen.flags.writeable = False
    np.testing.assert_allclose(noise_ceiling(frozen, kind=kind).r2, base.r2, **CLOSE)
    same = noise_ceiling(np.repeat(repeats[:1], 3, axis=0), kind=kind)
    np.testing.assert_allclose(same.r2, 1.0, **CLOSE)
    repeats[..., 2] = 0.1
    with pytest.warns(ConstantTargetWarning, match="1 of 4 targets do not vary"):
        constant = noise_ceiling(repeats, kind=kind)
    assert np.isnan(constant.r[2])
    np.testing.assert_array_equal(np.delete(constant.r2, 2), np.delete(base.r2, 2))


def test_blocks_of_targets_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    repeats = simulate(3, 20, np.linspace(0, 1, 23))
    whole = {kind: noise_ceiling(repeats, kind=kind).reliability for kind in CEILINGS}
    monkeypatch.setattr("dnnbrain_cpp.encoding._ceiling._BLOCK_BYTES", 8 * 60 * 5)
    for kind, expected in whole.items():
        np.testing.assert_allclose(noise_ceiling(repeats, kind=kind).reliability, expected, **CLOSE)


def test_scores_over_their_ceiling() -> None:
    ceiling = encoding.NoiseCeiling(np.array([0.64, 0.25, 0.05, np.nan, -0.2]), 1.0, "ncsnr")
    normalised = normalise(np.array([0.4, 0.25, 0.3, 0.2, 0.1]), ceiling)
    np.testing.assert_allclose(normalised.scores, [0.5, 0.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(normalised.below, [False, False, True, True, True])
    assert normalised.n_below == 3
    assert "5 targets, 3 without a score" in repr(normalised)
    squared = normalise([[0.32, 0.25, 0.3, 0.2, 0.1]], ceiling, scoring="r2", floor=0.01)
    np.testing.assert_allclose(squared.scores, [[0.5, 1.0, 6.0, np.nan, np.nan]])
    assert squared.n_below == 2


def test_scores_of_layers_over_their_ceiling() -> None:
    ceiling = encoding.NoiseCeiling(np.array([0.64, 0.05]), 1.0, "ncsnr")
    scores = Scores(
        {"conv1": np.array([[0.4, 0.1], [0.2, 0.1]])},
        scoring="r",
        route={"conv1": "native"},
        targets=["a", "b"],
        rois=["V1", "V2"],
    )
    divided = normalise(scores, ceiling).scores
    np.testing.assert_allclose(divided.scores["conv1"], [[0.5, np.nan], [0.25, np.nan]])
    assert divided.scoring == "r / ceiling"
    assert divided.targets == ["a", "b"]
    assert divided.rois == ("V1", "V2")
    losses = Scores({"a": np.ones((2, 2))}, scoring="mse", route={})
    with pytest.raises(ValueError, match="scoring must be one of 'r', 'r2', 'ev'; got 'mse'"):
        normalise(losses, ceiling)


def test_the_result_tells_what_it_is() -> None:
    ceiling = noise_ceiling(simulate(3, 50, [0.2, 0.5]), kind="ncsnr")
    assert list(ceiling.to_frame()) == ["target", "reliability", "ncsnr", "r", "r2"]
    assert "ncsnr, 2 targets" in repr(ceiling)
    assert ceiling.formula in repr(ceiling)


@pytest.mark.parametrize(
    ("responses", "options", "message"),
    [
        (np.zeros((3, 4)), {}, r"\(n_rep, n_stim, n_vox\), or be trials with stimuli=; got"),
        (np.zeros((2, 5, 1)), {"stimuli": [1, 2]}, "stimuli are for trials"),
        (np.zeros((4, 1)), {"stimuli": [1, 2]}, r"each of 4 trials; got shape \(2,\)"),
        (np.full((2, 5, 1), np.nan), {}, "responses must be finite"),
        (np.zeros((1, 5, 1)), {}, "at least 2 repeats of 3 stimuli, and a target; got 1 of 5"),
        (np.zeros((2, 2, 1)), {}, "got 2 of 2"),
        (np.zeros((2, 5, 0)), {}, "and 0"),
        (np.zeros((5, 1)), {"stimuli": range(5), "kind": "ncsnr"}, "got 1 of 5"),
        (np.zeros((2, 5, 1)), {"kind": "cc-max"}, "kind must be one of"),
        (np.zeros((2, 5, 1)), {"n_averaged": 0}, "n_averaged must be at least 1"),
        (np.zeros((2, 5, 1)), {"kind": "split-half", "splits": 0}, "splits must be at least 1"),
        (np.zeros((2, 5, 1)), {"kind": "split-half", "splits": "some"}, "splits must be one of"),
    ],
)
def test_what_is_refused(responses: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noise_ceiling(responses, **options)


@pytest.mark.parametrize("floor", [0.0, -1, 1.5, True, float("nan")])
def test_floors_that_are_refused(floor: float) -> None:
    ceiling = encoding.NoiseCeiling(np.array([0.5]), 1.0, "ncsnr")
    with pytest.raises(ValueError, match="floor must be in"):
        normalise(np.array([0.5]), ceiling, floor=floor)
    with pytest.raises(ValueError, match="same targets; got 2 and 1"):
        normalise(np.array([0.5, 0.5]), ceiling)
