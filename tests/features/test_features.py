"""`Features`: a mapping whose rows keep their stimuli."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dnnbrain_cpp import Features, Network, Stimuli, extract
from dnnbrain_cpp.features import Gram
from features.naive import difference
from tolerances import TOLERANCES

IDS = ("a", "b", "c", "d")


@pytest.fixture
def units() -> NDArray[Any]:
    return np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def test_from_arrays_flattens_and_keeps_the_dtype(units: NDArray[Any]) -> None:
    features = Features.from_arrays(
        {"a": units, "b": units.reshape(4, 2, 3).astype(np.float64), "c": torch.arange(4)},
        ids=IDS,
    )
    assert list(features) == features.layers == ["a", "b", "c"]
    assert [np.asarray(layer).dtype.str for layer in features.values()] == ["<f4", "<f8", "<f8"]
    assert [np.shape(layer) for layer in features.values()] == [(4, 6), (4, 6), (4, 1)]
    assert (len(features), features.n_stim, features.ids) == (3, 4, IDS)
    assert np.shares_memory(np.asarray(features["a"]), units)


def test_memory_mapped_arrays_stay_on_the_disk(units: NDArray[Any], tmp_path: Any) -> None:
    np.save(tmp_path / "units.npy", units)
    mapped = np.load(tmp_path / "units.npy", mmap_mode="r")
    assert np.shares_memory(np.asarray(Features.from_arrays({"a": mapped})["a"]), mapped)


@pytest.mark.parametrize("wanted", [("c", "a"), ["b"], IDS])
def test_select_takes_stimuli_by_id(wanted: Any, units: NDArray[Any]) -> None:
    features = Features(
        {"kept": units, "gram": Gram.from_features(units)},
        ids=IDS,
        reduce={"kept": "keep", "gram": "gram"},
        shapes={"kept": (6,), "gram": (6,)},
        skipped=[("e", "no image")],
        fidelity={"kept": 0.5},
    )
    rows = [IDS.index(name) for name in wanted]
    chosen = features.select(wanted)
    assert chosen.ids == tuple(wanted)
    assert np.array_equal(np.asarray(chosen["kept"]), units[rows])
    kernel = np.asarray(features["gram"])[np.ix_(rows, rows)]
    assert difference(chosen["gram"], kernel) == TOLERANCES["exact"]
    for fact in ("reduce", "shapes", "skipped", "fidelity"):
        assert getattr(chosen, fact) == getattr(features, fact)


def test_what_select_and_the_constructor_refuse(units: NDArray[Any]) -> None:
    features = Features.from_arrays({"a": units}, ids=IDS)
    with pytest.raises(ValueError, match=r"'x' \(2 in all\) is not"):
        features.select(["a", "x", "y"])
    with pytest.raises(ValueError, match="ids must be unique; 'a' comes more than once"):
        features.select(["a", "a"])
    with pytest.raises(ValueError, match="no ids to select by"):
        Features.from_arrays({"a": units}).select(["a"])
    with pytest.raises(ValueError, match="at least one layer"):
        Features({})
    with pytest.raises(ValueError, match=r"same n_stim; got {'a': 4, 'b': 3}"):
        Features({"a": units, "b": units[:3]})
    with pytest.raises(ValueError, match="ids must name 4 items; got 3"):
        Features.from_arrays({"a": units}, ids=IDS[:3])
    with pytest.raises(KeyError, match="no layer 'z'; there are a"):
        features["z"]


def test_facts_cannot_be_changed_from_outside(network: Network, stimuli: Stimuli) -> None:
    features = extract(network, stimuli, "0", reduce="mean")
    features.reduce["0"] = features.shapes["0"] = None  # type: ignore[assignment]
    features.layers.clear()
    assert features.reduce == {"0": "mean"}
    assert features.shapes == {"0": (6, 14, 14)}
    assert features.layers == ["0"]


def test_features_print_as_one_screen(network: Network, stimuli: Stimuli) -> None:
    few = extract(network, stimuli, ["0", "13"], reduce={"0": "mean", "13": "gram"})
    assert repr(few).splitlines() == [
        "Features: 2 layers, 5 stimuli, 0.0 MiB",
        "  0   6x14x14  mean  6",
        "  13        4  gram  4",
    ]
    many = Features.from_arrays({f"layer{i}": np.zeros((5, 3)) for i in range(100)})
    assert len(repr(many).splitlines()) == 25
    assert "..." in repr(many)
    assert few._repr_html_().count("<tr>") == 3
    assert "6x14x14" in few._repr_html_()
