"""The n x n moments of a layer: kernel, selection, numerical safety."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dnnbrain_cpp._native import as_tensor, core
from dnnbrain_cpp.features import Gram
from tolerances import TOLERANCES


def draw(n_stim: int = 20, n_feat: int = 50, offset: float = 0.0) -> NDArray[np.float64]:
    rng = np.random.default_rng([n_stim, n_feat])
    return rng.standard_normal((n_stim, n_feat)) + offset


def kernel_of(features: NDArray[Any]) -> NDArray[np.float64]:
    x = features.astype(np.longdouble)
    centred = x - x.mean(0)
    return np.asarray(centred @ centred.T, dtype=np.float64)


def close(ours: NDArray[Any], expected: NDArray[Any]) -> None:
    bound = TOLERANCES["fp64_reduction"] * np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 1), (1, 9), (20, 50), (7, 3000), (64, 5)])
def test_kernel_of_centred_units(shape: tuple[int, int], dtype: type) -> None:
    features = draw(*shape).astype(dtype)
    gram = Gram.from_features(features)
    assert (gram.n_stim, gram.n_feat) == shape
    assert gram.kernel.dtype == np.float64
    close(gram.kernel, kernel_of(features))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_offset_costs_no_digits(dtype: type) -> None:
    features = draw(30, 400, offset=1e6).astype(dtype)
    expected = kernel_of(features)
    bound = TOLERANCES["fp64_score"] * np.abs(expected).max()
    np.testing.assert_allclose(Gram.from_features(features).kernel, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6 + 0.1])
def test_units_without_variance_add_exactly_nothing(value: float) -> None:
    features = draw(20, 40)
    padded = np.hstack([features, np.full((20, 500), value)])
    assert not Gram.from_features(padded[:, 40:]).kernel.any()
    close(Gram.from_features(padded).kernel, kernel_of(features))


@pytest.mark.parametrize("chunk_bytes", [1, 1000, 20 * 8 * 7, 1 << 20])
def test_chunks_do_not_matter(chunk_bytes: int) -> None:
    features = draw(20, 333, offset=3.0)
    whole = Gram.from_features(features)
    chunked = Gram(core.gram_moments(as_tensor(features), chunk_bytes))
    assert chunked.n_feat == 333
    close(chunked.kernel, whole.kernel)
    for metric in core.Dissimilarity.__members__.values():
        close(chunked.dissimilarities(metric).numpy(), whole.dissimilarities(metric).numpy())


def test_any_array_like(tmp_path: Path) -> None:
    features = draw()
    expected = Gram.from_features(features).kernel
    np.save(tmp_path / "x.npy", features)
    read_only = features.copy()
    read_only.setflags(write=False)
    for other in (
        read_only,
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        np.asfortranarray(features),
        np.repeat(features, 2, axis=1)[:, ::2],
        torch.tensor(features, requires_grad=True),
        features.tolist(),
    ):
        np.testing.assert_array_equal(Gram.from_features(other).kernel, expected)


def test_selection() -> None:
    features = draw()
    gram = Gram.from_features(features)
    rows = [5, 1, 19, 3]
    chosen = gram.select(rows)
    assert (chosen.n_stim, chosen.n_feat) == (4, 50)
    np.testing.assert_array_equal(chosen.kernel, gram.kernel[np.ix_(rows, rows)])
    np.testing.assert_array_equal(chosen.select([3, 0]).kernel, gram.select([3, 5]).kernel)
    np.testing.assert_array_equal(np.asarray(chosen), chosen.kernel)
    assert gram.n_stim == 20  # as it was
    centred = np.eye(4) - 1 / 4
    close(centred @ chosen.kernel @ centred, kernel_of(features[rows]))


def test_copies_and_types_of_its_array() -> None:
    gram = Gram.from_features(draw())
    copy = np.array(gram)
    copy[:] = 0
    assert gram.kernel.any()
    assert np.asarray(gram, dtype=np.float32).dtype == np.float32


def test_repr() -> None:
    assert repr(Gram.from_features(draw())) == "Gram(n_stim=20, n_feat=50)"


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (np.full((3, 2), np.nan), ValueError, "features must be finite; 6 of 6"),
        (np.zeros(3), ValueError, r"features must be 2-D; got shape \(3,\)"),
        (np.zeros((3, 0)), ValueError, "n_feat > 0"),
        ([["a"]], TypeError, "real numbers"),
    ],
)
def test_wrong_features(features: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Gram.from_features(features)
