"""Jobs that take 20 GB when they are written down naively, within one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp.linear import RidgeCV
from limited import GIB, run_within

GB = 10**9
N, P, T = 200, 700_000, 3_600
TALL_N, TALL_P, TALL_T, TALL_ALPHAS = 6_000, 100, 8_000, 60


def write_noise(path: Path, rows: NDArray[np.float32], n_column: int, *, seed: int) -> None:
    """Write a matrix of noise about a value for each row, some rows at a time."""
    rng = np.random.default_rng(seed)
    shape = len(rows), n_column
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for row in range(0, len(rows), 50):
        part = out[row : row + 50]
        part[:] = rng.random(part.shape, dtype=np.float32) + rows[row : row + 50, None]


def written(folder: Path, shape: tuple[int, int, int]) -> Iterator[str]:
    """Write features and responses, the first target on a line with the features; say how to read.

    Files are gone afterwards: pytest keeps the folders of its last runs.
    """
    n, p, t = shape
    latent = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    write_noise(folder / "X.npy", latent, p, seed=1)
    write_noise(folder / "Y.npy", np.zeros_like(latent), t, seed=2)
    responses: Any = np.load(folder / "Y.npy", mmap_mode="r+")
    responses[:, 0] += 3 * latent
    responses.flush()
    yield f"X, Y = (np.load({str(folder)!r} + f'/{{name}}.npy', mmap_mode='r') for name in 'XY')\n"
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Features of which a copy in float64 does not fit."""
    assert 8 * N * P > GIB
    yield from written(tmp_path_factory.mktemp("wide"), (N, P, T))


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Many rows and targets of few features."""
    yield from written(tmp_path_factory.mktemp("tall"), (TALL_N, TALL_P, TALL_T))


@pytest.mark.slow
def test_ridge_of_many_features(wide: str) -> None:
    assert 8 * P * T >= 20 * GB  # weights
    script = """
        for standardize in (None, "fold"):
            model = linear.RidgeCV(
                [1.0, 1e4, 1e6], cv=2, scoring="r2", standardize=standardize, budget_bytes=10**9
            )
            model.fit(X, Y)
            assert model.plan_.form == "kernel"
            assert model.plan_.peak_bytes <= 10**9
            assert model.best_score_.argmax() == 0
            assert model.best_score_[0] > 0.9
            error = model.predict(X[:20])[:, 0] - Y[:20, 0]
            assert abs(error).max() < 2
    """
    run_within(GIB, wide, script)


@pytest.mark.slow
def test_ridge_of_many_rows_and_targets(tall: str) -> None:
    assert 8 * TALL_N * TALL_T * TALL_ALPHAS >= 20 * GB  # predictions of all penalties
    script = f"""
        alphas = np.logspace(0, 6, {TALL_ALPHAS})
        model = linear.RidgeCV(alphas, scoring="r2", budget_bytes=10**9).fit(X, Y)
        assert model.plan_.form == "features"
        assert model.plan_.peak_bytes <= 10**9
        assert model.best_score_.argmax() == 0
        assert model.coef_.shape == ({TALL_T}, {TALL_P})
    """
    run_within(GIB, tall, script)


@pytest.mark.slow
def test_regression_on_components(wide: str) -> None:
    script = """
        model = linear.PCRegression([1, 5, 20], scoring="r2").fit(X, Y)
        assert model.best_score_[0] > 0.9
        assert model.predict(X[:20]).shape == (20, Y.shape[1])
    """
    run_within(GIB, wide, script)


@pytest.mark.slow
def test_encoding(wide: str) -> None:
    script = """
        from sklearn.cross_decomposition import PLSRegression
        from sklearn.linear_model import RidgeCV

        for estimator in (None, RidgeCV([1.0, 1e4]), PLSRegression(2, scale=False)):
            scores = encoding.encode(X, Y, estimator=estimator, cv=3)
            assert not scores.fallbacks
            assert scores.mean("features").argmax() == 0
    """
    run_within(GIB, wide, script)


def test_a_budget_too_small_is_told_before_any_work() -> None:
    rng = np.random.default_rng(0)
    model = RidgeCV([1.0], budget_bytes=1 << 20)
    with pytest.raises(MemoryError, match=r"needs at least .* 1\.0 MiB are allowed"):
        model.fit(rng.standard_normal((300, 500)), rng.standard_normal((300, 10)))
    assert not hasattr(model, "alpha_")
