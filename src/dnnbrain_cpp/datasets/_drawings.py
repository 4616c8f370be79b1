"""Stimuli that need no download: objects, textures and scenes, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from dnnbrain_cpp._validate import check_integer
from dnnbrain_cpp.datasets._colour import to_uint8
from dnnbrain_cpp.datasets._objects import OBJECTS
from dnnbrain_cpp.datasets._scenes import SCENES
from dnnbrain_cpp.datasets._textures import TEXTURES
from dnnbrain_cpp.stimuli import Stimuli

__all__ = ["draw_stimuli"]

_Painter = Callable[[np.random.Generator, int], NDArray[np.float32]]

_CATEGORIES: dict[str, Mapping[str, _Painter]] = {
    "object": OBJECTS,
    "texture": TEXTURES,
    "scene": SCENES,
}


def draw_stimuli(n_stim: int = 240, *, size: int = 128, seed: int = 0) -> Stimuli:
    """Draw colour images of objects, textures and scenes.

    Objects (balls, blocks, cones, rings, mugs, mushrooms, trees, houses, animals, figures) are lit
    solids in a room; textures are gratings, plaids, checks, band-passed noise, dots, marble and
    cells; scenes have the statistics of natural images: 1/f colour clouds, occluding leaves and
    pebbles whose sizes follow a power law, and hills in mist.

    Parameters
    ----------
    n_stim : int
        Number of images; the three categories take turns.
    size : int
        Side in pixels, at least 16.
    seed : int
        The same seed gives the same images. Image "object-007" does not depend on `n_stim`.

    Returns
    -------
    Stimuli
        uint8 images with ids such as "object-007", and the labels ``category`` and ``subcategory``.

    Notes
    -----
    Cost: about 13 ms per image of 128 x 128 pixels on one core. NumPy's global random state is not
    used.

    Examples
    --------
    >>> stimuli = draw_stimuli(6, size=32)
    >>> stimuli.ids
    ('object-001', 'texture-001', 'scene-001', 'object-002', 'texture-002', 'scene-002')
    """
    n_stim = check_integer(n_stim, "n_stim", minimum=1)
    size = check_integer(size, "size", minimum=16)
    seed = check_integer(seed, "seed", minimum=0)
    images = np.empty((n_stim, size, size, 3), np.uint8)
    ids, categories, subcategories = [], [], []
    for i in range(n_stim):
        which = i % len(_CATEGORIES)
        number = i // len(_CATEGORIES)
        category, painters = list(_CATEGORIES.items())[which]
        subcategory = list(painters)[number % len(painters)]
        # A stream of its own for each image, so that none depends on how many are drawn.
        rng = np.random.default_rng([seed, which, number])
        images[i] = to_uint8(painters[subcategory](rng, size))
        ids.append(f"{category}-{number + 1:03d}")
        categories.append(category)
        subcategories.append(subcategory)
    return Stimuli.from_array(
        images,
        layout="NHWC",
        ids=ids,
        labels={"category": categories, "subcategory": subcategories},
    )
