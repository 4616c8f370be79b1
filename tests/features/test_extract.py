"""Numbers: reductions, batch sizes, memory formats, precision, transforms, axes of channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from dnnbrain_cpp import Network, Stimuli, extract, plan
from dnnbrain_cpp.features import Gram
from features.naive import (
    REDUCTIONS,
    activations,
    difference,
    make_network,
    make_stimuli,
    pixels_of,
)
from tolerances import TOLERANCES


def rows(features: Any, layer: str) -> NDArray[Any]:
    return np.asarray(features[layer])


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_reductions_equal_their_definition(reduce: str, network: Network, stimuli: Stimuli) -> None:
    features = extract(network, stimuli, reduce=reduce, batch_size=len(stimuli))
    expected = activations(network, pixels_of(network, stimuli), network.layers)
    assert features.layers == network.layers
    for layer, maps in expected.items():
        units = maps.reshape(*maps.shape[:2], -1).astype(np.float64)
        came = rows(features, layer)
        assert came.dtype == np.float32
        assert difference(came, REDUCTIONS[reduce](units)) < TOLERANCES["fp32_reduction"], layer


@pytest.mark.parametrize("memory_format", [None, "channels_last"])
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_units_are_kept_in_the_order_channel_row_column(
    memory_format: str | None, dtype: str | None, network: Network, stimuli: Stimuli
) -> None:
    features = extract(network, stimuli, batch_size=3, memory_format=memory_format, dtype=dtype)
    expected = activations(network, pixels_of(network, stimuli), network.layers)
    close = TOLERANCES["fp32_forward" if dtype is None else "bf16_forward"]
    for layer, maps in expected.items():
        assert difference(rows(features, layer), maps.reshape(len(stimuli), -1)) < close, layer


def test_channels_last_reaches_the_layers(network: Network, stimuli: Stimuli) -> None:
    seen = []
    handle = network.module.get_submodule("0").register_forward_pre_hook(
        lambda module, inputs: seen.append(
            inputs[0].is_contiguous(memory_format=torch.channels_last)
        )
    )
    extract(network, stimuli, "0", batch_size=len(stimuli), memory_format="channels_last")
    handle.remove()
    assert seen[-1]
    assert not seen[0]


@pytest.mark.parametrize("reduce", ["keep", "mean", "l2", "gram"])
def test_the_batch_size_does_not_change_results(reduce: str, network: Network) -> None:
    stimuli = make_stimuli(33)
    whole = extract(network, stimuli, reduce=reduce, batch_size=33)
    for batch_size in (1, 7, 32):  # 33 = 32 + a last batch of one
        parts = extract(network, stimuli, reduce=reduce, batch_size=batch_size)
        assert parts.ids == whole.ids == stimuli.ids
        for layer in whole:
            assert difference(parts[layer], whole[layer]) < TOLERANCES["fp32_forward"], layer


def test_gram_equals_the_products_of_centred_units(network: Network, stimuli: Stimuli) -> None:
    kept = extract(network, stimuli, batch_size=2)
    grams = extract(network, stimuli, reduce="gram", batch_size=2)
    for layer in kept:
        gram = grams[layer]
        assert isinstance(gram, Gram)
        units = rows(kept, layer).astype(np.float64)
        centred = units - units.mean(axis=0)
        assert difference(gram.kernel, centred @ centred.T) < TOLERANCES["fp64_reduction"]
        assert gram.n_feat == units.shape[1]


def test_reductions_may_differ_between_layers(network: Network, stimuli: Stimuli) -> None:
    features = extract(
        network, stimuli, reduce={"0": "keep", "type:Conv2d": "max", "*": "gram"}, batch_size=5
    )
    conv = activations(network, pixels_of(network, stimuli), ["0", "2"])
    assert difference(features["0"], conv["0"].reshape(5, -1)) == TOLERANCES["exact"]
    assert difference(features["2"], conv["2"].max((2, 3))) == TOLERANCES["exact"]
    assert isinstance(features["13"], Gram)
    assert features.reduce["2"] == "max"
    # Without layers, the patterns of reduce are the layers.
    assert extract(network, stimuli, reduce={"0": "keep", "2": "mean"}).layers == ["0", "2"]


def test_reduce_must_cover_every_layer(network: Network, stimuli: Stimuli) -> None:
    with pytest.raises(ValueError, match=r"reduce must say what to do with every layer.*'2'"):
        extract(network, stimuli, ["0", "2"], reduce={"0": "keep"})


class Tokens(nn.Module):
    """Maps to tokens (n_stim, n_token, n_chn)."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.flatten(2).transpose(1, 2)


class ChannelsLast(nn.Module):
    """Maps to (n_stim, n_row, n_col, n_chn), as Swin and ConvNeXt have them inside."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.permute(0, 2, 3, 1)


@pytest.mark.parametrize(("build", "axis"), [(Tokens, None), (ChannelsLast, 3), (ChannelsLast, -1)])
def test_channels_are_found_in_tokens_and_where_the_user_says(
    build: type[nn.Module], axis: int | None, stimuli: Stimuli
) -> None:
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 6, 3), build()))
    maps = activations(network, pixels_of(network, stimuli), ["0"])["0"]
    for channel_axis in (axis, None if axis is None else {"1": axis}):
        came = extract(network, stimuli, "1", reduce="mean", channel_axis=channel_axis)["1"]
        assert difference(came, maps.mean((2, 3))) < TOLERANCES["fp32_forward"]


def test_channel_axis_default_in_maps_is_the_first_behind_stimuli(stimuli: Stimuli) -> None:
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 6, 3), ChannelsLast()))
    assert np.shape(extract(network, stimuli, "1", reduce="mean")["1"]) == (5, 30)  # rows


@pytest.mark.parametrize("axis", [0, -4, 4, 2.0])
def test_channel_axis_must_lie_behind_the_stimuli(axis: Any, stimuli: Stimuli) -> None:
    network = make_network(lambda: nn.Sequential(nn.Conv2d(3, 6, 3)))
    with pytest.raises((ValueError, TypeError), match="channel_axis must"):
        extract(network, stimuli, "0", reduce="mean", channel_axis=axis)


def test_a_transform_of_the_user_feeds_the_network(stimuli: Stimuli) -> None:
    sizes = []

    def to_unit_range(image: Image.Image) -> torch.Tensor:
        sizes.append(image.size)
        pixels = torch.from_numpy(np.array(image.resize((20, 16)))).permute(2, 0, 1)
        return pixels.float() / 127.5 - 1

    network = make_network(lambda: nn.Sequential(nn.Identity()), transform=to_unit_range)
    features = extract(network, stimuli, batch_size=2)
    assert features.shapes["0"] == (3, 16, 20)
    expected = np.stack([to_unit_range(stimuli.image(i)).numpy().ravel() for i in range(5)])
    assert difference(features["0"], expected) == TOLERANCES["exact"]
    assert rows(features, "0").min() < -0.5
    assert set(sizes) == {(32, 32)}


def test_bfloat16_reports_how_close_it_is(network: Network) -> None:
    stimuli = make_stimuli(8)
    features = extract(network, stimuli, dtype="bfloat16", batch_size=4)
    exact = extract(network, stimuli, batch_size=4)
    assert features.fidelity.keys() == features.keys()
    assert exact.fidelity == {}
    for layer, fidelity in features.fidelity.items():
        assert 1 - TOLERANCES["bf16_correlation"] < fidelity <= 1
        n_compared = 2  # half of the first batch
        came, full = rows(features, layer)[:n_compared], rows(exact, layer)[:n_compared]
        assert (
            abs(np.corrcoef(came.ravel(), full.ravel())[0, 1] - fidelity)
            < (TOLERANCES["fp32_forward"])
        )
    assert min(features.fidelity[layer] for layer in ("0", "13")) < 1  # it is another precision


def test_float32_by_name_is_the_default(network: Network, stimuli: Stimuli) -> None:
    default = extract(network, stimuli, "13")
    for dtype in ("float32", torch.float32):
        named = extract(network, stimuli, "13", dtype=dtype)
        assert difference(named["13"], default["13"]) == TOLERANCES["exact"]


def test_a_network_in_double_precision_gives_single(stimuli: Stimuli) -> None:
    network = make_network(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, dtype=torch.float64)),
        transform=lambda image: torch.zeros(3, 8, 8),
    )
    network.module.register_forward_pre_hook(lambda module, inputs: (inputs[0].double(),))
    assert rows(extract(network, stimuli), "0").dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype must be one of 'float32', 'bfloat16'; got 'float16'"),
        ({"dtype": torch.int8}, "dtype must be one of"),
        ({"memory_format": "NHWC"}, "memory_format must be one of 'channels_last'; got 'NHWC'"),
        ({"on_error": "ignore"}, "on_error must be one of 'raise', 'skip'; got 'ignore'"),
        ({"reduce": "median"}, "reduce must be one of .*'gram'; got 'median'"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"batch_size": "big"}, "batch_size must be 'auto' or a positive integer; got 'big'"),
        ({"layers": "conv9"}, "'conv9' matches none"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    options: dict[str, Any], message: str, network: Network, stimuli: Stimuli
) -> None:
    with pytest.raises(ValueError, match=message):
        extract(network, stimuli, **options)


def test_no_stimuli_is_an_error(network: Network, stimuli: Stimuli) -> None:
    with pytest.raises(ValueError, match="at least one"):
        extract(network, stimuli[:0])


def test_layers_come_in_the_order_of_computation() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Conv2d(4, 5, 3)
            self.first = nn.Conv2d(3, 4, 3)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            maps: torch.Tensor = self.second(self.first(pixels))
            return maps

    network = make_network(Backwards)
    assert extract(network, make_stimuli(2), ["second", "first"]).layers == ["first", "second"]


def test_pictures_of_a_file_folder_and_an_array_give_the_same(
    tmp_path: Any, network: Network
) -> None:
    stimuli = make_stimuli(6)
    for name in stimuli.ids:
        stimuli.image(stimuli.ids.index(name)).save(tmp_path / f"{name}.png")
    from_array = extract(network, stimuli, batch_size=4)
    from_files = extract(network, Stimuli.from_folder(tmp_path), batch_size=4, n_workers=3)
    assert from_files.ids == stimuli.ids
    for layer in from_array:
        assert difference(from_files[layer], from_array[layer]) == TOLERANCES["exact"]


def test_the_automatic_batch_is_small_for_wide_networks_and_few_stimuli(
    monkeypatch: pytest.MonkeyPatch, network: Network
) -> None:
    assert plan(network, make_stimuli(3)).batch_size == 3
    assert plan(network, make_stimuli(40)).batch_size == 32
    monkeypatch.setattr("dnnbrain_cpp.features._plan._AUTO_BATCH_BYTES", 1 << 18)
    assert 1 <= plan(network, make_stimuli(40)).batch_size < 32
