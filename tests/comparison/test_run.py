"""`compare_networks` against the same study done by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import kendalltau
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from dnnbrain_cpp import Network, Stimuli, extract, rsa, transforms
from dnnbrain_cpp.comparison import Comparison, _work, compare_networks
from dnnbrain_cpp.exceptions import (
    AlignmentWarning,
    ConstantTargetWarning,
    SkippedStimulusWarning,
)
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.rsa import RDMs
from tolerances import TOLERANCES

SCORE_COLUMNS = [
    "analysis", "network", "seed", "layer", "roi", "subject", "method", "score", "p",
    "ceiling_lower", "ceiling_upper",
]  # fmt: skip
MakeNetwork = Callable[..., Network]


def naive_layers(network: Network, stimuli: Stimuli) -> dict[str, np.ndarray]:
    """Mean over positions after each ReLU, by a plain forward pass."""
    x = torch.stack([network.transform(stimuli.image(i)) for i in range(len(stimuli))])
    out = {}
    with torch.no_grad():
        for name, layer in network.module.named_children():
            x = layer(x)
            if name.startswith("relu"):
                out[name] = x.mean((2, 3)).numpy().astype(float)
    return out


def naive_tau(features: np.ndarray, subject: np.ndarray) -> float:
    upper = np.triu_indices(len(features), 1)
    return float(kendalltau((1 - np.corrcoef(features))[upper], subject).statistic)


@pytest.fixture(scope="module")
def comparison(stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs]) -> Comparison:
    networks = (make_network(seed, name=n) for seed in (0, 1, 2) for n in ("small", "other"))
    return compare_networks(stimuli, networks, rdms=rdms, n_perm=20)


def test_scores_are_those_by_hand(
    comparison: Comparison, stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs]
) -> None:
    assert list(comparison.scores.columns) == SCORE_COLUMNS
    table = comparison.scores.set_index(["network", "seed", "layer", "roi", "subject"])["score"]
    assert len(table) == 2 * 3 * 2 * 2 * 4
    for seed in (0, 1, 2):
        for layer, features in naive_layers(make_network(seed), stimuli).items():
            for roi, data in rdms.items():
                for subject, values in zip(data.names, data.dissimilarities, strict=True):
                    expected = naive_tau(features, values)
                    # Rounding of features may swap a few of the 276 pairs.
                    tolerance = TOLERANCES["tau_of_fp32_features"]
                    for name in ("small", "other"):
                        found = table[name, seed, layer, roi, subject]
                        assert found == pytest.approx(expected, abs=tolerance)


def test_summary_is_that_of_the_scores(comparison: Comparison) -> None:
    cells = comparison.summary.set_index(["network", "layer", "roi"])
    assert len(cells) == 2 * 2 * 2
    for (network, layer, roi), cell in cells.iterrows():
        keys = comparison.scores[["network", "layer", "roi"]]
        rows = comparison.scores[(keys == [network, layer, roi]).all(axis=1)]
        grid = rows.pivot_table(index="seed", columns="subject", values="score").to_numpy()
        assert grid.shape == (3, 4)
        expected = {
            "score": grid.mean(),
            "sem": grid.mean(0).std(ddof=1) / np.sqrt(4),
            "seed_sd": grid.mean(1).std(ddof=1),
        }
        assert cell[list(expected)].to_dict() == pytest.approx(expected, abs=1e-12)
        assert (cell["n_subject"], cell["n_seed"]) == (4, 3)
        assert cell["p"] >= 1 / 21


def test_p_values_and_ceiling_are_those_of_rsa(
    comparison: Comparison, stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs]
) -> None:
    models = rsa.rdm(extract(make_network(0), stimuli, reduce="mean"))
    result = rsa.compare(models, rdms["IT"], n_perm=20, random_state=0)
    rows = comparison.scores.query("network == 'small' and seed == 0 and roi == 'IT'")
    np.testing.assert_array_equal(rows["p"].to_numpy().reshape(2, 4), result.p_values)
    assert result.ceiling is not None
    assert set(rows["ceiling_lower"]) == {result.ceiling.lower}
    assert set(rows["ceiling_upper"]) == {result.ceiling.upper}

    largest = np.zeros(2)
    for seed in (0, 1, 2):
        models = rsa.rdm(extract(make_network(seed), stimuli, reduce="mean"))
        group = rsa.compare(models, rdms["IT"], n_perm=20, random_state=0).group_p_values
        assert group is not None
        largest = np.maximum(largest, group)
    summary = comparison.summary.query("network == 'small' and roi == 'IT'")
    np.testing.assert_array_equal(summary["p"], largest)


def test_encoding_is_that_of_scikit_learn(
    stimuli: Stimuli, make_network: MakeNetwork, responses: Responses
) -> None:
    estimator = make_pipeline(PCA(3), LinearRegression())
    network = make_network(0)
    with pytest.warns(ConstantTargetWarning, match=r"^2 voxels"):
        comparison = compare_networks(
            stimuli, network, responses=responses, estimator=estimator, cv=4, random_state=7
        )
    usable = [1, 2, 4, 5]
    folds = list(KFold(4, shuffle=True, random_state=7).split(responses.data))
    for layer, x in naive_layers(network, stimuli).items():
        r = np.empty((len(folds), 4))
        for fold, (train, test) in enumerate(folds):
            y = responses.data[:, usable]
            predicted = estimator.fit(x[train], y[train]).predict(x[test])
            r[fold] = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y[test].T, strict=True)]
        tolerance = TOLERANCES["fp32_forward"]
        found = comparison.voxel_scores["small"].loc[layer]
        np.testing.assert_allclose(found[usable], r.mean(0), atol=tolerance)
        assert found[[0, 3]].isna().all()
        rows = comparison.scores.query("layer == @layer").set_index("roi")
        assert rows["score"].to_dict() == pytest.approx(
            {"early": r.mean(0)[:2].mean(), "late": r.mean(0)[2:].mean()}, abs=tolerance
        )
    scores = comparison.scores
    assert set(scores["analysis"]) == {"encoding"}
    assert set(scores["method"]) == {"pcr-r"}
    assert set(scores["subject"]) == {"subject-01"}
    assert scores["p"].isna().all()
    assert "random_state=7" in comparison.record["settings"]["cv"]
    assert comparison.record["responses"]["n_left_out"] == 2
    assert any("2 voxels of 6" in note for note in comparison.notes)


def test_joined_by_id_in_any_order(
    stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs], responses: Responses
) -> None:
    finite = Responses(np.nan_to_num(responses.data)[:, [1, 2]], ids=responses.ids)
    shuffled = list(np.random.default_rng(5).permutation(stimuli.ids))
    results = [
        compare_networks(stimuli, make_network(0), rdms=data, responses=measured, n_perm=5)
        for data, measured in (
            (rdms["IT"], finite),
            (rdms["IT"].select(shuffled), finite.select(shuffled)),
        )
    ]
    pd.testing.assert_frame_equal(results[0].scores, results[1].scores)
    assert results[1].record["rdms"]["brain"]["joined_by"] == "id"
    assert results[1].record["responses"]["joined_by"] == "id"
    assert results[1].notes == []


def test_joined_by_order_is_said(
    stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs]
) -> None:
    nameless = RDMs(rdms["IT"].dissimilarities)
    with pytest.warns(AlignmentWarning, match=r"^IT had no ids"):
        result = compare_networks(stimuli, make_network(0), rdms={"IT": nameless}, n_perm=0)
    assert result.record["rdms"]["IT"]["joined_by"] == "order"
    assert "IT came without ids" in result.notes[0]
    assert result.scores["p"].isna().all()


def test_skipped_stimuli_are_left_out_on_both_sides(
    tmp_path: Path, stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs],
    responses: Responses,
) -> None:  # fmt: skip
    for i, name in enumerate(stimuli.ids):
        stimuli.image(i).save(tmp_path / f"{name}.png")
    bad = stimuli.ids[3]
    (tmp_path / f"{bad}.png").write_bytes(b"no image")
    folder = Stimuli.from_folder(tmp_path)
    finite = Responses(responses.data[:, [1, 2]], ids=responses.ids)
    kept = [name for name in stimuli.ids if name != bad]
    networks = [make_network(0), make_network(1)]
    with pytest.warns(SkippedStimulusWarning, match=bad):
        skipped = compare_networks(
            folder, networks, rdms=rdms, responses=finite, n_perm=5, on_error="skip"
        )
    expected = compare_networks(
        stimuli.select(kept), networks, n_perm=5,
        rdms={roi: data.select(kept) for roi, data in rdms.items()},
        responses=finite.select(kept),
    )  # fmt: skip
    pd.testing.assert_frame_equal(skipped.scores, expected.scores)
    assert skipped.stimuli.ids == tuple(kept)
    assert skipped.record["stimuli"]["skipped"][0][0] == bad
    assert bad in skipped.notes[0]
    with pytest.raises(ValueError, match=bad):
        compare_networks(folder, networks, rdms=rdms)


def test_images_are_decoded_once_for_all_networks(
    tmp_path: Path, make_network: MakeNetwork, rdms: dict[str, RDMs], stimuli: Stimuli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for i, name in enumerate(stimuli.ids):
        stimuli.image(i).save(tmp_path / f"{name}.png")
    opened: list[str] = []
    original = Image.open

    def counting(file: object, *args: object, **options: object) -> Image.Image:
        opened.append(str(file))
        return original(file, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "open", counting)
    networks = [make_network(seed) for seed in range(3)]
    compare_networks(Stimuli.from_folder(tmp_path), networks, rdms=rdms, n_perm=0)
    assert len(opened) == len(stimuli)

    # A single network leaves its images where they are.
    opened.clear()
    with monkeypatch.context() as patch:
        patch.setattr(_work, "prepare", lambda *_, **__: pytest.fail("pixels were kept"))
        compare_networks(Stimuli.from_folder(tmp_path), networks[0], rdms=rdms, n_perm=0)
    assert opened

    # Another function may give other pixels each time, so nothing is kept.
    opened.clear()
    squash = transforms.squash(16)
    for network in networks:
        network.transform = lambda image: squash(image)
    compare_networks(Stimuli.from_folder(tmp_path), networks, rdms=rdms, n_perm=0)
    assert len(opened) >= 3 * len(stimuli)


def test_networks_are_taken_one_at_a_time(
    stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs]
) -> None:
    alive: list[int] = []

    def networks() -> Iterator[Network]:
        for seed in range(3):
            alive.append(seed)
            yield make_network(seed)

    seen: list[tuple[int, int, int]] = []
    compare_networks(
        stimuli, networks(), rdms=rdms, n_perm=3,
        progress=lambda done, total: seen.append((done, total, len(alive))) or True,
    )  # fmt: skip
    done = [entry[0] for entry in seen]
    assert done == sorted(done)
    assert seen[-1][:2] == (300, 300)
    # While the first network was at work, the second had not been made.
    assert {n_alive for now, _, n_alive in seen if now < 100} == {1}


def test_same_name_other_weights_are_kept_apart(
    stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs]
) -> None:
    networks = [
        make_network(0),
        make_network(1),
        make_network(None, weights="/models/trained.pth"),
    ]
    result = compare_networks(stimuli, networks, rdms=rdms["IT"], n_perm=0)
    assert result.networks == ["small (random)", "small (trained)"]
    n_seed = result.summary.groupby("network", sort=False)["n_seed"].first()
    assert list(n_seed) == [2, 1]
    assert result.scores["seed"].isna().sum() == 2 * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rdms": None}, "nothing to compare with"),
        ({"method": "tau-c"}, "method must be one of"),
        ({"metric": "manhattan"}, "metric must be one of"),
        ({"alternative": "both"}, "alternative must be one of"),
        ({"n_perm": -1}, "n_perm must be at least 0"),
        ({"on_error": "ignore"}, "on_error must be one of"),
        ({"networks": []}, "at least one network"),
        ({"layers": "conv9"}, "conv9"),
        ({"truth": pd.DataFrame({"roi": ["IT"]})}, "columns roi and layer"),
        ({"truth": pd.DataFrame({"roi": ["V9"], "layer": ["relu1"]})}, "'V9' was not"),
    ],
)
def test_refusals(
    stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs],
    change: dict[str, object], message: str,
) -> None:  # fmt: skip
    arguments = {"networks": make_network(0), "rdms": rdms, "n_perm": 0} | change
    networks = arguments.pop("networks")
    with pytest.raises(ValueError, match=message):
        compare_networks(stimuli, networks, **arguments)  # type: ignore[arg-type]


def test_refused_before_a_network_runs(
    stimuli: Stimuli, rdms: dict[str, RDMs], responses: Responses
) -> None:
    def never() -> Iterator[Network]:
        pytest.fail("a network was made")
        yield

    other = RDMs(rdms["IT"].dissimilarities, ids=[f"x{i}" for i in range(24)])
    with pytest.raises(ValueError, match=r"24 stimuli are missing there and 24 .*'stim-001'"):
        compare_networks(stimuli, never(), rdms={"IT": other})
    with pytest.raises(ValueError, match="got 24 for 23 stimuli"):
        compare_networks(stimuli[:23], never(), rdms=RDMs(rdms["IT"].dissimilarities))
    with pytest.raises(ValueError, match="got 24 for 23 stimuli"):
        compare_networks(stimuli[:23], never(), responses=Responses(responses.data))
    with pytest.raises(ValueError, match="none of 1 does"):
        compare_networks(
            stimuli, never(), responses=Responses(responses.data[:, [3]], ids=stimuli.ids)
        )
    with pytest.raises(TypeError, match="that of 'IT' is ndarray"):
        compare_networks(stimuli, never(), rdms={"IT": np.zeros(3)})  # type: ignore[dict-item]


def test_the_same_network_twice_is_refused(
    stimuli: Stimuli, make_network: MakeNetwork, rdms: dict[str, RDMs]
) -> None:
    with pytest.raises(ValueError, match="seed 0 comes twice"):
        compare_networks(stimuli, [make_network(0), make_network(0)], rdms=rdms, n_perm=0)
    with pytest.raises(TypeError, match="Wrap a module"):
        compare_networks(stimuli, [make_network(0).module], rdms=rdms)  # type: ignore[list-item]


def test_repr_is_short(comparison: Comparison) -> None:
    assert len(repr(comparison).splitlines()) == 3
    assert repr(comparison).startswith("Comparison of small, other on 24 stimuli")
    assert "The geometry of EVC" in comparison._repr_html_()
