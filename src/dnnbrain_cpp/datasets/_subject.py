"""A simulated subject: regions that read out known layers of a network, with known noise."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnnbrain_cpp._files import atomic_path
from dnnbrain_cpp._validate import as_array, check_finite, check_ids, check_integer
from dnnbrain_cpp.io import Responses, VolumeGeometry, write_responses

__all__ = ["SimulatedSubject", "simulate_subject"]

_VOXEL_MM = 3.0
_RESERVED = ("file", "ids", "names")  # names that the archive of dissimilarities uses itself


@dataclass(frozen=True, eq=False)
class SimulatedSubject:
    """What `simulate_subject` gives.

    Parameters
    ----------
    responses : Responses
        Of the first subject: (n_stim, n_vox) with ids, regions and places of the voxels.
    truth : pandas.DataFrame
        One row per region: ``roi``, ``layer`` (the planted one), ``n_vox``, ``noise_ceiling``
        (expected correlation of each voxel with a perfect model), ``noise_sd`` (of a voxel, in
        units of the standard deviation of its signal), ``measured_ceiling`` (mean correlation of
        the voxels of `responses` with their signal, as the noise was drawn).
    rdms : mapping of str to ndarray of shape (n_subject, n_pair), float64
        Per region, correlation distances between the response patterns to each pair of stimuli:
        the upper triangle, row by row. The first row is the subject of `responses`.
    """

    responses: Responses
    truth: pd.DataFrame
    rdms: Mapping[str, NDArray[np.float64]]

    @property
    def n_subject(self) -> int:
        """Number of subjects with dissimilarities."""
        return len(next(iter(self.rdms.values())))

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write all of it, as a study would keep it.

        ``responses.nii.gz`` with ``responses.ids.csv``, ``mask.nii.gz`` with ``mask.labels.csv``,
        ``truth.csv``, and ``rdms.npz`` with one array per region and the ids under ``ids``.

        Parameters
        ----------
        folder : path_like
            Made if it does not exist.
        """
        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        write_responses(self.responses, home / "responses.nii.gz", mask=home / "mask.nii.gz")
        with atomic_path(home / "truth.csv") as temporary:
            self.truth.to_csv(temporary, index=False)
        arrays: dict[str, Any] = dict(self.rdms)
        if self.responses.ids is not None:
            arrays["ids"] = np.array(self.responses.ids)
        with atomic_path(home / "rdms.npz") as temporary:
            np.savez_compressed(temporary, **arrays)


def simulate_subject(
    features: Mapping[str, Any],
    rois: Mapping[str, str],
    *,
    n_vox: int = 100,
    noise_ceiling: float = 0.7,
    n_subject: int = 8,
    shape: tuple[int, int, int] | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
) -> SimulatedSubject:
    r"""Plant layers of a network in regions of a simulated brain.

    Parameters
    ----------
    features : Features or mapping of str to array_like of shape (n_stim, n_feat)
        Of the layers that `rois` names.
    rois : mapping of str to str
        From the name of each region to the layer that it reads out.
    n_vox : int
        Voxels per region.
    noise_ceiling : float
        Expected correlation of each voxel with a perfect model, in (0, 1].
    n_subject : int
        Subjects with dissimilarities; all share the planted layers, none the read-out or the noise.
    shape : tuple of three int, optional
        Of the volume, in voxels of 3 mm. By default large enough.
    ids : sequence of str, optional
        Of the stimuli; by default those of `features`.
    seed : int
        Of read-outs and noise. A region of one subject does not depend on the other regions'
        features, nor on how many subjects there are.

    Returns
    -------
    SimulatedSubject

    Raises
    ------
    ValueError
        If a layer is missing, its features are not finite or all constant, or the regions do not
        fit into `shape`.

    Notes
    -----
    With the features of the planted layer standardised over stimuli, :math:`z_{ij} = (x_{ij} -
    \bar x_j) / s_j` (units that never change are left out), each voxel v of a subject reads out
    all units,

    .. math:: u_{iv} = \sum_j z_{ij} w_{jv}, \qquad w_{jv} \sim N(0, 1),

    its signal is :math:`\tilde u_v = (u_v - \bar u_v) / \mathrm{sd}(u_v)`, and its response

    .. math:: y_{iv} = \tilde u_{iv} + \sigma \varepsilon_{iv}, \qquad
              \varepsilon_{iv} \sim N(0, 1), \qquad \sigma^2 = 1 / c^2 - 1.

    The best prediction of :math:`y_v` is :math:`\tilde u_v`, and their expected correlation is
    :math:`1 / \sqrt{1 + \sigma^2} = c`, the noise ceiling. A fitted model stays below it, because
    it has to estimate :math:`w` from finite, noisy data. Responses have no unit.

    A random read-out keeps distances in expectation: up to a common factor, the squared distance
    between two response patterns is that between the standardised features of the two stimuli,
    plus :math:`2 \sigma^2` for each voxel. So the geometry of the layer, attenuated by noise, is in
    the dissimilarities too.

    Cost: O(n_subject * n_stim * n_feat * n_vox) and O(n_subject * n_stim ** 2) numbers per region.

    Examples
    --------
    >>> layers = {"conv1": np.random.default_rng(0).normal(size=(20, 30))}
    >>> subject = simulate_subject(layers, {"V1": "conv1"}, n_vox=10, seed=1)
    >>> subject.responses
    Responses(20 stimuli without ids; 10 voxels (V1 10); volume 12 x 6 x 12)
    """
    n_vox = check_integer(n_vox, "n_vox", minimum=2)
    n_subject = check_integer(n_subject, "n_subject", minimum=1)
    seed = check_integer(seed, "seed", minimum=0)
    if not 0 < noise_ceiling <= 1:
        raise ValueError(
            f"noise_ceiling must be a correlation in (0, 1]; got {noise_ceiling}. "
            "1 is no noise at all."
        )
    _check_rois(rois, features)
    noise_sd = float(np.sqrt(noise_ceiling**-2 - 1))

    data: list[NDArray[np.float32]] = []
    rdms: dict[str, NDArray[np.float64]] = {}
    ceilings: list[float] = []
    for number, (roi, layer) in enumerate(rois.items()):
        z = _standardized(features[layer], layer)
        patterns = []
        for subject in range(n_subject):
            rng = np.random.default_rng([seed, number, subject])
            signal, noisy = _voxels(rng, z, n_vox, noise_sd)
            patterns.append(noisy)
            if subject == 0:
                ceilings.append(float(((signal * noisy).mean(axis=0) / noisy.std(axis=0)).mean()))
        rdms[roi] = np.stack([_correlation_distances(pattern) for pattern in patterns])
        data.append(patterns[0].astype(np.float32))
    if len({len(block) for block in data}) > 1:
        raise ValueError(
            "all planted layers must have the same n_stim; got "
            f"{ {layer: len(block) for layer, block in zip(rois.values(), data, strict=True)} }."
        )

    geometry = _brain(tuple(rois), n_vox, shape)
    # Voxels are stored in the order of the volume, in which regions interleave.
    labels = geometry.labels[geometry.inside]
    ordered = np.empty((len(data[0]), labels.size), np.float32)
    for number, block in enumerate(data, start=1):
        ordered[:, labels == number] = block
    names = ids if ids is not None else getattr(features, "ids", None)
    responses = Responses(
        ordered,
        ids=None if names is None else check_ids(names, "ids", n=len(ordered)),
        rois=geometry.rois,
        geometry=geometry,
    )
    truth = pd.DataFrame(
        {
            "roi": list(rois),
            "layer": list(rois.values()),
            "n_vox": n_vox,
            "noise_ceiling": float(noise_ceiling),
            "noise_sd": noise_sd,
            "measured_ceiling": ceilings,
        }
    )
    return SimulatedSubject(responses, truth, rdms)


def _check_rois(rois: Mapping[str, str], features: Mapping[str, Any]) -> None:
    if not rois:
        raise ValueError("rois must name a region at least; got none. Map a name to a layer.")
    for roi, layer in rois.items():
        if not roi or roi in _RESERVED:
            raise ValueError(
                f"the name of a region must not be empty or one of {', '.join(_RESERVED)}; "
                f"got {roi!r}. Rename it."
            )
        if layer not in features:
            raise ValueError(
                f"rois must name layers of the features, {', '.join(features)}; "
                f"{roi!r} reads {layer!r}."
            )


def _standardized(features: Any, layer: str) -> NDArray[np.float64]:
    x = as_array(features, f"features of layer {layer!r}", dtype=np.float64, ndim=2)
    check_finite(x, f"features of layer {layer!r}")
    sd = x.std(axis=0)
    # A unit that is constant up to rounding would read out rounding errors.
    moves = sd > 1e-7 * np.abs(x).max(axis=0)
    if not moves.any():
        raise ValueError(
            f"features of layer {layer!r} must differ between stimuli; none of its {x.shape[1]} "
            "units does. Plant another layer."
        )
    z: NDArray[np.float64] = (x[:, moves] - x[:, moves].mean(axis=0)) / sd[moves]
    return z


def _voxels(
    rng: np.random.Generator, z: NDArray[np.float64], n_vox: int, noise_sd: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signal with mean 0 and variance 1 of each voxel, and the same with noise."""
    # Noise is drawn first: it does not depend on the layer then, as the docstring promises.
    noise = rng.standard_normal((len(z), n_vox))
    signal = z @ rng.standard_normal((z.shape[1], n_vox))
    signal -= signal.mean(axis=0)
    signal /= signal.std(axis=0)
    return signal, signal + noise_sd * noise


def _correlation_distances(patterns: NDArray[np.float64]) -> NDArray[np.float64]:
    """One minus Pearson's r between the rows, upper triangle."""
    unit = patterns - patterns.mean(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    distances: NDArray[np.float64] = 1 - (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return distances


def _brain(rois: tuple[str, ...], n_vox: int, shape: tuple[int, int, int] | None) -> VolumeGeometry:
    """Place the regions as balls along the second axis, from the back of the brain to its front."""
    import nibabel as nib

    if shape is None:
        side = int(np.ceil(n_vox ** (1 / 3))) + 3
        shape = (2 * side, len(rois) * side, 2 * side)
    if math.prod(shape) < len(rois) * n_vox:
        raise ValueError(
            f"shape must hold {len(rois)} regions of {n_vox} voxels; "
            f"got {shape}. Enlarge it, or leave it out."
        )
    labels = np.zeros(shape, np.int32)
    place = np.indices(shape).reshape(3, -1).T
    for number in range(len(rois)):
        along = (number + 0.5) / len(rois)
        centre = np.array([0.5, along, 0.5]) * shape - 0.5
        distance = np.linalg.norm(place - centre, axis=1)
        distance[labels.ravel() > 0] = np.inf
        # Stable: voxels at equal distance are taken in the order of the volume.
        labels.flat[np.argsort(distance, kind="stable")[:n_vox]] = number + 1
    affine = np.diag([_VOXEL_MM, _VOXEL_MM, _VOXEL_MM, 1.0])
    affine[:3, 3] = -_VOXEL_MM * (np.array(shape) - 1) / 2
    image: Any = nib.Nifti1Image
    img = image(labels, affine)
    img.header.set_qform(affine, code="scanner")
    img.header.set_sform(affine, code="scanner")
    img.header.set_xyzt_units(xyz="mm")
    img.header["descrip"] = "simulated by dnnbrain_cpp"
    return VolumeGeometry(labels, dict(enumerate(rois, start=1)), affine, img.header)
