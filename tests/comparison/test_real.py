"""Published results, from the command line on the published data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from dnnbrain_cpp import Network, Stimuli, networks
from dnnbrain_cpp.cli import main
from dnnbrain_cpp.comparison import compare_networks
from dnnbrain_cpp.exceptions import AlignmentWarning
from dnnbrain_cpp.io import read_responses
from dnnbrain_cpp.rsa import load_rdms
from tolerances import TOLERANCES

# Mean tau-b of untrained DeepCluster-AlexNet's seven ReLU layers with 15 subjects' IT, over ten
# seeds: the untrained curve of Truzzi and Cusack (2020), figure 1e, computed anew.
PUBLISHED = [0.091, 0.143, 0.133, 0.137, 0.135, 0.113, 0.112]
N_SEED = 5


@pytest.mark.slow
def test_untrained_deepcluster_alexnet_and_human_it(data_dir: Path, tmp_path: Path) -> None:
    study = data_dir / "algonauts2019-92"
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as exit_info:
        main(
            [
                "compare", str(study / "jpg"),
                "--network", "deepcluster_alexnet", "--weights", "random",
                "--seeds", f"0-{N_SEED - 1}", "--layers", "type:ReLU", "--reduce", "mean",
                "--rdms", f"{study / 'target_fmri.mat'}:IT_RDMs", "--method", "tau-b",
                "--n-perm", "0", "--out", str(out),
            ]
        )  # fmt: skip
    assert exit_info.value.code == 0
    scores = pd.read_csv(out / "scores.csv")
    assert scores["subject"].nunique() == 15
    assert set(scores["roi"]) == {"IT"}
    by_seed = scores.pivot_table(index="seed", columns="layer", values="score", sort=False)
    assert by_seed.shape == (N_SEED, 7)
    one_seed = TOLERANCES["published_tau_one_seed"]
    np.testing.assert_allclose(by_seed, np.tile(PUBLISHED, (N_SEED, 1)), atol=one_seed)
    mean = TOLERANCES["published_tau_mean"]
    np.testing.assert_allclose(by_seed.mean(), PUBLISHED, atol=mean)
    ceiling = scores[["ceiling_lower", "ceiling_upper"]].drop_duplicates().to_numpy()
    np.testing.assert_allclose(ceiling, [[0.31356, 0.37916]], atol=5e-6)


def test_png_stimuli_and_rdms_in_a_struct(data_dir: Path) -> None:
    study = data_dir / "kriegeskorte2008-92"
    stimuli = Stimuli.from_folder(study / "png")
    rdms = load_rdms(study / "92_brainRDMs.mat", ids=stimuli.ids)
    network = networks.alexnet(seed=0, layers=["conv1_relu", "conv2_relu"])
    result = compare_networks(stimuli, network, rdms={"hIT": rdms}, n_perm=0)
    assert result.summary["n_subject"].tolist() == [8, 8]  # four subjects in two sessions
    assert "hIT | BE | Session: 1" in set(result.scores["subject"])
    assert (result.summary["ceiling_lower"] < result.summary["ceiling_upper"]).all()


def test_maps_of_a_real_brain(
    data_dir: Path, tmp_path: Path, make_network: Callable[..., Network]
) -> None:
    """One run of 121 volumes, with stand-in pictures: what is checked is where the maps lie."""
    subject = data_dir / "haxby2001-pymvpa" / "sub001"
    bold = subject / "task001_run001" / "bold_25mm.nii.gz"
    mask = subject / "masks_25mm" / "gray.nii.gz"
    responses = read_responses(bold, mask=mask)
    pixels = np.random.default_rng(0).integers(0, 256, (121, 4, 4, 3), dtype=np.uint8)
    stimuli = Stimuli.from_array(pixels.repeat(4, 1).repeat(4, 2), layout="NHWC")
    with pytest.warns(AlignmentWarning, match="responses had no ids"):
        result = compare_networks(stimuli, make_network(0), responses=responses)
    result.save(tmp_path)

    source, inside = nib.load(bold), nib.load(mask).get_fdata() > 0
    for name, shape in (("r", (6, 10, 10, 2)), ("best_layer", (6, 10, 10))):
        image = nib.load(tmp_path / "maps" / f"small_{name}.nii.gz")
        assert image.shape == shape
        np.testing.assert_array_equal(image.affine, source.affine)
        for key in ("qform_code", "sform_code", "xyzt_units", "descrip"):
            if key != "xyzt_units" or len(shape) == 3:
                assert image.header[key] == source.header[key], key
        assert image.header.get_zooms()[:3] == source.header.get_zooms()[:3]
        np.testing.assert_array_equal(
            np.isfinite(image.get_fdata()).reshape(600, -1).all(1), inside.ravel()
        )
