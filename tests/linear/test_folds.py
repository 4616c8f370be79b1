"""Folds: scikit-learn's rows, gaps around held-out ones, and refusals before any work."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_score,
)

from dnnbrain_cpp._native import core
from dnnbrain_cpp.linear import FoldPlan

N_STIM = 24
RUNS = np.repeat(["a", "b", "c", "d"], 6)
CLASSES = np.arange(N_STIM) % 3


def assert_same_rows(plan: FoldPlan, splits: Any) -> None:
    expected = list(splits)
    assert len(plan) == len(expected)
    for (train, test), (train_too, test_too) in zip(plan, expected, strict=True):
        np.testing.assert_array_equal(train, train_too)
        np.testing.assert_array_equal(test, test_too)


@pytest.mark.parametrize(
    ("cv", "splitter"),
    [
        (5, KFold(5)),
        (None, KFold(5)),
        (np.int32(4), KFold(4)),
        (KFold(3, shuffle=True, random_state=1), KFold(3, shuffle=True, random_state=1)),
        ("loo", LeaveOneOut()),
        (RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),) * 2,
        (ShuffleSplit(4, test_size=0.2, train_size=0.5, random_state=0),) * 2,
        (PredefinedSplit(np.r_[np.full(4, -1), np.arange(20) // 5]),) * 2,
        (TimeSeriesSplit(3, gap=2),) * 2,
    ],
)
def test_rows_are_those_of_the_splitter(cv: Any, splitter: Any) -> None:
    plan = FoldPlan.make(cv, n_stim=N_STIM, min_test=1)
    assert_same_rows(plan, splitter.split(np.zeros(N_STIM)))
    assert plan.n_stim == N_STIM
    assert all(rows.dtype == np.int64 for fold in plan for rows in fold)


@pytest.mark.parametrize(
    ("cv", "splitter"),
    [(3, GroupKFold(3)), ("run", LeaveOneGroupOut()), (LeaveOneGroupOut(), LeaveOneGroupOut())],
)
def test_groups_are_held_out_together(cv: Any, splitter: Any) -> None:
    plan = FoldPlan.make(cv, n_stim=N_STIM, groups=RUNS)
    assert_same_rows(plan, splitter.split(np.zeros(N_STIM), groups=RUNS))
    for train, test in plan:
        assert not set(RUNS[train]) & set(RUNS[test])


def test_classes_are_stratified() -> None:
    plan = FoldPlan.make(StratifiedKFold(4), n_stim=N_STIM, y=CLASSES)
    assert_same_rows(plan, StratifiedKFold(4).split(np.zeros(N_STIM), CLASSES))
    for _, test in plan:
        assert list(np.bincount(CLASSES[test])) == [2, 2, 2]


def test_masks_indices_and_plans_are_splits() -> None:
    test = np.arange(N_STIM) < 4
    by_mask = FoldPlan.make([(~test, test)], n_stim=N_STIM)
    assert_same_rows(by_mask, [(np.arange(4, N_STIM), np.arange(4))])
    unsorted = FoldPlan.make([([5, 3, 1], np.array([4, 2], dtype=np.uint8))], n_stim=N_STIM)
    assert_same_rows(unsorted, [([5, 3, 1], [4, 2])])
    again = FoldPlan.make(by_mask, n_stim=N_STIM)
    assert_same_rows(again, by_mask)
    assert again.scheme == by_mask.scheme == "given splits"
    with pytest.raises(ValueError, match="folds of 30 stimuli; got FoldPlan"):
        FoldPlan.make(by_mask, n_stim=30)


def test_training_rows_may_repeat() -> None:
    plan = FoldPlan.make([([0, 0, 1, 5], [2, 3])], n_stim=6)
    assert plan.has_repeats
    assert list(plan[0][0]) == [0, 0, 1, 5]
    assert list(plan.gap(0)) == [4]
    assert repr(plan).endswith("4 train, 2 held out, 1 in neither)")
    assert not FoldPlan.make(3, n_stim=6).has_repeats


def test_a_plan_is_a_cv_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(N_STIM, 3)), rng.normal(size=N_STIM)
    plan = FoldPlan.make("run", n_stim=N_STIM, groups=RUNS)
    ours = cross_val_score(Ridge(), x, y, cv=plan)
    theirs = cross_val_score(Ridge(), x, y, cv=LeaveOneGroupOut(), groups=RUNS)
    np.testing.assert_array_equal(ours, theirs)


def test_immutable_and_picklable() -> None:
    plan = FoldPlan.make(4, n_stim=N_STIM)
    with pytest.raises(ValueError, match="read-only"):
        plan[0][0][0] = 3
    with pytest.raises(AttributeError):
        plan.n_stim = 3  # type: ignore[misc]
    mine = np.arange(4)
    held = FoldPlan.make([(np.arange(4, 8), mine)], n_stim=N_STIM)
    mine[0] = 3
    assert held[0][1][0] == 0
    assert_same_rows(pickle.loads(pickle.dumps(plan)), plan)
    assert len(plan[1:3]) == 2


def test_tensors_for_the_core() -> None:
    plan = FoldPlan.make(4, n_stim=N_STIM)
    for (train, test), (rows, held_out) in zip(plan, plan.tensors(), strict=True):
        assert rows.dtype == held_out.dtype == torch.int64
        np.testing.assert_array_equal(rows.numpy(), train)
        np.testing.assert_array_equal(held_out.numpy(), test)


@pytest.mark.parametrize(
    ("cv", "partition", "gaps"),
    [
        (5, True, False),
        ("loo", True, False),
        (RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), False, False),
        (ShuffleSplit(3, test_size=8, train_size=8, random_state=0), False, True),
        (TimeSeriesSplit(3), False, True),
        ([(np.arange(12), np.arange(12, 24)), (np.arange(12, 20), np.arange(12))], True, True),
    ],
)
def test_partition_and_gaps(cv: Any, partition: bool, gaps: bool) -> None:
    plan = FoldPlan.make(cv, n_stim=N_STIM, min_test=1)
    assert plan.is_partition is partition
    assert plan.has_gaps is gaps
    for place, (train, test) in enumerate(plan):
        rows = np.concatenate([train, test, plan.gap(place)])
        np.testing.assert_array_equal(np.sort(rows), np.arange(N_STIM))


@given(
    seed=st.integers(0, 2**31),
    purge=st.integers(1, 30),
    lengths=st.lists(st.integers(1, 8), min_size=2, max_size=4),
)
def test_purge_against_a_loop(seed: int, purge: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    runs = np.repeat(np.arange(len(lengths)), lengths)
    order = rng.permutation(len(runs))
    n_test = int(rng.integers(1, len(runs)))
    train, test = np.sort(order[n_test:]), order[:n_test]
    kept = [i for i in train if all(runs[i] != runs[j] or abs(int(i - j)) > purge for j in test)]
    if len(train) < 2:
        return
    if len(kept) < 2:
        with pytest.raises(ValueError, match=f"purge of {purge} rows leaves {len(kept)} in fold 0"):
            FoldPlan.make([(train, test)], n_stim=len(runs), purge=purge, runs=runs, min_test=1)
        return
    plan = FoldPlan.make([(train, test)], n_stim=len(runs), purge=purge, runs=runs, min_test=1)
    assert_same_rows(plan, [(kept, test)])


def test_purge_stays_within_groups_unless_told_where_runs_are() -> None:
    whole = FoldPlan.make("run", n_stim=N_STIM, groups=RUNS, purge=2)
    assert not whole.has_gaps
    blocks = FoldPlan.make(
        "run", n_stim=N_STIM, groups=RUNS, purge=2, runs=np.zeros(N_STIM, dtype=int)
    )
    assert [list(blocks.gap(place)) for place in range(4)] == [
        [6, 7],
        [4, 5, 12, 13],
        [10, 11, 18, 19],
        [16, 17],
    ]
    one_run = FoldPlan.make(4, n_stim=N_STIM, purge=1)
    assert [list(one_run.gap(place)) for place in range(4)] == [[6], [5, 12], [11, 18], [17]]
    with pytest.raises(ValueError, match=r"next to each other.*run 0 of groups.*row 3.*runs="):
        FoldPlan.make(3, n_stim=N_STIM, groups=CLASSES, purge=1)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (FoldPlan.make(5, n_stim=24), "KFold(5): 5 folds of 24 stimuli, 19-20 train, 4-5 held out"),
        (
            FoldPlan.make("run", n_stim=24, groups=RUNS),
            "leave one run out: 4 folds of 24 stimuli, 18 train, 6 held out",
        ),
        (
            FoldPlan.make(4, n_stim=24, purge=2),
            "KFold(4), purge 2: 4 folds of 24 stimuli, 14-16 train, 6 held out, 2-4 in neither",
        ),
        (
            FoldPlan.make([([0, 1], [2, 3])], n_stim=4),
            "given splits: 1 fold of 4 stimuli, 2 train, 2 held out",
        ),
    ],
)
def test_repr_says_scheme_and_sizes(plan: FoldPlan, words: str) -> None:
    assert repr(plan) == f"FoldPlan({words})"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cv": 1}, ValueError, "from 2 to the number of stimuli, 24; got 1"),
        ({"cv": 25}, ValueError, "from 2 to the number of stimuli, 24; got 25"),
        ({"cv": 24}, ValueError, r"hold out at least 2 stimuli.*fold 0 has 23 and 1"),
        ({"cv": "loo"}, ValueError, r"hold out at least 2 stimuli.*fold 0 has 23 and 1"),
        ({"cv": True}, TypeError, "cv must be a number of folds"),
        ({"cv": "runs"}, ValueError, "cv must be one of 'run', 'loo'; got 'runs'"),
        ({"cv": "run"}, ValueError, "groups must say the run"),
        ({"cv": "loo", "groups": RUNS}, ValueError, "Use cv='run'"),
        ({"cv": 5, "groups": RUNS}, ValueError, "number of groups, 4; got 5"),
        ({"cv": 5, "groups": [1, 2]}, ValueError, r"groups must have shape \(24,\); got \(2,\)"),
        ({"cv": LeaveOneGroupOut()}, ValueError, "groups"),
        ({"cv": KFold(3), "groups": RUNS}, UserWarning, "ignored by KFold"),
        ({"cv": StratifiedKFold(3)}, ValueError, "y must give the classes that StratifiedKFold"),
        ({"cv": []}, ValueError, "at least one fold"),
        ({"cv": [([0, 1, 2], [])]}, ValueError, "fold 0 has 3 and 0"),
        ({"cv": [([0], [1, 2])]}, ValueError, "at least 2 stimuli.*fold 0 has 1 and 2"),
        ({"cv": [([0, 1, 2], [2, 3])]}, ValueError, "fold 0 has row 2 in both parts"),
        ({"cv": [([0, 1], [2, 3, 3])]}, ValueError, "fold 0 holds out row 3 2 times"),
        ({"cv": [([0, 1, 2], [23, 24])]}, ValueError, "index 24 stimuli; .* from 0 to 24"),
        ({"cv": [([0, 1, 2], [-1, -2])]}, ValueError, "rows from -2 to 2"),
        ({"cv": [([0.0, 1.0], [2.0, 3.0])]}, TypeError, "integer indices or masks.*float64"),
        ({"cv": [(np.ones(3, bool), np.ones(3, bool))]}, ValueError, r"shape \(24,\); got \(3,\)"),
        (
            {"cv": [([0, 1], [2, 3])], "groups": RUNS},
            ValueError,
            "groups must come with a number of folds or a splitter",
        ),
        ({"cv": 4, "purge": -1}, ValueError, "purge must be at least 0; got -1"),
        ({"cv": 4, "purge": 1.5}, TypeError, "purge must be an integer; got 1.5"),
        ({"cv": 2, "purge": 99}, ValueError, "purge of 99 rows leaves 0 in fold 0"),
        ({"cv": 2, "purge": 1, "runs": [0, 1]}, ValueError, r"runs must have shape \(24,\)"),
        ({"cv": 2, "min_test": 0}, ValueError, "min_test must be at least 1; got 0"),
    ],
)
def test_refusals(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        FoldPlan.make(**options, n_stim=N_STIM)


def test_sums_over_other_folds_are_for_partitions_alone() -> None:
    def pairs(*rows: tuple[list[int], list[int]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(torch.tensor(train), torch.tensor(test)) for train, test in rows]

    assert core.is_partition(pairs(([2, 3], [0, 1]), ([0, 1], [2, 3])), 4)
    assert not core.is_partition(pairs(([2, 2], [0, 1]), ([0, 1], [2, 3])), 4)  # a row twice
    assert not core.is_partition(pairs(([2, 3], [0, 1]), ([0, 1], [2, 1])), 4)  # held out twice
    assert not core.is_partition(pairs(([2], [0, 1]), ([0, 1], [2, 3])), 4)  # a gap
