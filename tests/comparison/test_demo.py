"""The demonstration finds what it planted, and says so; and says when it does not."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dnnbrain_cpp.comparison import Comparison, _demo, demonstrate
from dnnbrain_cpp.io import read_responses


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def comparison(folder: Path) -> Comparison:
    return demonstrate(folder, seed=0, size="small")


def test_every_planted_layer_is_recovered(comparison: Comparison) -> None:
    verdict = comparison.verdict
    assert verdict is not None
    assert list(verdict["planted"]) == ["relu1", "relu3", "relu5"]
    assert list(verdict["encoding_layer"]) == ["relu1", "relu3", "relu5"]
    assert list(verdict["rsa_layer"]) == ["relu1", "relu3", "relu5"]
    assert verdict["match"].all()
    assert comparison.headline == "All 3 planted layers were recovered."
    # Noise as it was set and as it was drawn; a fitted model stays below it.
    np.testing.assert_allclose(verdict["measured_ceiling"], verdict["noise_ceiling"], atol=0.03)
    assert (verdict["encoding_score"] < verdict["measured_ceiling"]).all()
    assert (verdict["encoding_score"] > 0.2).all()


def test_the_study_lies_in_files_as_a_real_one(folder: Path, comparison: Comparison) -> None:
    data = folder / "data"
    again = read_responses(data / "responses.nii.gz", mask=data / "mask.nii.gz")
    assert again.ids == comparison.stimuli.ids
    assert set(again.roi_names) == {"early", "middle", "late"}
    assert comparison.notes == []  # joined by id
    assert pd.read_csv(data / "truth.csv")["layer"].tolist() == ["relu1", "relu3", "relu5"]
    mask = nib.load(data / "mask.nii.gz")
    best = nib.load(folder / "maps" / "demo_best_layer.nii.gz")
    np.testing.assert_array_equal(best.affine, mask.affine)
    np.testing.assert_array_equal(np.isfinite(best.get_fdata()), mask.get_fdata() > 0)


def test_report_opens_with_the_verdict(folder: Path, comparison: Comparison) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.index("Found against planted") < text.index("Representational geometry")
    assert text.count(">yes</td>") == 3
    assert ">no</td>" not in text


def test_a_demo_that_was_cut_short_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "draw_stimuli", interrupt)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            demonstrate(tmp_path, size="small")
    assert json.loads((tmp_path / "run.json").read_text())["complete"] is False
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("options", "error"), [({"size": "huge"}, ValueError), ({"seed": -1}, ValueError)]
)
def test_refusals(tmp_path: Path, options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        demonstrate(tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
