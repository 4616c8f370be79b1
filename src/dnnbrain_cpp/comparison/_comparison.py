"""What a comparison gives: tables, and everything that figures and the report are made of."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dnnbrain_cpp.comparison._findings import findings, notes, verdict_sentence
from dnnbrain_cpp.io import Responses
from dnnbrain_cpp.rsa import RDMs
from dnnbrain_cpp.stimuli import Stimuli

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Networks compared with brains; made by `compare_networks`.

    Attributes
    ----------
    scores : DataFrame
        One row per analysis, network, seed, layer, region and subject: ``analysis`` ("rsa" or
        "encoding"), ``network``, ``seed``, ``layer``, ``roi``, ``subject``, ``method``, ``score``,
        ``p``, ``ceiling_lower``, ``ceiling_upper``. Encoding scores are means over the region's
        voxels and have no p and no ceiling.
    summary : DataFrame
        One row per analysis, network, layer and region: ``score`` (mean over subjects and seeds),
        ``sem`` over subjects, ``seed_sd``, ``n_subject``, ``n_seed``, ``p`` of the mean over
        subjects (the largest over seeds), ``ceiling_lower``, ``ceiling_upper``.
    layers : DataFrame
        Per network: ``layer`` (module path), ``label``, ``type``, ``activation``, ``reduce``,
        ``n_feat``.
    verdict : DataFrame or None
        With planted layers: ``match`` and what was found, per network and region.
    stimuli : Stimuli
        That every network saw.
    rdms : dict of str to RDMs
        Per region, over those stimuli.
    model_rdms : dict of str to RDMs
        Per network, of its first seed, one per layer.
    responses : Responses or None
    voxel_scores : dict of str to DataFrame of shape (n_layer, n_vox)
        Per network, mean over folds and seeds; NaN for voxels left out.
    record : dict
        What was done, as ``run.json`` has it.
    """

    scores: pd.DataFrame
    summary: pd.DataFrame
    layers: pd.DataFrame
    verdict: pd.DataFrame | None
    stimuli: Stimuli
    rdms: Mapping[str, RDMs]
    model_rdms: Mapping[str, RDMs]
    responses: Responses | None
    voxel_scores: Mapping[str, pd.DataFrame]
    record: dict[str, Any]

    @property
    def networks(self) -> list[str]:
        """Labels of the networks."""
        return list(dict.fromkeys(self.layers["network"]))

    @property
    def findings(self) -> list[str]:
        """One sentence per analysis and region: the network and layer that fit best."""
        cells = self.layers[["network", "layer", "label"]].itertuples(index=False)
        labels = {(network, layer): label for network, layer, label in cells}
        return findings(self.summary, labels)

    @property
    def headline(self) -> str:
        """What came out, in one sentence."""
        return self.findings[0] if self.verdict is None else verdict_sentence(self.verdict)

    @property
    def notes(self) -> list[str]:
        """What to know before trusting the numbers: joins by order, what was left out."""
        return notes(self.record)

    def figures(self) -> dict[str, Figure]:
        """Return the figures of the report, by name."""
        from dnnbrain_cpp.comparison._figures import make_panels

        return {panel.name: panel.figure for panel in make_panels(self)}

    def save(self, folder: str | os.PathLike[str], *, command: Sequence[str] | None = None) -> Path:
        """Write tables, figures, maps, the report and the record of the run.

        Parameters
        ----------
        folder : path_like
            New, empty, or written by an earlier run, whose files are then replaced.
        command : sequence of str, optional
            How the run was started, for the record.

        Returns
        -------
        Path
            Of the report.

        Raises
        ------
        FileExistsError
            If the folder holds anything else.

        Notes
        -----
        ``scores.csv``, ``summary.csv``, one PNG per figure, ``report.html`` (self-contained),
        ``maps/*.nii.gz`` where voxels have places, and ``run.json``, which says ``"complete"`` once
        all the others are there. Figures are drawn only now.
        """
        from dnnbrain_cpp.comparison._save import save

        return save(self, Path(folder), command)

    def __repr__(self) -> str:
        n_stim = len(self.stimuli)
        lines = [f"Comparison of {', '.join(self.networks)} on {n_stim} stimuli"]
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.findings)])

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.findings)
        return f"<p>{html.escape(repr(self).splitlines()[0])}</p><ul>{items}</ul>"
