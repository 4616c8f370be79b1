"""What `Comparison.save` leaves on disk."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import dnnbrain_cpp
from dnnbrain_cpp import Network, Stimuli
from dnnbrain_cpp.comparison import Comparison, _save, compare_networks
from dnnbrain_cpp.exceptions import ConstantTargetWarning
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.rsa import RDMs
from tolerances import TOLERANCES


@pytest.fixture(scope="module")
def comparison(
    stimuli: Stimuli,
    make_network: Callable[..., Network],
    rdms: dict[str, RDMs],
    responses: Responses,
) -> Comparison:
    truth = pd.DataFrame(
        {"roi": ["early", "late"], "layer": ["relu1", "relu2"], "noise_ceiling": 0.7}
    )
    networks = [make_network(seed) for seed in (0, 1)]
    with pytest.warns(ConstantTargetWarning):
        return compare_networks(
            stimuli, networks, rdms=rdms, responses=responses, n_perm=9, truth=truth
        )


@pytest.fixture(scope="module")
def folder(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("saved") / "deep" / "report"
    assert comparison.save(out, command=["dnnbrain", "compare"]) == out / "report.html"
    return out


def test_everything_is_there_and_listed(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {*record["files"], "run.json"}
    assert {
        "scores.csv", "summary.csv", "verdict.csv", "report.html", "stimuli.png",
        "rsa_IT.png", "rsa_EVC.png", "rdm_IT.png", "rdm_EVC.png",
        "voxels_early.png", "voxels_late.png", "best_layer_small.png", "best_r_small.png",
        "maps/small_r.nii.gz", "maps/small_best_layer.nii.gz", "maps/small_best_r.nii.gz",
        "maps/small_layers.csv",
    } <= found  # fmt: skip
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            image.verify()


def test_tables_come_back(folder: Path, comparison: Comparison) -> None:
    for name, table in (("scores", comparison.scores), ("summary", comparison.summary)):
        again = pd.read_csv(folder / f"{name}.csv").astype(table.dtypes.to_dict())
        pd.testing.assert_frame_equal(again, table)


def test_record_says_what_was_done(folder: Path, stimuli: Stimuli) -> None:
    text = (folder / "run.json").read_text()
    assert "NaN" not in text
    record = json.loads(text)
    assert record["complete"] is True
    assert record["dnnbrain_cpp"] == dnnbrain_cpp.__version__
    assert record["command"] == ["dnnbrain", "compare"]
    assert [entry["seed"] for entry in record["networks"]] == [0, 1]
    first = record["networks"][0]
    assert first["weights"] == "random"
    assert first["transform"]["steps"] == [{"step": "squash", "size": [16, 16]}]
    assert [layer["layer"] for layer in first["layers"]] == ["relu1", "relu2"]
    assert first["layers"][0] == {
        "layer": "relu1", "label": "first", "type": "ReLU", "activation": [8, 14, 14],
        "reduce": "mean", "n_feat": 8,
    }  # fmt: skip
    settings = record["settings"]
    assert (settings["metric"], settings["method"], settings["n_perm"]) == (
        "correlation", "tau-b", 9,
    )  # fmt: skip
    assert (settings["random_state"], settings["noise_ceiling"]) == (0, "mean-rdm")
    assert record["stimuli"]["ids"] == list(stimuli.ids)
    assert record["rdms"]["IT"]["joined_by"] == "id"
    assert set(record["timings_s"]) == {"decode", "extract", "rdm", "rsa", "encode"}
    assert {"python", "torch", "numpy", "scipy"} <= set(record["versions"])
    assert record["build_info"]["torch_running"]


def test_maps_lie_where_the_voxels_are(
    folder: Path, comparison: Comparison, responses: Responses
) -> None:
    assert responses.geometry is not None
    maps = nib.load(folder / "maps" / "small_r.nii.gz")
    assert maps.shape == (3, 2, 3, 2)
    np.testing.assert_array_equal(maps.affine, responses.geometry.affine)
    values = maps.get_fdata()
    inside = responses.geometry.inside
    assert np.isnan(values[~inside]).all()
    expected = comparison.voxel_scores["small"].to_numpy()
    np.testing.assert_allclose(
        values[inside].T, expected, rtol=TOLERANCES["fp32_reduction"], equal_nan=True
    )
    best = nib.load(folder / "maps" / "small_best_layer.nii.gz").get_fdata()[inside]
    np.testing.assert_array_equal(np.isnan(best), [True, False, False, True, False, False])
    np.testing.assert_array_equal(best[[1, 2, 4, 5]], 1 + expected[:, [1, 2, 4, 5]].argmax(0))
    names = pd.read_csv(folder / "maps" / "small_layers.csv")
    assert names.to_dict("list") == {"value": [1, 2], "name": ["relu1", "relu2"]}


class _Reader(HTMLParser):
    """Collects what a page loads, and checks that tags close in order."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.alts: list[str | None] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.sources += [str(values[key]) for key in ("src", "href") if key in values]
        if tag == "img":
            self.alts.append(values.get("alt"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report_needs_nothing_else(folder: Path, comparison: Comparison) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    reader = _Reader()
    reader.feed(text)
    assert reader.open == []
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert len(reader.sources) == len(list(folder.glob("*.png")))
    assert all(source.startswith("data:image/png;base64,") for source in reader.sources)
    assert all(reader.alts)
    assert "url(" not in text
    assert "@import" not in text
    assert comparison.headline in text
    shown = re.sub(r"<[^>]+>", " ", text)
    assert "These scores carry no p-value" in shown
    assert "noise ceiling" in shown
    assert f"{comparison.summary['score'].iloc[0]:.3f}".replace("-", "\N{MINUS SIGN}") in shown
    assert "nan" not in shown.lower().split()


def test_what_users_write_is_escaped(
    stimuli: Stimuli, make_network: Callable[..., Network], rdms: dict[str, RDMs], tmp_path: Path
) -> None:
    network = make_network(0, name="<b>&net</b>")
    result = compare_networks(stimuli, network, rdms={"a/../<i>IT</i>": rdms["IT"]}, n_perm=0)
    text = result.save(tmp_path / "out").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "<i>IT" not in text
    assert "&lt;b&gt;&amp;net" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert (tmp_path / "out" / "rsa_a-..-i-IT-i.png").is_file()


def test_an_earlier_report_is_replaced(
    stimuli: Stimuli,
    make_network: Callable[..., Network],
    rdms: dict[str, RDMs],
    tmp_path: Path,
) -> None:
    network = make_network(0)
    compare_networks(stimuli, network, rdms=rdms, n_perm=0).save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert (tmp_path / "rsa_EVC.png").is_file()
    compare_networks(stimuli, network, rdms={"IT": rdms["IT"]}, n_perm=0).save(tmp_path)
    assert (tmp_path / "rsa_IT.png").is_file()
    assert not (tmp_path / "rsa_EVC.png").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failed_save_can_be_repeated(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("no template")

    with monkeypatch.context() as patch:
        patch.setattr(_save, "render", fail)
        with pytest.raises(RuntimeError, match="no template"):
            comparison.save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["complete"] is False
    assert not (tmp_path / "report.html").exists()
    assert not list(tmp_path.glob(".tmp-*"))
    comparison.save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["complete"] is True


def test_folders_of_others_are_left_alone(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(FileExistsError, match="holds other files"):
        comparison.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(FileExistsError, match="is a file"):
        comparison.save(tmp_path / "thesis.tex")
    # A record that names files elsewhere does not reach them.
    own = tmp_path / "own"
    own.mkdir()
    (own / "run.json").write_text(json.dumps({"files": ["../thesis.tex"]}))
    comparison.save(own)
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_figures_for_a_notebook(comparison: Comparison) -> None:
    figures = comparison.figures()
    assert {"rsa_IT", "voxels_early", "stimuli"} <= set(figures)
    (axes,) = figures["rsa_IT"].axes
    assert axes.get_title(loc="left") == "IT"


def test_networks_of_unequal_depth(
    stimuli: Stimuli,
    make_network: Callable[..., Network],
    rdms: dict[str, RDMs],
    responses: Responses,
    tmp_path: Path,
) -> None:
    shallow = make_network(5, name="shallow")
    shallow = Network(shallow.module, ["relu1"], transform=shallow.transform, name="shallow")
    finite = Responses(responses.data[:, [1, 2]], ids=responses.ids)
    result = compare_networks(
        stimuli, [make_network(0), shallow], rdms=rdms, responses=finite, n_perm=0
    )
    assert result.layers.groupby("network", sort=False).size().to_dict() == {
        "small": 2, "shallow": 1,
    }  # fmt: skip
    figures = result.figures()
    for name in ("rsa_IT", "encoding_all"):
        (axes,) = figures[name].axes
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2"]
        assert "order of computation" in axes.get_xlabel()
    text = result.save(tmp_path).read_text(encoding="utf-8")
    assert "1 to 2 layers" in text
