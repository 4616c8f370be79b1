"""The small network: seeded, sparse, and as any other `Network`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dnnbrain_cpp.datasets import demo_network, draw_stimuli
from dnnbrain_cpp.datasets._network import ContrastNormalization
from dnnbrain_cpp.networks import Network
from tolerances import TOLERANCES


@pytest.fixture(scope="module")
def network() -> Network:
    return demo_network(seed=5)


def test_layers_and_record(network: Network) -> None:
    assert network.layers == ["relu1", "relu2", "relu3", "relu4", "relu5"]
    assert (network.name, network.weights, network.seed) == ("demo", "random", 5)
    assert network.resolve("conv*") == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert not network.module.training
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 128, 128)).shape == (2, 10)
        assert network(torch.zeros(1, 3, 96, 64)).shape == (1, 10)  # other sizes work too


def test_same_seed_same_weights(network: Network) -> None:
    again, other = demo_network(seed=5).module.state_dict(), demo_network(seed=6)
    for name, value in network.module.state_dict().items():
        assert torch.equal(value, again[name]), name
    assert not torch.equal(other.module.state_dict()["conv1.weight"], again["conv1.weight"])


def test_units_are_sparse_on_images_they_were_not_set_on(network: Network) -> None:
    stimuli = draw_stimuli(24, seed=11)
    x = torch.stack([network.transform(stimuli.image(i)) for i in range(len(stimuli))])
    with torch.inference_mode():
        for name, layer in network.module.named_children():
            x = layer(x)
            if name in network.layers:
                active = (x > 0).float().mean(dim=(0, 2, 3))
                assert active.mean() == pytest.approx(0.1, abs=0.03), name
                assert active.min() > 0.02, name


def test_normalization_is_its_equation() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 3, 4))
    layer = ContrastNormalization(5, epsilon=0.1).double()
    layer.gain.copy_(torch.from_numpy(rng.uniform(1, 2, 5)))
    layer.threshold.copy_(torch.from_numpy(rng.normal(size=5)))
    expected = np.empty_like(x)
    for n, i, j in np.ndindex(2, 3, 4):
        column = x[n, :, i, j]
        z = (column - column.mean()) / np.sqrt(((column - column.mean()) ** 2).mean() + 0.1)
        for c in range(5):
            expected[n, c, i, j] = float(layer.gain[c]) * (z[c] - float(layer.threshold[c]))
    np.testing.assert_allclose(
        layer(torch.from_numpy(x)).numpy(), expected, atol=TOLERANCES["fp64_reduction"]
    )


def test_calibration_gives_all_channels_the_same_activity() -> None:
    x = torch.randn(4, 6, 20, 20, generator=torch.Generator().manual_seed(0))
    x[:, 2] *= 5
    x[:, 3] += 2
    layer = ContrastNormalization(6)
    layer.calibrate(x)
    y = torch.relu(layer(x))
    np.testing.assert_allclose((y > 0).float().mean(dim=(0, 2, 3)), 0.1, atol=0.002)
    np.testing.assert_allclose(y.mean(dim=(0, 2, 3)), 1, rtol=TOLERANCES["fp32_reduction"])


def test_refusals() -> None:
    with pytest.raises(ValueError, match="seed must be at least 0; got -1"):
        demo_network(seed=-1)
