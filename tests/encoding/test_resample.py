"""Bootstrap intervals and paired comparisons: row by row, against SciPy, and by simulation."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap as scipy_bootstrap

from dnnbrain_cpp import stats
from dnnbrain_cpp.encoding import Scores, bootstrap_ci, compare_models
from dnnbrain_cpp.encoding._held_out import RowBlocks, block_rows
from dnnbrain_cpp.encoding._resample import _draw_counts
from dnnbrain_cpp.exceptions import Cancelled
from oracle.inference import fold_scores
from tolerances import TOLERANCES

CLOSE = {"rtol": TOLERANCES["fp64_score"], "atol": TOLERANCES["fp64_score"]}
FOLDS = np.repeat([1, 0], [20, 16])
CASES = [
    ({}, np.zeros(36, int), None),
    ({"folds": FOLDS}, FOLDS, None),
    ({"folds": FOLDS, "blocks": 3}, FOLDS, 3),
    ({"blocks": np.arange(36) % 9}, np.zeros(36, int), np.arange(36) % 9),
]


def simulate(
    n_stim: int = 36, n_vox: int = 4, seed: int = 0, r: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Responses and the predictions of two models."""
    rng = np.random.default_rng(seed)
    y, first, second = rng.standard_normal((3, n_stim, n_vox))
    noise = np.sqrt(1 - r**2)
    return y + 2.0, r * y + noise * first, r * y + noise * second + 1.0


def layout_of(folds: NDArray[np.int64], blocks: Any) -> RowBlocks:
    first = {label: place for place, label in enumerate(dict.fromkeys(folds.tolist()))}
    return block_rows(np.array([first[f] for f in folds.tolist()]), blocks)


def rows_of(layout: RowBlocks) -> list[list[NDArray[np.int64]]]:
    """Rows of each block of each fold."""
    blocks = np.split(layout.rows, layout.block_starts[1:-1])
    return [
        blocks[a:b] for a, b in zip(layout.fold_starts[:-1], layout.fold_starts[1:], strict=True)
    ]


def redrawn(
    y: NDArray[Any], p: NDArray[Any], layout: RowBlocks, n_boot: int, seed: int, scoring: str
) -> NDArray[np.float64]:
    """Scores of every resample, from copies of the rows that were drawn."""
    counts = _draw_counts(layout, n_boot, np.random.default_rng(seed))
    out = np.empty((n_boot, y.shape[1]))
    for i, v in itertools.product(range(n_boot), range(y.shape[1])):
        scores = []
        for blocks, times in zip(rows_of(layout), counts, strict=True):
            rows = np.concatenate(
                [np.tile(block, n) for block, n in zip(blocks, times[i], strict=True)]
            )
            scores += fold_scores(y[rows, v], p[rows, v], np.zeros(len(rows), int), scoring)
        out[i, v] = np.mean(scores)
    return out


@pytest.mark.parametrize(("options", "folds", "blocks"), CASES)
@pytest.mark.parametrize("scoring", ["r", "r2"])
def test_percentiles_are_those_of_redrawn_rows(
    options: dict[str, Any], folds: Any, blocks: Any, scoring: str
) -> None:
    y, p, _ = simulate()
    result = bootstrap_ci(y, p, scoring=scoring, n_boot=50, random_state=3, level=0.9, **options)
    samples = redrawn(y, p, layout_of(folds, blocks), 50, 3, scoring)
    score = [np.mean(fold_scores(y[:, v], p[:, v], folds, scoring)) for v in range(4)]
    np.testing.assert_allclose(result.score, score, **CLOSE)
    low, high = np.quantile(samples, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(result.low, low, **CLOSE)
    np.testing.assert_allclose(result.high, high, **CLOSE)


def test_blocks_are_drawn_as_often_as_there_are() -> None:
    layout = layout_of(FOLDS, 3)
    counts = _draw_counts(layout, 4000, np.random.default_rng(0))
    assert [c.shape for c in counts] == [(4000, 7), (4000, 6)]
    for times in counts:
        assert (times.sum(1) == times.shape[1]).all()
        np.testing.assert_allclose(times.mean(0), 1.0, atol=0.07)
        np.testing.assert_allclose(times.var(0), 1 - 1 / times.shape[1], atol=0.1)


@pytest.mark.parametrize("scoring", ["r", "r2"])
@pytest.mark.parametrize(("kind", "method"), [("percentile", "percentile"), ("bca", "BCa")])
def test_intervals_approach_those_of_scipy(scoring: str, kind: str, method: str) -> None:
    y, p, _ = simulate(n_vox=1, seed=1, r=0.8)
    expected = scipy_bootstrap(
        (y[:, 0], p[:, 0]),
        lambda a, b: fold_scores(a, b, np.zeros(len(a), int), scoring)[0],
        paired=True,
        vectorized=False,
        n_resamples=6000,
        method=method,
        rng=np.random.default_rng(0),
    ).confidence_interval
    result = bootstrap_ci(y, p, scoring=scoring, kind=kind, n_boot=20_000, random_state=0)
    width = expected.high - expected.low
    np.testing.assert_allclose(result.low[0], expected.low, atol=0.04 * width)
    np.testing.assert_allclose(result.high[0], expected.high, atol=0.04 * width)


@pytest.mark.parametrize(("options", "folds", "blocks"), CASES)
@pytest.mark.parametrize("scoring", ["r", "r2"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_equal_to_a_loop_over_exchanged_models(
    options: dict[str, Any], folds: Any, blocks: Any, scoring: str, alternative: str
) -> None:
    y, a, b = simulate(n_vox=2, seed=2)
    if scoring == "r":
        b = 1e3 * b
    n_perm, seed = 29, 11
    result = compare_models(
        y,
        a,
        b,
        scoring=scoring,
        alternative=alternative,
        n_perm=n_perm,
        n_boot=20,
        random_state=seed,
        **options,
    )
    layout = layout_of(folds, blocks)
    rng = np.random.default_rng(seed)
    swaps = [rng.integers(0, 2, (n_perm, len(f)), dtype=np.uint8) for f in rows_of(layout)]
    if scoring == "r":  # on one scale
        for f in np.unique(folds):
            for p in (a, b):
                p[folds == f] -= p[folds == f].mean(0)
                p[folds == f] /= p[folds == f].std(0)
    null = np.empty((n_perm, 2))
    for i in range(n_perm):
        ours, theirs = a.copy(), b.copy()
        for blocks_of_fold, swap in zip(rows_of(layout), swaps, strict=True):
            for block, swapped in zip(blocks_of_fold, swap[i], strict=True):
                if swapped:
                    ours[block], theirs[block] = b[block], a[block]
        for v in range(2):
            null[i, v] = np.mean(fold_scores(y[:, v], ours[:, v], folds, scoring)) - np.mean(
                fold_scores(y[:, v], theirs[:, v], folds, scoring)
            )
    difference = np.array(
        [
            np.mean(fold_scores(y[:, v], a[:, v], folds, scoring))
            - np.mean(fold_scores(y[:, v], b[:, v], folds, scoring))
            for v in range(2)
        ]
    )
    side = {"greater": lambda d: d, "less": lambda d: -d, "two-sided": np.abs}[alternative]
    least = side(difference) - 1e-10
    np.testing.assert_allclose(result.difference, difference, **CLOSE)
    np.testing.assert_array_equal(result.p, (1 + (side(null) >= least).sum(0)) / (1 + n_perm))
    np.testing.assert_array_equal(
        result.p_fwe, (1 + (side(null).max(1)[:, None] >= least).sum(0)) / (1 + n_perm)
    )
    np.testing.assert_array_equal(result.p_fdr, stats.adjust(result.p))


def test_p_approaches_that_of_all_exchanges() -> None:
    y, a, b = simulate(n_stim=24, n_vox=1, seed=4)
    errors = ((y - b) ** 2 - (y - a) ** 2)[:, 0].reshape(8, 3).sum(1)
    signs = np.array(list(itertools.product([1, -1], repeat=8)))
    sums = signs @ errors  # R2 is linear in who predicts which block
    exact = (sums >= errors.sum() - 1e-9).mean()
    result = compare_models(
        y,
        a,
        b,
        blocks=3,
        scoring="r2",
        alternative="greater",
        n_perm=20_000,
        n_boot=10,
        random_state=0,
    )
    assert result.p[0] == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 20_000))


def test_the_interval_of_a_difference_draws_the_same_blocks_for_both() -> None:
    y, a, b = simulate(seed=5)
    result = compare_models(y, a, b, blocks=3, n_perm=5, n_boot=40, random_state=6, level=0.8)
    layout = layout_of(np.zeros(36, int), 3)
    rng = np.random.default_rng(6)
    rng.integers(0, 2, (5, 12), dtype=np.uint8)  # the exchanges come first
    counts = _draw_counts(layout, 40, rng)[0]
    samples = np.empty((40, 4))
    for i in range(40):
        rows = np.concatenate(
            [np.tile(r, n) for r, n in zip(rows_of(layout)[0], counts[i], strict=True)]
        )
        for v in range(4):
            samples[i, v] = (
                np.corrcoef(y[rows, v], a[rows, v]) - np.corrcoef(y[rows, v], b[rows, v])
            )[0, 1]
    low, high = np.quantile(samples, [0.1, 0.9], axis=0)
    np.testing.assert_allclose(result.low, low, **CLOSE)
    np.testing.assert_allclose(result.high, high, **CLOSE)


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    y, a, b = simulate(n_vox=23)
    whole = compare_models(y, a, b, n_perm=99, n_boot=50, kind="bca", random_state=0)
    monkeypatch.setattr("dnnbrain_cpp.encoding._resample._TILE", 99 * 5)
    cut = compare_models(y, a, b, n_perm=99, n_boot=50, kind="bca", random_state=0)
    for name in ("p", "p_fwe", "p_fdr"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))
    np.testing.assert_allclose(cut.low, whole.low, **CLOSE)


@pytest.mark.parametrize("kind", ["percentile", "bca"])
@pytest.mark.parametrize("scoring", ["r", "r2"])
def test_hard_cases(kind: str, scoring: str) -> None:
    y, a, b = simulate(seed=7)
    options: dict[str, Any] = {"kind": kind, "scoring": scoring, "folds": FOLDS, "random_state": 0}
    base = bootstrap_ci(y, a, n_boot=60, **options)
    moved = bootstrap_ci(1e6 + y, 1e6 + a, n_boot=60, **options)
    np.testing.assert_allclose(moved.low, base.low, atol=TOLERANCES["fp64_factor"])
    scaled = bootstrap_ci(1e3 * y, 1e3 * a, n_boot=60, **options)
    np.testing.assert_allclose(scaled.low, base.low, **CLOSE)
    one = bootstrap_ci(y[:, 1], a[:, 1], n_boot=60, **options)
    np.testing.assert_allclose(one.low, base.low[1:2], **CLOSE)
    y[:, 0] = 0.1  # constant
    y[FOLDS == 0, 1] = 0.1  # constant in a fold
    a[:, 2] = 0.1  # a constant prediction
    result = bootstrap_ci(y, a, n_boot=60, **options)
    assert np.isnan([result.score[0], result.low[0], result.high[0]]).all()
    one_fold = fold_scores(y[:, 1], a[:, 1], FOLDS, scoring)
    np.testing.assert_allclose(result.score[1], one_fold[0], **CLOSE)
    assert len(one_fold) == 1
    if scoring == "r":
        assert result.score[2] == result.low[2] == result.high[2] == 0
    known = slice(1, None)
    assert (result.low[known] <= result.high[known]).all()
    compared = compare_models(y, a, b, n_perm=39, n_boot=60, **options)
    for name in ("difference", "low", "high", "p", "p_fwe", "p_fdr"):
        values = getattr(compared, name)
        assert np.isnan(values[0])
        assert np.isfinite(values[known]).all()
    same = compare_models(y[:, known], b[:, known], b[:, known], n_perm=39, n_boot=60, **options)
    np.testing.assert_array_equal(same.p, 1.0)
    np.testing.assert_array_equal(same.difference, 0.0)
    np.testing.assert_allclose(same.low, 0.0, **CLOSE)


def test_the_results_tell_what_they_are() -> None:
    y, a, b = simulate(r=0.9)
    interval = bootstrap_ci(y, a, n_boot=30, random_state=1)
    assert list(interval.to_frame()) == ["target", "score", "low", "high"]
    assert "4 targets, 95% percentile, 30 resamples, seed 1" in repr(interval)
    assert "above 0: 4 targets" in repr(interval)
    comparison = compare_models(y, a, -b, n_perm=99, n_boot=30, random_state=1)
    assert list(comparison.to_frame())[:4] == ["target", "score_a", "score_b", "difference"]
    assert "a better in 4 targets, b in 0" in repr(comparison)
    scores = Scores(
        {"fc": np.zeros((1, 4))}, scoring="r", route={}, targets=list("abcd"), predictions={"fc": a}
    )
    from_scores = bootstrap_ci(y, scores, n_boot=30, random_state=1)
    np.testing.assert_array_equal(from_scores.low, interval.low)
    assert from_scores.targets == tuple("abcd")
    with pytest.raises(Cancelled):
        bootstrap_ci(y, a, n_boot=30, progress=lambda done, total: False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scoring": "mse"}, "scoring must be one of 'r', 'r2'"),
        ({"kind": "basic"}, "kind must be one of"),
        ({"level": 1.0}, "level must be between 0 and 1"),
        ({"n_boot": 1}, "n_boot must be at least 2"),
        ({"n_perm": 0}, "n_perm must be at least 1"),
        ({"alternative": "more"}, "alternative must be one of"),
        ({"blocks": np.zeros(36)}, "at least 2 blocks to be drawn from; fold 0 has 1"),
        ({"predicted_b": np.full((36, 4), np.nan)}, "predicted_b must be finite"),
        ({"predicted_b": np.zeros((36, 3))}, "measured and predicted_b must have one shape"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    y, a, b = simulate()
    options = {"predicted_b": b, **change}
    with pytest.raises(ValueError, match=message):
        compare_models(y, a, options.pop("predicted_b"), **options)


@pytest.mark.slow
@pytest.mark.parametrize("r", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("n_fold", [1, 3])
@pytest.mark.parametrize("scoring", ["r", "r2"])
def test_false_positives_of_comparisons_come_at_their_rate(
    r: float, n_fold: int, scoring: str
) -> None:
    # Many resamples: all targets share them, and with them their error.
    y, a, b = simulate(n_stim=200, n_vox=2000, seed=8, r=r)
    if scoring == "r2":
        b -= 1.0  # equally good models
    result = compare_models(
        y,
        a,
        b,
        folds=np.arange(200) % n_fold,
        scoring=scoring,
        n_perm=1999,
        random_state=8,
    )
    assert 0.04 <= (result.p <= 0.05).mean() <= 0.06
    assert 0.93 <= ((result.low <= 0) & (result.high >= 0)).mean() <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["percentile", "bca"])
@pytest.mark.parametrize("r", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("n_fold", [1, 4])
def test_intervals_cover_the_truth_at_their_level(kind: str, r: float, n_fold: int) -> None:
    y, p, _ = simulate(n_stim=200, n_vox=2000, seed=9, r=r)
    result = bootstrap_ci(
        y, p, folds=np.arange(200) % n_fold, kind=kind, n_boot=1000, random_state=0
    )
    assert 0.93 <= ((result.low <= r) & (result.high >= r)).mean() <= 0.97
