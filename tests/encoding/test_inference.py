"""Permutation tests of held-out predictions: twins, exact enumeration, and what must not pass."""

from __future__ import annotations

import itertools
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import permutation_test as scipy_permutation_test

from dnnbrain_cpp import stats
from dnnbrain_cpp.encoding import InferenceResult, Scores, permutation_test
from dnnbrain_cpp.exceptions import Cancelled, ConstantTargetWarning, NullBandWarning
from oracle.inference import exchanged, fold_scores
from tolerances import TOLERANCES

CLOSE = {"rtol": TOLERANCES["fp64_score"], "atol": TOLERANCES["fp64_score"]}
N_STIM, N_VOX = 48, 11
# Small maps under the null are inside chance; that this is said is a test of its own.
pytestmark = pytest.mark.filterwarnings("ignore::dnnbrain_cpp.exceptions.NullBandWarning")
FOLDS = np.repeat([2, 0, 1], [20, 16, 12])
BLOCKS = np.repeat(np.arange(12), 4)

SCHEMES = [
    ("permute", {}, FOLDS, np.arange(N_STIM)),
    ("permute", {"blocks": BLOCKS}, FOLDS, BLOCKS),
    (
        "permute",
        {"blocks": 3},
        FOLDS,
        np.r_[np.arange(20) // 3, np.arange(16) // 3, np.arange(12) // 3],
    ),
    ("circular", {}, FOLDS, np.zeros(N_STIM, int)),
    ("circular", {"blocks": BLOCKS, "min_shift": 1}, FOLDS, BLOCKS),
    ("circular", {"min_shift": 5}, FOLDS, np.zeros(N_STIM, int)),
    ("sign", {}, FOLDS, np.arange(N_STIM)),
    ("sign", {"blocks": 4}, FOLDS, BLOCKS),
]


def simulate(
    n_stim: int = N_STIM, n_vox: int = N_VOX, seed: int = 0, signal: float = 0.6
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n_stim, n_vox))
    return y + rng.standard_normal(n_vox), signal * y + rng.standard_normal((n_stim, n_vox))


def twin_null(
    y: NDArray[Any],
    p: NDArray[Any],
    folds: Any,
    blocks: Any,
    scheme: str,
    shift: int,
    scoring: str,
    n_perm: int,
    seed: int,
) -> NDArray[np.float64]:
    """Scores of every permutation and voxel, each from an exchanged copy of the data."""
    null = np.empty((n_perm, y.shape[1]))
    for i, v in itertools.product(range(n_perm), range(y.shape[1])):
        if scheme == "sign":  # products of centred values over the norms as they are
            null[i, v] = 0.0
            for f in np.unique(folds):
                rows = folds == f
                a = y[rows, v] - y[rows, v].mean()
                b = p[rows, v] - p[rows, v].mean()
                full = np.zeros(len(folds))
                full[rows] = a
                flipped = exchanged(full, folds, blocks, scheme, shift, seed, i)[rows]
                null[i, v] += flipped @ b / np.sqrt((a @ a) * (b @ b)) / len(np.unique(folds))
        else:
            moved = exchanged(y[:, v], folds, blocks, scheme, shift, seed, i)
            null[i, v] = np.mean(fold_scores(moved, p[:, v], folds, scoring))
    return null


@pytest.mark.parametrize(("scheme", "options", "folds", "blocks"), SCHEMES)
@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_equal_to_a_loop_over_exchanged_data(
    scheme: str, options: dict[str, Any], folds: Any, blocks: Any, alternative: str
) -> None:
    y, p = simulate(n_vox=9)
    n_perm, seed = 39, 7
    result = permutation_test(
        y,
        p,
        folds=folds,
        scheme=scheme,
        alternative=alternative,
        n_perm=n_perm,
        random_state=seed,
        **options,
    )
    shift = options.get("min_shift", 0)
    null = twin_null(y, p, folds, blocks, scheme, shift, "r", n_perm, seed)
    score = np.array([np.mean(fold_scores(y[:, v], p[:, v], folds, "r")) for v in range(9)])
    check(result, score, null, alternative)


@pytest.mark.parametrize(("scheme", "options", "folds", "blocks"), SCHEMES[:5])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_equal_to_a_loop_with_r2(
    scheme: str, options: dict[str, Any], folds: Any, blocks: Any, alternative: str
) -> None:
    y, p = simulate(n_vox=3, seed=1)
    n_perm, seed = 29, 2**40 + 3
    result = permutation_test(
        y,
        p,
        folds=folds,
        scheme=scheme,
        scoring="r2",
        alternative=alternative,
        n_perm=n_perm,
        random_state=seed,
        **options,
    )
    shift = options.get("min_shift", 0)
    null = twin_null(y, p, folds, blocks, scheme, shift, "r2", n_perm, seed)
    score = np.array([np.mean(fold_scores(y[:, v], p[:, v], folds, "r2")) for v in range(3)])
    check(result, score, null, alternative)


def check(
    result: InferenceResult, score: NDArray[Any], null: NDArray[Any], alternative: str
) -> None:
    np.testing.assert_allclose(result.score, score, **CLOSE)
    side = {"greater": lambda s: s, "less": lambda s: -s, "two-sided": np.abs}[alternative]
    least = side(score) - 1e-11
    most = side(null).max(1)
    n_perm = len(null)
    np.testing.assert_array_equal(result.p, (1 + (side(null) >= least).sum(0)) / (1 + n_perm))
    np.testing.assert_array_equal(
        result.p_fwe, (1 + (most[:, None] >= least).sum(0)) / (1 + n_perm)
    )
    np.testing.assert_array_equal(result.p_fdr, stats.adjust(result.p))
    np.testing.assert_allclose(side(result.null_extremes), most, **CLOSE)
    np.testing.assert_allclose(result.null_band, np.quantile(null, [0.025, 0.975], axis=0), **CLOSE)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_p_approaches_that_of_all_permutations(alternative: str) -> None:
    y, p = simulate(n_stim=7, n_vox=1, seed=3, signal=0.4)
    exact = scipy_permutation_test(
        (y[:, 0],),
        lambda moved: np.corrcoef(moved, p[:, 0])[0, 1],
        permutation_type="pairings",
        alternative="greater" if alternative == "two-sided" else alternative,
        n_resamples=np.inf,
    )
    extreme = exact.pvalue
    if alternative == "two-sided":  # of absolute values; SciPy doubles the smaller tail
        extreme = (np.abs(exact.null_distribution) >= abs(exact.statistic) - 1e-12).mean()
    n_perm = 40_000
    result = permutation_test(
        y, p, n_perm=n_perm, alternative=alternative, random_state=0, targets=["only"]
    )
    assert result.score[0] == pytest.approx(exact.statistic, abs=TOLERANCES["fp64_score"])
    error = np.sqrt(extreme * (1 - extreme) / n_perm)
    assert result.p[0] == pytest.approx(extreme, abs=4 * error + 1 / n_perm)
    assert result.p[0] == result.p_fwe[0] == result.p_fdr[0]


def test_p_approaches_that_of_all_signs() -> None:
    y, p = simulate(n_stim=10, n_vox=1, seed=4, signal=0.3)
    products = (y - y.mean(0)) * (p - p.mean(0))
    exact = scipy_permutation_test(
        (products[:, 0],),
        np.sum,
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=False,
    )
    n_perm = 40_000
    result = permutation_test(y, p, n_perm=n_perm, scheme="sign", random_state=0)
    error = np.sqrt(exact.pvalue * (1 - exact.pvalue) / n_perm)
    assert result.p[0] == pytest.approx(exact.pvalue, abs=4 * error + 1 / n_perm)


def test_two_blocks_have_two_orders() -> None:
    """Half of the draws leave the data as they are, and must count, whatever rounding does."""
    y, p = simulate(n_stim=16, n_vox=40, seed=5, signal=3.0)
    y = 1e6 + y
    result = permutation_test(y, p, blocks=8, n_perm=2000, random_state=0)
    assert result.p.min() > 0.45
    swapped = np.r_[y[8:], y[:8]]
    worse = np.array([np.corrcoef(swapped[:, v], p[:, v])[0, 1] for v in range(40)]) < result.score
    assert worse.sum() > 30
    np.testing.assert_allclose(result.p[worse], 0.5, atol=0.05)


@pytest.mark.parametrize("scheme", ["permute", "circular", "sign"])
def test_the_same_bits_for_any_thread_count(scheme: str) -> None:
    y, p = simulate(n_stim=90, n_vox=403)
    results = [
        permutation_test(
            y, p, folds=np.arange(90) // 30, scheme=scheme, n_perm=501, random_state=1, n_threads=n
        )
        for n in (1, 2, 3)
    ]
    for other in results[1:]:
        for name in ("score", "p", "p_fwe", "p_fdr", "null_band", "null_extremes"):
            np.testing.assert_array_equal(getattr(other, name), getattr(results[0], name))


def test_work_that_is_cut_into_pieces() -> None:
    """So many permutations that voxels, draws and turns are all cut."""
    y, p = simulate(n_stim=12, n_vox=70, seed=6)
    n_perm = 120_001
    result = permutation_test(y, p, n_perm=n_perm, random_state=3, scheme="circular")
    few = permutation_test(y[:, 60:], p[:, 60:], n_perm=n_perm, random_state=3, scheme="circular")
    np.testing.assert_array_equal(result.p[60:], few.p)
    np.testing.assert_array_equal(result.null_band[:, 60:], few.null_band)
    exact = np.array(
        [[np.corrcoef(np.roll(y[:, v], s), p[:, v])[0, 1] for s in range(12)] for v in range(70)]
    )
    share = (exact >= result.score[:, None] - 1e-12).mean(1)
    np.testing.assert_allclose(result.p, share, atol=5 * 0.5 / np.sqrt(n_perm))


def test_draws_that_are_too_many_to_keep() -> None:
    y, p = simulate(n_stim=150, n_vox=60, seed=6, signal=0.1)
    n_perm = 120_001  # 72 MB of draws, and room for 48 voxels at a time
    result = permutation_test(y, p, n_perm=n_perm, random_state=3)
    few = permutation_test(y[:, 45:], p[:, 45:], n_perm=n_perm, random_state=3)
    np.testing.assert_array_equal(result.p[45:], few.p)
    normal = 1 - NormalDist().cdf(result.score[0] * np.sqrt(149))
    assert result.p[0] == pytest.approx(normal, abs=0.005)


def test_constants() -> None:
    y, p = simulate(seed=8)
    y[:, 1] = 3.7  # constant in every fold
    y[FOLDS == 0, 2] = 0.1  # constant in one fold
    p[:, 3] = 0.1  # constant prediction
    with pytest.warns(ConstantTargetWarning, match="1 of 11 targets are constant in every fold"):
        result = permutation_test(y, p, folds=FOLDS, n_perm=99, random_state=0)
    for values in (result.score, result.p, result.p_fwe, result.p_fdr, result.null_band[0]):
        assert np.isnan(values[1])
        assert np.isfinite(np.delete(values, 1)).all()
    np.testing.assert_allclose(
        result.score[2], np.mean(fold_scores(y[:, 2], p[:, 2], FOLDS, "r")), **CLOSE
    )
    assert result.score[3] == 0
    assert result.p[3] == 1
    with pytest.warns(ConstantTargetWarning, match="3 of 3"):
        none = permutation_test(np.ones((9, 3)), p[:9, :3], n_perm=19, random_state=0)
    assert np.isnan(none.p_fwe).all()
    assert np.isnan(none.null_extremes).all()


def test_kinds_of_arrays() -> None:
    y, p = simulate(seed=9)
    options = {"n_perm": 99, "random_state": 0, "folds": FOLDS}
    base = permutation_test(y, p, **options)
    frozen = np.asfortranarray(y)
    frozen.flags.writeable = False
    for a, b in [(frozen, p), (torch.from_numpy(y), torch.from_numpy(p)), (y.tolist(), p)]:
        np.testing.assert_array_equal(permutation_test(a, b, **options).p, base.p)
    single = permutation_test(y.astype(np.float32), p.astype(np.float32), **options)
    exact = permutation_test(y.astype(np.float32).astype(float), p.astype(np.float32), **options)
    np.testing.assert_array_equal(single.score, exact.score)  # sums are fp64 all the same
    one = permutation_test(y[:, 0], p[:, 0], **options)
    assert one.p.shape == (1,)
    assert one.p[0] == base.p[0]
    shuffled = np.random.default_rng(0).permutation(N_STIM)
    names = np.array(["run a", "run b", "run c"])[FOLDS]
    mixed = permutation_test(y[shuffled], p[shuffled], folds=names[shuffled], n_perm=99)
    np.testing.assert_allclose(mixed.score, base.score, **CLOSE)


def test_predictions_of_scores() -> None:
    y, p = simulate(seed=14)
    rng = np.random.default_rng(0)
    never = rng.permutation(N_STIM)[:8]
    p[never] = np.nan
    names = [f"v{i}" for i in range(N_VOX)]
    scores = Scores(
        {"fc": np.zeros((3, N_VOX))},
        scoring="r",
        route={},
        targets=names,
        predictions={"fc": p},
    )
    kept = np.setdiff1d(np.arange(N_STIM), never)
    result = permutation_test(y, scores, folds=FOLDS, blocks=BLOCKS, n_perm=99, random_state=0)
    expected = permutation_test(
        y[kept], p[kept], folds=FOLDS[kept], blocks=BLOCKS[kept], n_perm=99, random_state=0
    )
    np.testing.assert_array_equal(result.p, expected.p)
    assert result.targets == tuple(names)
    two = Scores({"a": np.zeros((3, 2)), "b": np.zeros((3, 2))}, scoring="r", route={})
    with pytest.raises(ValueError, match="these scores have 2 layers"):
        permutation_test(y, two)


def test_offsets_of_a_million_in_float32() -> None:
    y, p = simulate(seed=10)
    y32, p32 = (1e6 + 8 * y).astype(np.float32), (-1e6 + 8 * p).astype(np.float32)
    result = permutation_test(y32, p32, folds=FOLDS, n_perm=19, random_state=0)
    expected = [
        np.mean(fold_scores(a, b, FOLDS, "r"))
        for a, b in zip(y32.T.astype(float), p32.T.astype(float), strict=True)
    ]
    np.testing.assert_allclose(result.score, expected, **CLOSE)


@pytest.mark.filterwarnings("error::dnnbrain_cpp.exceptions.NullBandWarning")
def test_a_map_inside_chance_is_said_to_be() -> None:
    y, p = simulate(n_vox=60, signal=0.0, seed=11)
    with pytest.warns(NullBandWarning, match="of 60 targets none is significant at 0.05"):
        permutation_test(y, p, n_perm=999, random_state=0)
    y[:, 5] = p[:, 5]
    result = permutation_test(y, p, n_perm=999, random_state=0)  # no warning: one voxel stands out
    assert result.p_fwe[5] == 1 / 1000
    permutation_test(y[:, :3], p[:, :3], n_perm=9, random_state=0)  # too few to say so


def test_the_result_tells_what_it_is() -> None:
    y, p = simulate(seed=12)
    names = [f"v{i}" for i in range(N_VOX)]
    result = permutation_test(y, p, n_perm=199, random_state=5, targets=names, fdr="by")
    frame = result.to_frame()
    assert list(frame) == ["target", "score", "p", "p_fwe", "p_fdr", "null_low", "null_high"]
    assert list(frame["target"]) == names
    np.testing.assert_array_equal(frame["p_fdr"], stats.adjust(result.p, method="by"))
    assert "199 permutations (permute, greater), seed 5" in repr(result)
    again = permutation_test(y, p, n_perm=199, random_state=result.seed)
    np.testing.assert_array_equal(again.p, result.p)
    other = permutation_test(y, p, n_perm=199, random_state=6)
    assert not np.array_equal(other.p, result.p)


def test_progress_and_cancelling() -> None:
    y, p = simulate()
    seen: list[tuple[int, int]] = []
    permutation_test(y, p, n_perm=99, random_state=0, progress=lambda *at: seen.append(at))
    assert seen[-1][0] == seen[-1][1]
    with pytest.raises(Cancelled):
        permutation_test(y, p, n_perm=99, progress=lambda done, total: False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_perm": 0}, "n_perm must be at least 1; got 0"),
        ({"measured": np.full((48, 11), np.nan)}, "measured must be finite"),
        ({"predicted": np.full((48, 11), np.inf)}, "predicted must be finite"),
        ({"predicted": np.zeros((48, 10))}, r"one shape; got \(48, 11\) and \(48, 10\)"),
        ({"measured": np.zeros((1, 2)), "predicted": np.zeros((1, 2))}, "at least 2 stimuli"),
        ({"measured": np.zeros((9, 0)), "predicted": np.zeros((9, 0))}, "1 target"),
        ({"folds": np.arange(48)}, "every fold must hold out at least 2 stimuli.*holds out 1"),
        ({"folds": np.zeros(7)}, r"folds must label each of the 48 stimuli; got shape \(7,\)"),
        ({"folds": np.full(48, np.nan)}, "folds must be finite"),
        ({"blocks": np.zeros(48)}, "at least 2 blocks to change places; fold 0 has 1"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"blocks": 16, "folds": FOLDS}, "at least 2 blocks to change places; fold 1 has 1"),
        ({"blocks": np.zeros(48), "scheme": "sign"}, "at least 2 blocks to change signs"),
        ({"scheme": "circular", "min_shift": 25}, "at least 50 rows .* series 0 has 48"),
        ({"scheme": "rotate"}, "scheme must be one of"),
        ({"scoring": "r2", "alternative": "two-sided"}, "needs scoring='r'"),
        ({"fdr": "holm"}, "fdr must be one of 'bh', 'by'"),
        ({"targets": ["a"]}, "targets must name 11 targets; got 1"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    y, p = simulate()
    options = {"measured": y, "predicted": p, "n_perm": 9, **change}
    with pytest.raises(ValueError, match=message):
        permutation_test(options.pop("measured"), options.pop("predicted"), **options)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["permute", "circular", "sign"])
def test_false_positives_come_at_their_rate(scheme: str) -> None:
    """2000 independent nulls; for family-wise error 2000 maps of 5 voxels."""
    rng = np.random.default_rng(13)
    y, p = rng.standard_normal((2, 60, 2000))
    result = permutation_test(
        y, p, folds=np.repeat([0, 1, 2], 20), scheme=scheme, n_perm=999, random_state=0
    )
    assert 0.04 <= (result.p <= 0.05).mean() <= 0.06
    maps = [
        permutation_test(
            y[:, i : i + 5], p[:, i : i + 5], scheme=scheme, n_perm=199, random_state=i
        )
        for i in range(0, 2000, 5)
    ]
    family = np.mean([(m.p_fwe <= 0.05).any() for m in maps])
    assert 0.02 <= family <= 0.08  # 400 maps: four standard errors


@pytest.mark.slow
def test_time_series_want_rotations_or_blocks() -> None:
    """Series of lag-1 correlation 0.8: shuffled volumes would find four times too much."""
    rng = np.random.default_rng(15)

    def series() -> NDArray[np.float64]:
        out = rng.standard_normal((400, 2000))
        for t in range(1, 400):
            out[t] += 0.8 * out[t - 1]
        return out[100:]

    y, p = series(), series()
    runs = np.repeat([0, 1, 2], 100)
    options: dict[str, Any] = {"folds": runs, "n_perm": 999, "random_state": 0}
    shuffled = permutation_test(y, p, **options)
    rotated = permutation_test(y, p, scheme="circular", **options)
    blocked = permutation_test(y, p, blocks=20, **options)
    assert (shuffled.p <= 0.05).mean() > 0.15
    assert 0.035 <= (rotated.p <= 0.05).mean() <= 0.07  # the ends of a run do not meet
    assert (blocked.p <= 0.05).mean() <= 0.08
