"""Kendall's tau under permutation: ties on either side, and the same in all forms of the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dnnbrain_cpp import rsa
from oracle.rsa import null_scores, p_values, score_matrix
from tolerances import TOLERANCES

N_COND, N_PERM, SEED = 9, 60, 3
N_PAIR = N_COND * (N_COND - 1) // 2


def draw(n_rdm: int, levels: int, seed: int, n_pair: int = N_PAIR) -> NDArray[np.float64]:
    """RDMs of integers from 1 on; few levels are heavy ties."""
    return np.random.default_rng(seed).integers(1, levels + 1, (n_rdm, n_pair)).astype(float)


@pytest.mark.parametrize("method", ["tau-a", "tau-b"])
@pytest.mark.parametrize(
    "levels",
    [(10**9, 3), (3, 10**9), (20, 15), (15, 20), (3, 3)],
    ids=["subject", "model", "model less", "subject less", "few"],
)
def test_ties_on_either_side_equal_a_loop(method: str, levels: tuple[int, int]) -> None:
    """Which side is relabelled depends on the ties, and the result does not."""
    models, data = draw(2, levels[0], 0), draw(3, levels[1], 1)
    result = rsa.compare(
        rsa.RDMs(models), rsa.RDMs(data), method=method, n_perm=N_PERM, random_state=SEED
    )
    rounding = TOLERANCES["fp64_reduction"]
    observed = score_matrix(method, models, data)
    np.testing.assert_allclose(result.scores, observed, rtol=0, atol=rounding)
    null = null_scores(method, models, data, n_perm=N_PERM, seed=SEED)
    np.testing.assert_array_equal(result.p_values, p_values(null, observed, "two-sided", rounding))


def test_tau_a_and_tau_b_have_the_same_p_value() -> None:
    models, data = rsa.RDMs(draw(3, 6, 4)), rsa.RDMs(draw(4, 8, 5))
    a, b = (
        rsa.compare(models, data, method=method, n_perm=200, random_state=0).p_values
        for method in ("tau-a", "tau-b")
    )
    np.testing.assert_array_equal(a, b)


def test_a_constant_rdm_has_tau_a_of_zero() -> None:
    constant, data = rsa.RDMs(np.ones((1, N_PAIR))), rsa.RDMs(draw(2, 10**9, 6))
    result = rsa.compare(constant, data, method="tau-a", n_perm=20, random_state=0)
    np.testing.assert_array_equal(result.scores, 0)
    np.testing.assert_array_equal(result.p_values, 1)


_SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from dnnbrain_cpp import rsa

rdms = np.load(sys.argv[1])
for n_cond in (40, 370):
    n_pair = n_cond * (n_cond - 1) // 2
    x, y = rsa.RDMs(rdms[:2, :n_pair]), rsa.RDMs(rdms[2:, :n_pair])
    result = rsa.compare(x, y, n_perm=30, random_state=1, n_threads=1)
    print(result.scores.tobytes().hex(), result.p_values.tobytes().hex())
"""


def test_all_forms_give_the_same_bits(tmp_path: Path) -> None:
    """370 conditions have more pairs than 16 bits count."""
    n_pair = 370 * 369 // 2
    rdms = np.concatenate([draw(3, 2**40, 7, n_pair), draw(1, 50, 8, n_pair)])[[0, 3, 1, 2]]
    np.save(str(tmp_path / "rdms.npy"), rdms)
    printed = {
        form: subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(tmp_path / "rdms.npy")],
            env={**os.environ, "DNNBRAIN_SIMD": form},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for form in ("portable", "avx2", "avx512", "avx512vbmi2")
    }
    assert printed["portable"]
    assert len(set(printed.values())) == 1


def test_an_unknown_form_is_refused() -> None:
    script = (
        "import numpy as np; from dnnbrain_cpp import rsa; "
        "x = rsa.RDMs(np.arange(3.0)[None]); rsa.compare(x, x)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DNNBRAIN_SIMD": "sse9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "DNNBRAIN_SIMD must be portable, avx2, avx512 or avx512vbmi2; got 'sse9'." in done.stderr
