"""The methods on the real data: what each should find, in a small run of the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def methods(load_example: Callable[[str], ModuleType]) -> ModuleType:
    return load_example("hebart_methods")


@pytest.fixture(scope="module")
def out(methods: ModuleType, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("methods") / "out"
    methods.main(
        ["--data", str(data_dir), "--permutations", "200", "--effort", "0.05", "--out", str(folder)]
    )
    return folder


def test_every_method_leaves_a_table_and_a_picture(methods: ModuleType, out: Path) -> None:
    assert {path.stem for path in out.glob("*.csv")} == set(methods.METHODS)
    for name in methods.METHODS:
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width > 700
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20, name


def test_position_matters_to_early_visual_cortex(out: Path) -> None:
    table = pd.read_csv(out / "vanilla.csv").set_index(["region", "units", "model"])["score"]
    early = table.loc["EVC"]
    assert early[("whole maps", "conv3")] > early[("maps averaged", "conv3")] + 0.1
    # a fully connected layer has no positions to average over
    assert early[("whole maps", "fc7")] == pytest.approx(early[("maps averaged", "fc7")])
    assert table.loc[("IT", "maps averaged", "fc7")] > 0.12


def test_remixing_brings_categories_out_of_early_layers(out: Path) -> None:
    table = pd.read_csv(out / "remixing.csv").set_index(["units", "model"])["score"]
    early = ["conv1", "conv2", "conv3"]
    assert (table["remixed"][early] > table["as it is"][early]).all()
    assert table["remixed"].min() > 0.05


def test_weights_generalise_to_images_and_subjects(out: Path) -> None:
    table = pd.read_csv(out / "reweighting.csv").set_index("model")
    assert table["weight"].sum() == pytest.approx(1)
    assert (table["weight"].dropna() >= 0).all()
    assert table.loc["weighted", "score"] > table["score"].drop("weighted").median()
    assert (table["low"] < table["high"]).all()


def test_positions_explain_early_cortex_and_categories_it(out: Path) -> None:
    table = pd.read_csv(out / "partitioning.csv").set_index(["region", "predictors"])["part"]
    assert len(table) == 2 * 7
    assert table["EVC"].idxmax() == "conv2"
    assert table["IT"]["categories"] > 0.005 > table["EVC"]["categories"]


def test_weighted_units_beat_equal_ones(out: Path) -> None:
    table = pd.read_csv(out / "weighting.csv").pivot(index="layer", columns="units", values="r")
    assert (table["weighted"] > table["equal"]).all()


def test_categories_predict_voxels_of_the_ventral_stream(out: Path) -> None:
    table = pd.read_csv(out / "encoding.csv")
    assert len(table) == 530
    assert table["eight categories"].max() > 0.4
    assert table["gain"].max() > 0.2
    # most voxels of the slice have nothing to do with pictures
    assert abs(table["eight categories"].median()) < 0.02


def test_houses_stand_out_on_both_sides(out: Path) -> None:
    table = pd.read_csv(out / "searchlight.csv")
    best = table[table["house"] > 0.75]
    middle = table["x_mm"].median()
    assert (best["x_mm"] < middle).any()
    assert (best["x_mm"] > middle).any()
    assert table["house"].max() > table["animate"].max()


def test_what_comes_first_in_meg_is_early_cortex(out: Path) -> None:
    table = pd.read_csv(out / "meg.csv").set_index(["data", "model"])["score"]
    assert table["MEG early"].idxmax() in ("conv2", "conv3")
    assert table["MEG late"][["fc6", "fc7"]].min() > 0.1 > table["MEG early"][["fc6", "fc7"]].max()
    assert table[("fMRI EVC", "MEG early")] > table[("fMRI EVC", "MEG late")]
    assert table[("fMRI IT", "MEG late")] > table[("fMRI IT", "MEG early")]
