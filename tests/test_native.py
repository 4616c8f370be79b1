"""The compiled core: its facts, its fit to torch, arrays seen as tensors."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import dnnbrain_cpp
from dnnbrain_cpp import _native
from dnnbrain_cpp.exceptions import NativeImportError

ROOT = Path(__file__).resolve().parents[1]


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dnnbrain_cpp.build_info()["version"] == dnnbrain_cpp.__version__ == project["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in citation


def test_build_info_names_what_is_running() -> None:
    info = dnnbrain_cpp.build_info()
    assert info["torch"].split(".")[:2] == torch.__version__.split(".")[:2]
    assert info["torch_running"] == torch.__version__
    assert info["cxx_standard"] >= 202002
    assert info["n_threads"] == torch.get_num_threads()
    assert info["random_version"] == 1


def test_torchs_own_openmp_is_the_only_one() -> None:
    code = "import dnnbrain_cpp; print(*dnnbrain_cpp.build_info()['openmp'], sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    (runtime,) = done.stdout.split()
    assert "/torch/lib/" in runtime


@pytest.mark.parametrize("running", ["2.13.0", "2.13.1+cu130", "2.13.0a0+git1234"])
def test_a_torch_of_the_same_minor_version_fits(running: str) -> None:
    _native._check_torch("2.13.0+cpu", running)


@pytest.mark.parametrize("running", ["2.12.1", "2.14.0", "3.13.0", "2.1.3", "2.130.0"])
def test_another_torch_is_named_with_the_remedy(running: str) -> None:
    with pytest.raises(
        NativeImportError, match=rf"built for torch 2\.13; .*{running}.*pip install"
    ):
        _native._check_torch("2.13.0+cpu", running)


def test_a_core_that_does_not_load_is_named_with_the_remedy() -> None:
    code = """
import sys
sys.modules["dnnbrain_cpp._core"] = None  # what a failed load looks like
from dnnbrain_cpp.exceptions import NativeImportError
try:
    import dnnbrain_cpp._native
except NativeImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    assert "does not load beside torch" in done.stdout
    assert "pip install --no-build-isolation" in done.stdout


def test_arrays_of_another_layout_become_tensors_by_a_copy() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    tensor = _native.as_tensor(array)
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert tensor.data_ptr() != array.ctypes.data


def test_arrays_of_another_dtype_are_refused() -> None:
    with pytest.raises(TypeError, match="float32 or float64; got int64"):
        _native.as_tensor(np.arange(3))  # type: ignore[arg-type]
