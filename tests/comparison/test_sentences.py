"""What a report says about numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dnnbrain_cpp.comparison._findings import findings, format_p, verdict_sentence
from dnnbrain_cpp.comparison._labels import file_stem, file_stems, label_networks, shared_labels
from dnnbrain_cpp.comparison._report import _ranges
from dnnbrain_cpp.comparison._verdict import judge

LABELS = {("net", layer): layer.upper() for layer in ("a", "b")}


def summary(analysis: str, scores: list[float], **columns: object) -> pd.DataFrame:
    known = {
        "analysis": analysis, "network": "net", "layer": ["a", "b"], "roi": "IT",
        "method": "tau-b", "score": scores, "p": 0.01, "ceiling_lower": 0.4, "ceiling_upper": 0.5,
    }  # fmt: skip
    return pd.DataFrame(known | columns)


@pytest.mark.parametrize(
    ("scores", "columns", "sentence"),
    [
        ([0.1, 0.2], {}, "B of net: tau-b 0.200, 50% of the lower noise ceiling."),
        ([0.45, 0.2], {}, "A of net: tau-b 0.450, within the noise ceiling."),
        ([0.45, 0.6], {}, "B of net: tau-b 0.600, above the noise ceiling."),
        ([0.1, 0.2], {"p": 0.3}, "B of net: tau-b 0.200, no more than chance gives (p = 0.300)."),
        ([0.1, 0.2], {"ceiling_lower": np.nan}, "B of net: tau-b 0.200."),
        ([np.nan, -0.2], {}, "B of net: tau-b -0.200."),
    ],
)
def test_rsa(scores: list[float], columns: dict[str, object], sentence: str) -> None:
    found = findings(summary("rsa", scores, **columns), LABELS)
    assert found == [f"The geometry of IT is closest to {sentence}"]


def test_encoding() -> None:
    found = findings(summary("encoding", [0.3, 0.2], p=np.nan), LABELS)
    assert found == ["Voxels of IT are best predicted from A of net: mean r 0.300."]


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "< 0.001"), (1 / 1001, "= 0.001"), (0.04999, "= 0.050")]
)
def test_p(p: float, text: str) -> None:
    assert format_p(p) == text


def test_verdict_needs_every_analysis_to_agree() -> None:
    both = pd.concat([summary("rsa", [0.1, 0.2]), summary("encoding", [0.3, 0.1])])
    both = both.reset_index(drop=True)
    truth = pd.DataFrame({"roi": ["IT"], "layer": ["a"], "noise_ceiling": [0.7]})
    (row,) = judge(both, truth).to_dict("records")
    assert (row["encoding_layer"], row["rsa_layer"], row["match"]) == ("a", "b", False)
    assert (row["noise_ceiling"], row["ceiling_lower"]) == (0.7, 0.4)
    assert judge(summary("encoding", [0.3, 0.1]), truth)["match"].all()


@pytest.mark.parametrize(
    ("matches", "sentence"),
    [
        ([True], "The planted layer was recovered."),
        ([True] * 3, "All 3 planted layers were recovered."),
        ([True, False, True], "2 of 3 planted layers were recovered."),
        ([False], "0 of 1 planted layers were recovered."),
    ],
)
def test_verdict_sentence(matches: list[bool], sentence: str) -> None:
    assert verdict_sentence(pd.DataFrame({"match": matches})) == sentence


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([("a", "random"), ("b", "random"), ("a", "random")], ["a", "b", "a"]),
        (
            [("a", "random"), ("a", "torchvision:V1"), ("a", "permuted:/w/x.pth")],
            ["a (random)", "a (V1)", "a (permuted x)"],
        ),
        ([("a", "/one/x.pth"), ("a", "/two/x.pth")], ["a (/one/x.pth)", "a (/two/x.pth)"]),
    ],
)
def test_network_labels(names: list[tuple[str, str]], labels: list[str]) -> None:
    assert label_networks(names) == labels


def test_layers_share_labels_or_not() -> None:
    layers = pd.DataFrame({"network": ["x", "x", "y", "y"], "label": ["a", "b", "a", "b"]})
    assert shared_labels(layers) == ["a", "b"]
    assert shared_labels(layers.assign(label=["a", "b", "a", "c"])) is None


@pytest.mark.parametrize(
    ("text", "stem"), [("IT", "IT"), ("a b/c", "a-b-c"), ("../x", "x"), ("??", "unnamed")]
)
def test_file_stems(text: str, stem: str) -> None:
    assert file_stem(text) == stem


def test_stems_of_different_names_differ() -> None:
    assert file_stems(["a b", "a/b", "A-B", "c"]) == ["a-b", "a-b-2", "A-B-3", "c"]


def test_ranges_of_seeds() -> None:
    assert _ranges([0, 1, 2, 7, 9, 10]) == "0-2, 7, 9-10"
    assert _ranges([]) == ""
