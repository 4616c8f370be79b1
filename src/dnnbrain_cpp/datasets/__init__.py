"""Data that need no download: drawn stimuli, a small network, a simulated subject."""

from __future__ import annotations

from dnnbrain_cpp.datasets._drawings import draw_stimuli
from dnnbrain_cpp.datasets._network import demo_network
from dnnbrain_cpp.datasets._subject import SimulatedSubject, simulate_subject

__all__ = ["SimulatedSubject", "demo_network", "draw_stimuli", "simulate_subject"]
