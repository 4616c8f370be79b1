"""One count of progress for a run of several networks and several steps each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dnnbrain_cpp._progress import ProgressCallback

__all__ = ["Stages"]

_PER_NETWORK = 100


class Stages:
    """Counts in hundredths of a network.

    Parameters
    ----------
    report : callable or None
        Told (done, total).
    names : sequence of str
        Steps that every network takes.
    n_network : int
        0 where it is not known beforehand.
    """

    def __init__(
        self, report: ProgressCallback | None, names: Sequence[str], n_network: int
    ) -> None:
        self._report = report
        self._names = tuple(names)
        self._n_network = n_network
        self._network = 0
        self._done = 0

    def step(self, name: str) -> ProgressCallback | bool:
        """Return what the step `name` of the present network is to call; False for nothing."""
        if self._report is None:
            return False
        report = self._report
        share = _PER_NETWORK / len(self._names)
        start = self._network * _PER_NETWORK + self._names.index(name) * share
        total = max(self._n_network, self._network + 1) * _PER_NETWORK

        def advance(done: int, of: int) -> bool | None:
            # A step may count anew for each layer or region; a bar does not go back.
            self._done = max(self._done, round(start + share * done / max(of, 1)))
            return report(self._done, total)

        callback: Callable[[int, int], bool | None] = advance
        return callback

    def next_network(self) -> None:
        """Say that the present network is done."""
        self._network += 1
        if self._report is not None:
            self._done = self._network * _PER_NETWORK
            self._report(self._done, max(self._n_network, self._network) * _PER_NETWORK)
