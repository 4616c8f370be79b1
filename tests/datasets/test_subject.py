"""The simulated subject: its maths, its files, and that what was planted can be found."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import kendalltau
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from dnnbrain_cpp.datasets import demo_network, draw_stimuli, simulate_subject
from dnnbrain_cpp.io import read_responses
from tolerances import TOLERANCES

ROIS = {"V1": "low", "V4": "mid", "IT": "high"}


@pytest.fixture
def features() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.gamma(2, size=(40, 30)).astype(np.float32) for name in ROIS.values()}


def in_roi(subject: object, roi: str) -> np.ndarray:
    responses = subject.responses  # type: ignore[attr-defined]
    return responses.data[:, np.array(responses.rois) == roi].astype(float)


def test_shapes_and_truth(features: dict[str, np.ndarray]) -> None:
    ids = [f"s{i}" for i in range(40)]
    subject = simulate_subject(features, ROIS, n_vox=20, noise_ceiling=0.6, n_subject=3, ids=ids)
    assert subject.responses.data.shape == (40, 60)
    assert subject.responses.ids == tuple(ids)
    assert subject.responses.summary()["rois"] == {"V1": 20, "V4": 20, "IT": 20}
    assert subject.n_subject == 3
    assert {name: rdm.shape for name, rdm in subject.rdms.items()} == dict.fromkeys(ROIS, (3, 780))
    pd.testing.assert_frame_equal(
        subject.truth.drop(columns="measured_ceiling"),
        pd.DataFrame(
            {
                "roi": ["V1", "V4", "IT"],
                "layer": ["low", "mid", "high"],
                "n_vox": 20,
                "noise_ceiling": 0.6,
                "noise_sd": 4 / 3,  # sqrt(1 / 0.36 - 1)
            }
        ),
    )


def test_the_measured_ceiling_is_the_correlation_with_the_signal(
    features: dict[str, np.ndarray],
) -> None:
    noisy = simulate_subject(features, ROIS, n_vox=20, noise_ceiling=0.6, n_subject=2, seed=3)
    clean = simulate_subject(features, ROIS, n_vox=20, noise_ceiling=1, n_subject=2, seed=3)
    for roi, measured in noisy.truth.set_index("roi")["measured_ceiling"].items():
        pairs = zip(in_roi(noisy, str(roi)).T, in_roi(clean, str(roi)).T, strict=True)
        naive = np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])
        assert measured == pytest.approx(naive, abs=TOLERANCES["fp32_reduction"])
    assert clean.truth["measured_ceiling"].to_numpy() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("ceiling", [0.3, 0.7, 0.95])
def test_the_perfect_model_reaches_the_ceiling(ceiling: float) -> None:
    # With far more stimuli than units, least squares finds the read-out itself.
    x = np.random.default_rng(1).normal(size=(2000, 5)) * [1, 10, 0.1, 3, 2] + 7
    subject = simulate_subject(
        {"layer": x}, {"V1": "layer"}, noise_ceiling=ceiling, n_subject=1, n_vox=60
    )
    y = in_roi(subject, "V1")
    fitted = LinearRegression().fit(x, y).predict(x)
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(fitted.T, y.T, strict=True)]
    assert np.mean(r) == pytest.approx(ceiling, abs=TOLERANCES["mean_of_60_correlations"])


def test_without_noise_voxels_are_linear_in_the_features(features: dict[str, np.ndarray]) -> None:
    subject = simulate_subject(features, ROIS, noise_ceiling=1, n_vox=25)
    for roi, layer in ROIS.items():
        y = in_roi(subject, roi)
        residual = y - LinearRegression().fit(features[layer], y).predict(features[layer])
        assert np.abs(residual).max() < TOLERANCES["fp32_reduction"] * 10
        np.testing.assert_allclose(y.mean(axis=0), 0, atol=TOLERANCES["fp32_reduction"])
        np.testing.assert_allclose(y.std(axis=0), 1, atol=TOLERANCES["fp32_reduction"])
        other = next(name for name in ROIS.values() if name != layer)
        wrong = y - LinearRegression().fit(features[other], y).predict(features[other])
        assert np.abs(wrong).max() > 0.1


def test_dissimilarities_are_those_of_the_patterns(features: dict[str, np.ndarray]) -> None:
    subject = simulate_subject(features, ROIS, n_subject=2)
    for roi, rdm in subject.rdms.items():
        expected = pdist(in_roi(subject, roi), "correlation")
        np.testing.assert_allclose(rdm[0], expected, atol=TOLERANCES["fp32_reduction"])
        assert np.abs(rdm[1] - rdm[0]).max() > 0.05  # another subject, another noise


def test_regions_and_subjects_do_not_depend_on_each_other(
    features: dict[str, np.ndarray],
) -> None:
    base = simulate_subject(features, ROIS, n_subject=2, seed=4)
    more = simulate_subject(features, ROIS, n_subject=5, seed=4)
    changed = simulate_subject({**features, "high": -features["low"]}, ROIS, n_subject=2, seed=4)
    other = simulate_subject(features, ROIS, n_subject=2, seed=5)
    np.testing.assert_array_equal(more.responses.data, base.responses.data)
    for roi in ROIS:
        np.testing.assert_array_equal(more.rdms[roi][:2], base.rdms[roi])
        same = np.array_equal(changed.rdms[roi], base.rdms[roi])
        assert same == (roi != "IT")
        assert not np.array_equal(other.rdms[roi], base.rdms[roi])


def test_constant_units_are_left_out(features: dict[str, np.ndarray]) -> None:
    padded = {
        name: np.concatenate([x, np.full((40, 3), 0.1, np.float32)], axis=1)
        for name, x in features.items()
    }
    one = simulate_subject(features, ROIS, noise_ceiling=0.9)
    two = simulate_subject(padded, ROIS, noise_ceiling=0.9)
    np.testing.assert_array_equal(one.responses.data, two.responses.data)


def test_torch_features_and_their_ids(features: dict[str, np.ndarray]) -> None:
    class WithIds(dict):  # type: ignore[type-arg]
        ids = tuple(f"s{i}" for i in range(40))

    tensors = WithIds({name: torch.from_numpy(x) for name, x in features.items()})
    one, two = simulate_subject(tensors, ROIS), simulate_subject(features, ROIS)
    np.testing.assert_array_equal(one.responses.data, two.responses.data)
    assert one.responses.ids == WithIds.ids
    assert two.responses.ids is None


def test_regions_are_compact_and_apart(features: dict[str, np.ndarray]) -> None:
    geometry = simulate_subject(features, ROIS, n_vox=100).responses.geometry
    assert geometry is not None
    centres = []
    for label in (1, 2, 3):
        place = np.argwhere(geometry.labels == label)
        assert len(place) == 100
        centres.append(place.mean(axis=0))
        # A ball of 100 voxels has a radius of 2.9 voxels.
        assert np.linalg.norm(place - centres[-1], axis=1).max() < 3.5
    assert np.linalg.norm(np.diff(centres, axis=0), axis=1).min() > 7


def test_written_and_read_back(features: dict[str, np.ndarray], tmp_path: Path) -> None:
    ids = [f"s{i}" for i in range(40)]
    subject = simulate_subject(features, ROIS, ids=ids, n_vox=30)
    subject.write(tmp_path / "new" / "sub-01")
    folder = tmp_path / "new" / "sub-01"
    assert sorted(p.name for p in folder.iterdir()) == [
        "mask.labels.csv", "mask.nii.gz", "rdms.npz",
        "responses.ids.csv", "responses.nii.gz", "truth.csv",
    ]  # fmt: skip
    again = read_responses(folder / "responses.nii.gz", mask=folder / "mask.nii.gz")
    np.testing.assert_array_equal(again.data, subject.responses.data)
    assert again.ids == tuple(ids)
    assert again.rois == subject.responses.rois
    pd.testing.assert_frame_equal(pd.read_csv(folder / "truth.csv"), subject.truth)
    with np.load(folder / "rdms.npz") as archive:
        assert set(archive.files) == {"V1", "V4", "IT", "ids"}
        assert tuple(archive["ids"]) == tuple(ids)
        np.testing.assert_array_equal(archive["V4"], subject.rdms["V4"])
    img = nib.load(folder / "responses.nii.gz")
    assert img.header.get_zooms()[:3] == (3, 3, 3)
    assert img.header.get_xyzt_units()[0] == "mm"
    assert (int(img.header["qform_code"]), int(img.header["sform_code"])) == (1, 1)
    subject.write(folder)  # over what is there


def test_refusals(features: dict[str, np.ndarray]) -> None:
    for rois, message in (
        ({}, "at least; got none"),
        ({"V1": "pool"}, "low, mid, high; 'V1' reads 'pool'"),
        ({"ids": "low"}, "must not be .*; got 'ids'"),
        ({"": "low"}, "got ''"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate_subject(features, rois)
    for arguments, message in (
        ({"noise_ceiling": 0}, r"in \(0, 1\]; got 0"),
        ({"noise_ceiling": 1.2}, "got 1.2"),
        ({"noise_ceiling": float("nan")}, "got nan"),
        ({"n_vox": 1}, "n_vox must be at least 2; got 1"),
        ({"n_subject": 0}, "n_subject must be at least 1"),
        ({"shape": (4, 4, 4)}, r"3 regions of 100 voxels; got \(4, 4, 4\)"),
        ({"ids": ["a"]}, "must name 40 items; got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate_subject(features, ROIS, **arguments)
    with pytest.raises(ValueError, match="'low' must differ between stimuli; none of its 2"):
        simulate_subject({"low": np.full((5, 2), 0.1)}, {"V1": "low"})
    bad = features["low"].copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"'low' must be finite; 1 of 1200"):
        simulate_subject({"low": bad}, {"V1": "low"})
    with pytest.raises(ValueError, match=r"same n_stim; got .*'low': 40.*'mid': 20"):
        simulate_subject({"low": features["low"], "mid": features["mid"][:20]},
                         {"V1": "low", "V4": "mid"})  # fmt: skip
    with pytest.raises(ValueError, match="2-D"):
        simulate_subject({"low": features["low"][:, 0]}, {"V1": "low"})


# --- what was planted can be found ---------------------------------------------------------------


def test_planted_layers_are_recovered_by_encoding_and_by_rsa() -> None:
    """The claim of the demonstration, with scikit-learn and SciPy alone."""
    stimuli, network = draw_stimuli(240), demo_network()
    modules = dict(network.module.named_modules())
    pooled: dict[str, list[np.ndarray]] = {name: [] for name in network.layers}
    handles = [
        modules[name].register_forward_hook(
            lambda module, inputs, output, name=name: pooled[name].append(
                output.mean(dim=(2, 3)).numpy().copy()
            )
        )
        for name in network.layers
    ]
    with torch.inference_mode():
        for start in range(0, 240, 48):
            batch = [network.transform(stimuli.image(i)) for i in range(start, start + 48)]
            network(torch.stack(batch))
    for handle in handles:
        handle.remove()
    layers = {name: np.concatenate(parts) for name, parts in pooled.items()}

    planted = {"early": "relu1", "middle": "relu3", "late": "relu5"}
    subject = simulate_subject(layers, planted, ids=stimuli.ids, n_subject=4)
    region = np.array(subject.responses.rois)
    encoding = {name: _encoding_r(x, subject.responses.data) for name, x in layers.items()}
    distances = {name: pdist(x, "correlation") for name, x in layers.items()}
    for roi, layer in planted.items():
        r = {name: scores[region == roi].mean() for name, scores in encoding.items()}
        tau = {
            name: np.mean([kendalltau(d, rdm).statistic for rdm in subject.rdms[roi]])
            for name, d in distances.items()
        }
        for scores, margin in ((r, 0.03), (tau, 0.015)):
            best, second = sorted(scores.values(), reverse=True)[:2]
            assert scores[layer] == best, (roi, scores)
            assert best - second > margin, (roi, scores)
        assert r[layer] < 0.7  # a fitted model stays below the noise ceiling


def _encoding_r(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    scores = []
    for train, test in KFold(5).split(x):
        model = make_pipeline(PCA(50), LinearRegression())
        predicted = model.fit(x[train], y[train]).predict(x[test])
        a, b = predicted - predicted.mean(axis=0), y[test] - y[test].mean(axis=0)
        scores.append((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)))
    return np.mean(scores, axis=0)
