"""The published study on the published data: scores, statistics, and what the command writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from dnnbrain_cpp import rsa
from tolerances import TOLERANCES

# Mean tau-b with 15 subjects' IT. Untrained: mean over ten seeds, computed by others; trained: of
# the activations that come with the data.
UNTRAINED = [0.091, 0.143, 0.133, 0.137, 0.135, 0.113, 0.112]
TRAINED = [0.0413, 0.0719, 0.0690, 0.0998, 0.0673, 0.0947, 0.0930]


@pytest.fixture(scope="module")
def study(load_example: Callable[[str], ModuleType]) -> ModuleType:
    return load_example("truzzi_cusack_2020")


@pytest.fixture(scope="module")
def out(study: ModuleType, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("study") / "out"
    study.main(
        ["--data", str(data_dir), "--seeds", "1", "--permutations", "200", "--out", str(folder)]
    )
    return folder


def test_scores_are_the_published_ones(study: ModuleType, out: Path) -> None:
    layers = pd.read_csv(out / "layers.csv").set_index("network")
    assert list(layers.loc["trained AlexNet", "layer"]) == list(study.LAYERS)
    np.testing.assert_allclose(
        layers.loc["trained AlexNet", "tau_b"], TRAINED, atol=TOLERANCES["published_4_digits"]
    )
    np.testing.assert_allclose(
        layers.loc["untrained DeepCluster", "tau_b"],
        UNTRAINED,
        atol=TOLERANCES["published_tau_one_seed"],
    )
    # no ties to speak of between continuous RDMs
    np.testing.assert_allclose(layers["tau_a"], layers["tau_b"], rtol=1e-3)
    trained = layers.loc["trained AlexNet", "p_median_over_seeds"]
    assert (trained.iloc[1:] == 1 / 201).all()


def test_every_network_layer_and_subject_has_its_row(out: Path) -> None:
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 3 * 7 * 15
    assert not scores.duplicated(["network", "seed", "layer", "subject"]).any()
    assert scores["p"].between(1 / 201, 1).all()
    assert (scores.groupby(["network", "layer"])["group_p"].nunique() == 1).all()


def test_analysis_of_variance_has_the_design_of_the_paper(out: Path) -> None:
    anova = pd.read_csv(out / "anova.csv")
    assert list(anova["figure"]) == ["1e"] * 3 + ["2a"] * 3
    assert list(anova["df"]) == [1, 6, 6] * 2
    assert list(anova["df_error"]) == [14, 84, 84] * 2
    assert (anova.loc[anova["df"] == 6, "eps_gg"] < 0.7).all()
    assert (anova["p_gg"] >= anova["p"]).all()
    assert (anova["p_gg"] < 0.05).all()


def test_post_hoc_as_the_paper_and_as_it_should_be(out: Path) -> None:
    post_hoc = pd.read_csv(out / "post_hoc.csv")
    assert len(post_hoc) == 2 * 7
    # subjects who are alike in both networks: pairing gains everywhere
    assert (post_hoc["t_paired"].abs() > post_hoc["t_unpaired"].abs()).all()
    assert (post_hoc["p_holm"] >= post_hoc["p_bh"]).all()
    first = post_hoc[(post_hoc["figure"] == "2a") & (post_hoc["layer"] == "conv1")].iloc[0]
    assert first["p_unpaired"] > 0.05 > first["p_holm"]
    depth = pd.read_csv(out / "depth.csv").set_index("network")
    assert depth.loc["trained AlexNet", "p_paired"] < 0.05 < depth["p_paired"].iloc[1]


def test_the_figure_is_a_picture(out: Path) -> None:
    from PIL import Image

    with Image.open(out / "figure.png") as picture:
        assert picture.width > 1200
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_weights_of_the_user_take_the_place_of_published_activations(
    study: ModuleType, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of weights leads to that network: here AlexNet as drawn for seed 0."""
    import torch

    from dnnbrain_cpp import Stimuli, networks

    stimuli = Stimuli.from_folder(data_dir / "algonauts2019-92" / "jpg")[:4]
    monkeypatch.setattr(
        study, "published_activations", lambda *_: pytest.fail("took the published activations")
    )
    weights = tmp_path / "alexnet.pth"
    torch.save(networks.alexnet(seed=0).module.state_dict(), weights)
    models = study.all_models(data_dir, stimuli, 1, alexnet=weights)
    for layer in study.LAYERS:
        np.testing.assert_array_equal(
            models["trained AlexNet", 0][layer], models["untrained AlexNet", 0][layer]
        )


@pytest.mark.slow
def test_ten_untrained_networks(study: ModuleType, data_dir: Path) -> None:
    from dnnbrain_cpp import Stimuli

    folder = data_dir / "algonauts2019-92"
    stimuli = Stimuli.from_folder(folder / "jpg")
    subjects = rsa.load_rdms(folder / "target_fmri.mat", key="IT_RDMs", ids=stimuli.ids)
    scores = study.score(study.all_models(data_dir, stimuli, 10), subjects, n_perm=0)
    tau = study.by_subject(scores)["untrained DeepCluster"]
    np.testing.assert_allclose(tau.mean(0), UNTRAINED, atol=TOLERANCES["published_tau_mean"])
