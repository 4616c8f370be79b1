"""The work of a comparison, network by network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp._memory import available_bytes
from dnnbrain_cpp.comparison._comparison import Comparison
from dnnbrain_cpp.comparison._join import scorable
from dnnbrain_cpp.comparison._labels import label_networks, layer_labels
from dnnbrain_cpp.comparison._record import Clock, network_record, settings_record
from dnnbrain_cpp.comparison._settings import Settings
from dnnbrain_cpp.comparison._stages import Stages
from dnnbrain_cpp.comparison._tables import encoding_rows, rsa_rows, score_table, summarise
from dnnbrain_cpp.comparison._verdict import judge
from dnnbrain_cpp.encoding import Scores, encode
from dnnbrain_cpp.exceptions import ConstantTargetWarning
from dnnbrain_cpp.features import Features, extract
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.networks import Network
from dnnbrain_cpp.rsa import RDMs, compare, rdm
from dnnbrain_cpp.stimuli import PreparedStimuli, Stimuli, prepare
from dnnbrain_cpp.transforms import Transform

__all__ = ["Run"]

_MEMORY_SHARE = 4  # a quarter of what is free may hold prepared pixels


@dataclass
class _Outcome:
    """What is kept of one network."""

    name: str
    weights: str
    seed: int | None
    layers: list[str]
    rows: list[pd.DataFrame]
    voxels: NDArray[np.float64] | None
    record: dict[str, Any]


@dataclass
class Run:
    """The state of one comparison: what came in, and what each network gave so far.

    With `keep_pixels`, images are decoded once for all networks of one transform.
    """

    stimuli: Stimuli
    subjects: dict[str, RDMs]
    responses: Responses | None
    settings: Settings
    stages: Stages
    keep_pixels: bool
    clock: Clock = field(default_factory=Clock)
    outcomes: list[_Outcome] = field(default_factory=list)
    model_rdms: dict[tuple[str, str], RDMs] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()
    _prepared: dict[Transform, PreparedStimuli] = field(default_factory=dict)
    _usable: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.responses is not None:
            self._usable = scorable(self.responses)

    def take(self, network: Network) -> None:
        """Run one network and compare it with everything."""
        if not isinstance(network, Network):
            raise TypeError(
                f"networks must be Network objects; got {type(network).__name__}. Wrap a module: "
                "Network(module)."
            )
        key = (network.name, network.weights or "as given", network.seed)
        if any((done.name, done.weights, done.seed) == key for done in self.outcomes):
            raise ValueError(
                f"networks must differ in name, weights or seed; {network.name!r} with weights "
                f"{key[1]!r} and seed {network.seed} comes twice. Name one of them: "
                "Network(..., name=...)."
            )
        stimuli = self._with_pixels(network.transform)
        with self.clock("extract"):
            features = extract(
                network,
                stimuli,
                self.settings.layers,
                reduce=self.settings.reduce,
                progress=self.stages.step("extract"),
                **self.settings.extraction,
            )
        self.skipped = features.skipped
        rows = self._rsa(features, key[:2])
        scores = self._encode(features)
        if scores is not None:
            rows.append(encoding_rows(scores, self._encoding_method(scores)))
            self.routes |= scores.route
        voxels = None if scores is None else np.stack([scores.mean(name) for name in scores.layers])
        self.outcomes.append(
            _Outcome(
                *key,
                layers=list(features),
                rows=rows,
                voxels=voxels,
                record=network_record(network, features),
            )
        )

    def _with_pixels(self, transform: Any) -> Stimuli:
        """Return stimuli that hold this transform's pixels, if that helps and there is room."""
        # Any other function may give other pixels each time.
        if not self.keep_pixels or not isinstance(transform, Transform):
            return self.stimuli
        if transform not in self._prepared:
            n_bytes = 12 * len(self.stimuli) * int(np.prod(transform.output_size))
            free = available_bytes()
            if free is not None and n_bytes > free // _MEMORY_SHARE:
                return self.stimuli
            with self.clock("decode"):
                self._prepared[transform] = prepare(
                    self.stimuli,
                    transform,
                    n_workers=self.settings.extraction["n_workers"],
                    on_error=self.settings.extraction["on_error"],
                )
        return self._prepared[transform]

    def _rsa(self, features: Features, key: tuple[str, str]) -> list[pd.DataFrame]:
        if not self.subjects:
            return []
        with self.clock("rdm"):
            models = rdm(features, metric=self.settings.metric)
        self.model_rdms.setdefault(key, models)
        rows = []
        for roi, data in self.subjects.items():
            with self.clock("rsa"):
                result = compare(
                    models,
                    self._kept(data),
                    method=self.settings.method,
                    n_perm=self.settings.n_perm,
                    alternative=self.settings.alternative,
                    random_state=self.settings.seed,
                    progress=self.stages.step(f"rsa {roi}"),
                )
            rows.append(rsa_rows(result, roi))
        return rows

    def _encode(self, features: Features) -> Scores | None:
        if self.responses is None or self._usable is None:
            return None
        measured = self.responses
        rois = measured.rois
        usable = self._usable
        responses = Responses(
            measured.data[:, usable],
            ids=measured.ids,
            rois=None if rois is None else tuple(np.asarray(rois)[usable]),
        )
        groups = self.settings.groups
        if self.skipped:
            responses = responses.select(self.ids)
            if groups is not None:
                groups = np.asarray(groups)[[i in set(self.ids) for i in self.stimuli.ids]]
        with self.clock("encode"), warnings.catch_warnings():
            # Voxels that are constant in a single fold have the mean of the others as their score.
            warnings.simplefilter("ignore", ConstantTargetWarning)
            return encode(
                features,
                responses,
                estimator=self.settings.estimator,
                cv=self.settings.cv,
                groups=groups,
                progress=self.stages.step("encode"),
            )

    def _encoding_method(self, scores: Scores) -> str:
        if all(route.startswith("native: PCA") for route in scores.route.values()):
            return f"pcr-{scores.scoring}"
        return f"{type(self.settings.estimator).__name__.lower()}-{scores.scoring}"

    @property
    def ids(self) -> list[str]:
        """Stimuli that every network saw."""
        left_out = {name for name, _ in self.skipped}
        return [name for name in self.stimuli.ids if name not in left_out]

    @property
    def n_unusable(self) -> int:
        """Voxels that cannot be scored."""
        return 0 if self._usable is None else int(np.count_nonzero(~self._usable))

    def _kept(self, data: RDMs) -> RDMs:
        return data.select(self.ids) if self.skipped else data

    def result(self, truth: pd.DataFrame | None, joined_by: dict[str, Any]) -> Comparison:
        """Put together what all networks gave."""
        if not self.outcomes:
            raise ValueError("networks must hold at least one network; got none.")
        labels = label_networks([(done.name, done.weights) for done in self.outcomes])
        of_key = {
            (done.name, done.weights): label
            for done, label in zip(self.outcomes, labels, strict=True)
        }
        scores = score_table(
            [
                part.assign(network=label, seed=done.seed)
                for done, label in zip(self.outcomes, labels, strict=True)
                for part in done.rows
            ]
        )
        summary = summarise(scores)
        layers = layer_labels(
            [
                (label, done.record["layers"])
                for done, label in zip(self.outcomes, labels, strict=True)
            ]
        )
        return Comparison(
            scores=scores.drop(columns="group_p"),
            summary=summary,
            layers=layers,
            verdict=None if truth is None else judge(summary, truth),
            stimuli=self.stimuli.select(self.ids) if self.skipped else self.stimuli,
            rdms={roi: self._kept(data) for roi, data in self.subjects.items()},
            model_rdms={of_key[key]: models for key, models in self.model_rdms.items()},
            responses=self.responses,
            voxel_scores=self._voxel_scores(labels),
            record={
                "settings": settings_record(self.settings),
                "stimuli": {
                    "n": len(self.ids),
                    "source": repr(self.stimuli).splitlines(),
                    "skipped": [list(entry) for entry in self.skipped],
                    "ids": self.ids,
                },
                "networks": [
                    {"network": label, **done.record}
                    for done, label in zip(self.outcomes, labels, strict=True)
                ],
                "rdms": {
                    roi: {
                        "joined_by": joined_by["rdms"][roi],
                        "n_subject": len(data),
                        "subjects": list(data.names),
                    }
                    for roi, data in self.subjects.items()
                },
                "responses": None
                if self.responses is None
                else {
                    "joined_by": joined_by["responses"],
                    **self.responses.summary(),
                    "n_left_out": self.n_unusable,
                    "route": self.routes,
                },
                "timings_s": self.clock.seconds(),
            },
        )

    def _voxel_scores(self, labels: list[str]) -> dict[str, pd.DataFrame]:
        """Mean over seeds per network: one row per layer, one column per voxel, NaN if left out."""
        if self._usable is None:
            return {}
        by_label: dict[str, list[_Outcome]] = {}
        for done, label in zip(self.outcomes, labels, strict=True):
            by_label.setdefault(label, []).append(done)
        tables = {}
        for label, seeds in by_label.items():
            mean = np.mean([done.voxels for done in seeds if done.voxels is not None], axis=0)
            table = np.full((len(mean), len(self._usable)), np.nan)
            table[:, self._usable] = mean
            tables[label] = pd.DataFrame(table, index=seeds[0].layers)
        return tables
