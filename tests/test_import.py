"""Importing is light: nothing heavy is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dnnbrain_cpp

HEAVY = ["torch", "matplotlib", "nibabel", "sklearn", "pandas", "scipy", "h5py", "torchvision"]
ONLY_WHEN_CALLED = ["matplotlib", "nibabel", "sklearn", "h5py", "torchvision"]


def _loaded_after(statement: str, names: list[str]) -> list[str]:
    code = f"{statement}\nimport sys\nprint(*[n for n in {names} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_the_package_itself_loads_nothing_heavy() -> None:
    assert _loaded_after("import dnnbrain_cpp; dir(dnnbrain_cpp)", [*HEAVY, "numpy"]) == []


def test_the_check_can_fail() -> None:
    assert _loaded_after("import scipy.stats", HEAVY) == ["scipy"]


def test_the_public_modules_load_their_peers_only_when_called() -> None:
    names = [n for n in dnnbrain_cpp.__all__ if n != "__version__"]
    # Estimators are scikit-learn's kind by inheritance, here and in what stands on them.
    linear = {"linear", "encoding", "comparison"}
    rest = [n for n in names if n not in linear]
    statement = "import dnnbrain_cpp\nfor n in {}: getattr(dnnbrain_cpp, n)"
    assert _loaded_after(statement.format(rest), ONLY_WHEN_CALLED) == []
    assert set(_loaded_after(statement.format(names), ONLY_WHEN_CALLED)) <= {"sklearn", "scipy"}


def test_every_public_name_resolves() -> None:
    for name in dnnbrain_cpp.__all__:
        assert getattr(dnnbrain_cpp, name) is not None
    assert set(dnnbrain_cpp.__all__) <= set(dir(dnnbrain_cpp))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'dnnbrain_cpp' has no attribute 'fetch'"):
        _ = dnnbrain_cpp.fetch
