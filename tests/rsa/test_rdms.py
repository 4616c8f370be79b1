"""The container: shapes, order of pairs, selection by place, name and id."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import squareform

from dnnbrain_cpp import rsa

IDS = ["ant", "bee", "cat", "dog", "eel"]


def make(n_rdm: int = 3) -> rsa.RDMs:
    values = np.random.default_rng(0).random((n_rdm, 10))
    return rsa.RDMs(values, ids=IDS, names=[f"s{i}" for i in range(n_rdm)], metric="correlation")


def test_pairs_are_ordered_as_in_scipy() -> None:
    rdms = make()
    for condensed, square in zip(rdms.dissimilarities, rdms.square(), strict=True):
        np.testing.assert_array_equal(square, squareform(condensed))
        np.testing.assert_array_equal(condensed, squareform(square))


def test_square_and_back() -> None:
    rdms = make()
    again = rsa.RDMs.from_square(rdms.square(), ids=rdms.ids, names=rdms.names)
    np.testing.assert_array_equal(again.dissimilarities, rdms.dissimilarities)
    one = rsa.RDMs.from_square(rdms.square()[0])
    assert len(one) == 1
    assert one.ids is None


def test_one_rdm_may_be_flat() -> None:
    rdms = rsa.RDMs([1.0, 2.0, 3.0])
    assert (len(rdms), rdms.n_cond, rdms.names) == (1, 3, ("rdm-01",))
    assert rsa.RDMs(torch.ones(2, 6)).n_cond == 4


def test_negative_dissimilarities_are_allowed() -> None:
    """Crossvalidated distances of equal patterns are negative half of the time."""
    assert rsa.RDMs([-1.0, 0.0, 2.0]).dissimilarities.min() == -1


def test_selection_by_place_and_name() -> None:
    rdms = make()
    for index, row in [(1, 1), (-1, 2), (np.int64(0), 0), ("s2", 2)]:
        one = rdms[index]  # type: ignore[index]
        assert isinstance(one, rsa.RDM)
        np.testing.assert_array_equal(one.dissimilarities, rdms.dissimilarities[row])
        assert (one.name, one.ids, one.metric) == (rdms.names[row], rdms.ids, "correlation")
    for index, rows in [
        (slice(0, 2), [0, 1]),
        ([2, 0], [2, 0]),
        (["s2", "s0"], [2, 0]),
        ([1], [1]),
        (np.array([True, False, True]), [0, 2]),
    ]:
        chosen = rdms[index]  # type: ignore[index]
        np.testing.assert_array_equal(chosen.dissimilarities, rdms.dissimilarities[rows])
        assert chosen.names == tuple(rdms.names[row] for row in rows)
        assert (chosen.ids, chosen.metric) == (rdms.ids, "correlation")
    with pytest.raises(KeyError, match="no RDM 'x'; there are s0, s1, s2"):
        rdms["x"]
    with pytest.raises(IndexError):
        rdms[3]
    with pytest.raises(KeyError, match="no RDM 'y'"):
        rdms[["s0", "y"]]
    assert [one.name for one in rdms] == ["s0", "s1", "s2"]


def test_selection_by_id_reorders_rows_and_columns() -> None:
    rdms = make()
    rows = [4, 0, 3]
    chosen = rdms.select([IDS[row] for row in rows])
    np.testing.assert_array_equal(chosen.square(), rdms.square()[:, rows][:, :, rows])
    assert chosen.ids == ("eel", "ant", "dog")
    assert chosen.names == rdms.names


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["ant", "bee", "fox"], r"among the 5 conditions; 'fox' \(1 in all\)"),
        (["ant", "ant", "bee"], "unique; 'ant'"),
        (["ant", "bee"], "at least 3 conditions; got 2"),
    ],
)
def test_wrong_selection(ids: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().select(ids)


def test_nothing_to_select_by() -> None:
    with pytest.raises(ValueError, match="no ids to select by"):
        rsa.RDMs(np.ones(10)).select(IDS)


def test_mean() -> None:
    rdms = make()
    np.testing.assert_allclose(rdms.mean().dissimilarities, rdms.dissimilarities.mean(0))
    assert rdms.mean().name == "mean"
    assert rdms.mean().ids == rdms.ids


def test_repr_and_pickle() -> None:
    rdms = make(6)
    assert repr(rdms) == "RDMs(6 x 5 conditions, correlation: s0, s1, s2, s3, ...)"
    again = pickle.loads(pickle.dumps(rdms))
    np.testing.assert_array_equal(again.dissimilarities, rdms.dissimilarities)
    assert (again.ids, again.names) == (rdms.ids, rdms.names)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(1), "at least 3 conditions; got 2"),
        (np.ones(4), r"n \(n - 1\) / 2 values; got 4"),
        (np.ones((0, 3)), "at least one RDM"),
        (np.ones((2, 2, 2)), r"1-D or 2-D; got shape \(2, 2, 2\)"),
        ([1.0, np.nan, 2.0], r"must be finite; 1 of 3.*\(0, 1\)"),
    ],
)
def test_wrong_values(values: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rsa.RDMs(values)


def test_wrong_numbers_of_ids_and_names() -> None:
    with pytest.raises(ValueError, match="ids must name 3 items; got 2"):
        rsa.RDMs([1.0, 2.0, 3.0], ids=["a", "b"])
    with pytest.raises(ValueError, match="names must name 1 items; got 2"):
        rsa.RDMs([1.0, 2.0, 3.0], names=["a", "b"])
    with pytest.raises(ValueError, match="names must be unique; 'a'"):
        rsa.RDMs(np.ones((2, 3)), names=["a", "a"])


def square(scale: float = 1.0) -> NDArray[np.float64]:
    return squareform(np.arange(1.0, 11.0)) * scale


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_a_matrix_that_is_not_symmetric_is_refused_at_its_own_scale(scale: float) -> None:
    """Beside one whose values are a billion times larger, too."""
    wrong = square(scale)
    wrong[1, 3] *= 1.001
    with pytest.raises(ValueError, match=r"must be symmetric.*differ by up to"):
        rsa.RDMs.from_square(wrong)
    with pytest.raises(ValueError, match="must be symmetric"):
        rsa.RDMs.from_square(np.stack([square(1e9 * scale), wrong]))
    rounded = square(scale)
    rounded[1, 3] *= 1 + 1e-9  # as fp32 files are
    assert len(rsa.RDMs.from_square(rounded)) == 1


def test_a_diagonal_that_is_not_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"zero diagonal; got values up to 1.*1 - similarity"):
        rsa.RDMs.from_square(np.eye(4))
    with pytest.raises(ValueError, match="zero diagonal"):
        rsa.RDMs.from_square(np.stack([square(1e9), square() + np.eye(5)]))


def test_matrices_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match="square; got matrices of 4 x 5"):
        rsa.RDMs.from_square(np.zeros((3, 4, 5)))
    wrong = square()
    wrong[0, 1] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        rsa.RDMs.from_square(wrong)


def test_one_rdm() -> None:
    one = make()["s1"]
    np.testing.assert_array_equal(one.square(), make().square()[1])
    assert (one.n_cond, one.n_pair) == (5, 10)
    again = rsa.RDM.from_square(one.square(), ids=IDS, name="other")
    np.testing.assert_array_equal(again.dissimilarities, one.dissimilarities)
    assert (again.name, again.ids) == ("other", tuple(IDS))
    assert one.rename("v").name == "v"
    rows = [3, 1, 0]
    chosen = one.select([IDS[row] for row in rows])
    np.testing.assert_array_equal(chosen.square(), one.square()[np.ix_(rows, rows)])
    assert repr(one) == "RDM(s1: 5 conditions, correlation)"
    with pytest.raises(ValueError, match="1-D; got shape"):
        rsa.RDM(np.ones((2, 10)))  # type: ignore[arg-type]


def test_rdms_from_several() -> None:
    rdms = make()
    again = rsa.RDMs([rdms[2], rdms[0]])
    assert (again.names, again.ids, again.metric) == (("s2", "s0"), rdms.ids, "correlation")
    np.testing.assert_array_equal(again.dissimilarities, rdms.dissimilarities[[2, 0]])
    with pytest.raises(ValueError, match="same ids in the same order"):
        rsa.RDMs([rdms[0], rdms[1].select(IDS[::-1])])
    with pytest.raises(TypeError, match="must be RDMs; got int"):
        rsa.RDMs([rdms[0], 3])  # type: ignore[list-item]


def test_concat_joins_by_id() -> None:
    rdms = make()
    turned = rdms[0].select(IDS[::-1]).rename("turned")
    joined = rsa.RDMs.concat([rdms, turned])
    assert joined.names == ("s0", "s1", "s2", "turned")
    np.testing.assert_array_equal(joined["turned"].dissimilarities, rdms[0].dissimilarities)
    fewer = rdms[1].select(["eel", "cat", "bee", "ant"]).rename("fewer")
    with pytest.raises(ValueError, match="'dog' is not in all of them"):
        rsa.RDMs.concat([rdms, fewer])
    common = rsa.RDMs.concat([rdms, fewer], how="inner")
    assert common.ids == ("ant", "bee", "cat", "eel")
    np.testing.assert_array_equal(common["fewer"].dissimilarities, common["s1"].dissimilarities)


def test_concat_of_what_does_not_fit() -> None:
    rdms = make()
    with pytest.raises(ValueError, match="unique; 's0'"):
        rsa.RDMs.concat([rdms, rdms[0]])
    with pytest.raises(ValueError, match="either all RDMs must have ids or none"):
        rsa.RDMs.concat([rdms, rsa.RDM(np.ones(10))])
    with pytest.raises(ValueError, match=r"as many conditions; got \[3, 5\]"):
        rsa.RDMs.concat([rsa.RDM(np.ones(10)), rsa.RDM(np.ones(3), name="b")])
    with pytest.raises(ValueError, match="at least one RDM"):
        rsa.RDMs.concat([])
    mixed = rsa.RDMs.concat([rdms, rsa.RDM(np.ones(10), ids=IDS, name="c", metric="cosine")])
    assert mixed.metric is None


def test_one_row_per_pair() -> None:
    rdms = make(2)
    frame = rdms.to_frame()
    assert list(frame) == ["rdm", "first", "second", "dissimilarity"]
    assert len(frame) == 20
    row = frame[(frame["rdm"] == "s1") & (frame["first"] == "bee") & (frame["second"] == "eel")]
    assert row["dissimilarity"].item() == rdms.square()[1, 1, 4]
    assert rsa.RDM(np.ones(3)).to_frame()["second"].tolist() == [1, 2, 2]
