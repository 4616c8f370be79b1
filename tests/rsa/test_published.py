"""Published numbers, on the published data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnnbrain_cpp import rsa
from dnnbrain_cpp.features import Features
from oracle.rsa import score_matrix
from tolerances import TOLERANCES

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


@pytest.fixture(scope="module")
def it(data_dir: Path) -> rsa.RDMs:
    """Return IT of 15 subjects, 92 images."""
    return rsa.load_rdms(data_dir / "algonauts2019-92" / "target_fmri.mat", key="IT_RDMs")


def test_two_files_of_the_same_subjects_agree(it: rsa.RDMs, data_dir: Path) -> None:
    vectors = rsa.load_rdms(data_dir / "algonauts2019-92" / "fmri_92_vectors.npz", key="IT")
    assert (len(it), it.n_cond) == (15, 92)
    np.testing.assert_array_equal(it.dissimilarities, vectors.dissimilarities)


@pytest.mark.parametrize(
    ("region", "method", "kind", "lower", "upper"),
    [
        ("IT", "tau-b", "mean-rdm", 0.31356, 0.37916),
        ("IT", "spearman", "mean-rdm", 0.44856, 0.53459),
        ("EVC", "tau-b", "mean-rdm", 0.16153, 0.26392),
        ("IT", "tau-b", "optimal", 0.31624, 0.38389),
        ("IT", "spearman", "optimal", 0.45253, 0.54219),
    ],
)
def test_noise_ceilings(
    region: str, method: str, kind: str, lower: float, upper: float, data_dir: Path
) -> None:
    rdms = rsa.load_rdms(data_dir / "algonauts2019-92" / "target_fmri.mat", key=f"{region}_RDMs")
    ceiling = rsa.noise_ceiling(rdms, method=method, kind=kind)
    assert ceiling.lower == pytest.approx(lower, abs=TOLERANCES["published_5_digits"])
    assert ceiling.upper == pytest.approx(upper, abs=TOLERANCES["published_5_digits"])


def test_trained_alexnet_with_it(it: rsa.RDMs, data_dir: Path) -> None:
    """Mean tau-b over subjects of each layer, conv maps averaged over space."""
    with np.load(data_dir / "alexnet-activations-92" / "alexnet_relu_pooled.npz") as archive:
        features = Features.from_arrays({layer: archive[layer] for layer in LAYERS})
    models = rsa.rdm(features, metric="correlation")
    result = rsa.compare(models, it, method="tau-b", n_perm=199, random_state=0)
    np.testing.assert_allclose(
        result.group_scores,
        [0.0413, 0.0719, 0.0690, 0.0998, 0.0673, 0.0947, 0.0930],
        rtol=0,
        atol=TOLERANCES["published_4_digits"],
    )
    np.testing.assert_allclose(
        result.scores,
        score_matrix("tau-b", models.dissimilarities, it.dissimilarities),
        rtol=0,
        atol=TOLERANCES["fp64_reduction"],
    )
    assert result.group_p_values is not None
    assert (result.group_p_values[1:] == 1 / 200).all()


def test_stored_rdms_of_whole_layers(data_dir: Path) -> None:
    folder = data_dir / "alexnet-activations-92"
    with np.load(folder / "alexnet_relu_pooled.npz") as archive:
        features = {layer: archive[layer] for layer in ("fc6", "fc7", "fc8")}
    rdms = rsa.rdm(features)
    for layer in features:
        stored = rsa.load_rdms(folder / "cnn_rdms_92.npz", key=f"alexnet_{layer}")
        np.testing.assert_allclose(
            rdms[layer].dissimilarities,
            stored[0].dissimilarities,
            rtol=0,
            atol=TOLERANCES["fp64_reduction"],
        )
    with np.load(folder / "alexnet_conv5_full_float16.npz") as archive:
        conv5 = Features.from_arrays({"conv5": archive[archive.files[0]]})
    assert conv5["conv5"].shape == (92, 256 * 13 * 13)
    stored = rsa.load_rdms(folder / "cnn_rdms_92.npz", key="alexnet_conv5")
    np.testing.assert_allclose(
        rsa.rdm(conv5).dissimilarities,
        stored.dissimilarities,
        rtol=0,
        atol=TOLERANCES["fp16_activations"],
    )


def test_mean_rdms_of_other_laboratories_and_methods(it: rsa.RDMs, data_dir: Path) -> None:
    """Pearson r of mean RDMs; the same 92 objects in the same order everywhere."""
    kriegeskorte = data_dir / "kriegeskorte2008-92"
    human = rsa.load_rdms(kriegeskorte / "92_brainRDMs.mat")
    assert (len(human), human.n_cond) == (8, 92)
    assert human.names[0].startswith("hIT | BE")
    figure = rsa.load_rdms(kriegeskorte / "Kriegeskorte_Neuron2008_supplementalData.mat")
    assert figure.names == ("mIT_674neurons", "hITvisStim_316vx")
    meg = rsa.load_rdms(data_dir / "algonauts2019-92" / "meg_92_original_order.npz", key="late")
    for other, expected in (
        (human.mean(), 0.588),
        (figure["mIT_674neurons"], 0.561),
        (meg.mean(), 0.571),
    ):
        score = rsa.compare(other, it.mean(), method="corr").scores[0, 0]
        assert score == pytest.approx(expected, abs=TOLERANCES["published_3_digits"])


def test_other_files_of_the_92_images(data_dir: Path) -> None:
    kriegeskorte = data_dir / "kriegeskorte2008-92"
    behaviour = rsa.load_rdms(kriegeskorte / "92_behavRDMs.mat")
    vectors = rsa.load_rdms(kriegeskorte / "kriegeskorte92_vectors.npz", key="behaviour")
    np.testing.assert_array_equal(behaviour.dissimilarities, vectors.dissimilarities)
    models = rsa.load_rdms(kriegeskorte / "92_modelRDMs.mat")
    assert models.names[:3] == ("animacy", "FaceBodyManmadeNatobj", "monkeyIT")
    with pytest.raises(ValueError, match="several arrays that may be RDMs"):
        rsa.load_rdms(kriegeskorte / "rdm92_HMAXnatImPatch.mat")
    one = rsa.load_rdms(kriegeskorte / "rdm92_HMAXnatImPatch.mat", key="rdm92_HMAXnatImPatch")
    assert (len(one), one.n_cond) == (1, 92)
    with pytest.raises(ValueError, match="no array of RDMs' shape: simTruePatterns"):
        rsa.load_rdms(kriegeskorte / "simTruePatterns.mat")


def test_binary_models_against_each_other(data_dir: Path) -> None:
    """Both sides categorical: ties in nearly all pairs."""
    models = rsa.load_rdms(data_dir / "kriegeskorte2008-92" / "92_modelRDMs.mat")[:2]
    for method in ("tau-a", "tau-b", "spearman"):
        result = rsa.compare(models, models, method=method, n_perm=99, random_state=0)
        expected = score_matrix(method, models.dissimilarities, models.dissimilarities)
        np.testing.assert_allclose(
            result.scores, expected, rtol=0, atol=TOLERANCES["fp64_reduction"]
        )
        assert result.p_values is not None
        assert result.p_values[0, 0] == 0.01


@pytest.mark.parametrize("method", list(rsa.METHODS))
def test_model_rdms_of_1e8_to_1e10(method: str, it: rsa.RDMs, data_dir: Path) -> None:
    """Squared distances in raw units: scores do not depend on the scale."""
    models = rsa.load_rdms(data_dir / "alexnet-a2020-92-modelrdms" / "modelRDMs_A2020.mat")[:12]
    assert models.dissimilarities.max() > 1e8
    largest = models.dissimilarities.max(1, keepdims=True)
    before = rsa.compare(models, it[:3], method=method).scores
    after = rsa.compare(rsa.RDMs(models.dissimilarities / largest), it[:3], method=method).scores
    np.testing.assert_allclose(before, after, rtol=0, atol=TOLERANCES["fp64_score"])
    assert np.ptp(before) > 0.01
