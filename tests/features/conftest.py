"""Stimuli and a network that the tests of features share."""

from __future__ import annotations

import pytest

from dnnbrain_cpp import Network, Stimuli
from features.naive import make_network, make_stimuli, small_cnn


@pytest.fixture
def stimuli() -> Stimuli:
    return make_stimuli()


@pytest.fixture
def network() -> Network:
    return make_network(small_cnn, name="small")
