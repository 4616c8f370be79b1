"""The set of stimuli that networks and brains are shown."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dnnbrain_cpp._progress import ProgressCallback
from dnnbrain_cpp._threads import resolve_n_threads
from dnnbrain_cpp._validate import check_choice, check_ids, check_integer
from dnnbrain_cpp.stimuli._batches import Batch, ImageTransform, generate_batches
from dnnbrain_cpp.stimuli._labels import Labels, as_labels
from dnnbrain_cpp.stimuli._listing import as_files, default_ids, list_images
from dnnbrain_cpp.stimuli._repr import html_repr, text_repr
from dnnbrain_cpp.stimuli._sources import ArraySource, FileSource, Source, as_image
from dnnbrain_cpp.stimuli._stim_csv import StimCsv, read_stim_csv, write_stim_csv

__all__ = ["Stimuli"]

# More workers than this wait for each other's Python code, not for pixels.
_MAX_WORKERS = 16

# Header line by which a .stim.csv keeps ids that its file names do not give.
_IDS_KEY = "ids"


class Stimuli:
    """Images, each with a unique identifier and optional labels; immutable.

    Made by `from_folder`, `from_files`, `from_array` or `read`. Pixels are read when they are
    needed, not before.

    Every stimulus is an upright 8-bit RGB picture, whatever it was stored as: EXIF rotation is
    applied; grey, palette and CMYK images are converted; of 16-bit values the high byte is kept;
    of animations the first frame; alpha is dropped as ``PIL.Image.convert("RGB")`` does, which is
    what torchvision's and DNNBrain's users see.

    Attributes
    ----------
    ids : tuple of str
        Unique identifiers, by which features, labels and responses are joined.
    labels : DataFrame
        Indexed by id, in the order of `ids`; a copy.
    files : tuple of Path, or None
        The image files; None for stimuli from an array.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pixels = rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    >>> stimuli = Stimuli.from_array(pixels, layout="NHWC", labels={"category": list("aabb")})
    >>> stimuli
    Stimuli(4 images)
      source  array, 32 x 32 pixels, RGB, uint8
      ids     stim-001, stim-002, stim-003, stim-004
      labels  category (2 values)
    >>> stimuli[stimuli.labels["category"] == "b"].ids
    ('stim-003', 'stim-004')
    """

    def __init__(self, source: Source, ids: tuple[str, ...], labels: pd.DataFrame) -> None:
        if not isinstance(source, Source):
            raise TypeError(
                "Stimuli are made by Stimuli.from_folder, from_files, from_array or read; "
                f"got {type(source).__name__}."
            )
        self._source = source
        self._ids = ids
        self._labels = labels

    @classmethod
    def from_folder(
        cls,
        path: str | os.PathLike[str],
        *,
        pattern: str = "*",
        recursive: bool = False,
        labels: Labels = None,
    ) -> Self:
        """Take all images of a folder, sorted by name as people count (``a2`` before ``a10``).

        Parameters
        ----------
        path : path_like
            The folder.
        pattern : str
            Shell pattern for file names, such as ``"face_*.png"``. Files without an image suffix
            and hidden files are left out.
        recursive : bool
            Take subfolders too. Labels then have a column ``folder`` with each image's subfolder
            (``"animals/cats"``; empty for the folder itself), unless `labels` brings its own.
        labels : mapping of str to sequence, or DataFrame, optional
            A mapping gives columns in the sorted order of the files. A DataFrame is joined by its
            index or by its column ``id``; its rows of other stimuli are left out.

        Returns
        -------
        Stimuli
            Ids are file names without their last suffix, after the subfolder if there is one:
            ``"a.1"`` for ``a.1.png``, ``"cats/001"`` for ``cats/001.jpg``.

        Raises
        ------
        ValueError
            If no image is found, two files would have one id, or labels do not fit.
        FileNotFoundError, NotADirectoryError
            If `path` is not a folder.
        """
        folder = Path(path)
        files = list_images(folder, pattern, recursive=recursive)
        names = [file.relative_to(folder) for file in files]
        ids = default_ids(names, files)
        table = as_labels(labels, ids)
        if recursive and "folder" not in table.columns:
            parents = [name.parent.as_posix() for name in names]
            table["folder"] = ["" if parent == "." else parent for parent in parents]
        return cls(FileSource(files), ids, table)

    @classmethod
    def from_files(
        cls,
        files: Sequence[str | os.PathLike[str]],
        *,
        ids: Sequence[str] | None = None,
        labels: Labels = None,
    ) -> Self:
        """Take image files in the order given.

        Parameters
        ----------
        files : sequence of path_like
            Any suffix; the content decides.
        ids : sequence of str, optional
            Unique identifiers; by default the file names without their last suffix.
        labels : mapping of str to sequence, or DataFrame, optional
            A mapping gives columns in the order of `files`; a DataFrame is joined by id.

        Returns
        -------
        Stimuli

        Raises
        ------
        ValueError
            If `files` is empty, ids are not unique, or labels do not fit.
        FileNotFoundError
            If a file does not exist.
        """
        paths = as_files(files)
        names = [PurePath(file.name) for file in paths]
        checked = default_ids(names, paths) if ids is None else check_ids(ids, "ids", n=len(paths))
        return cls(FileSource(paths), checked, as_labels(labels, checked))

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        layout: Literal["NCHW", "NHWC"],
        ids: Sequence[str] | None = None,
        labels: Labels = None,
    ) -> Self:
        """Take pixels that are in memory, or on disk as a memory map.

        Parameters
        ----------
        array : array_like of rank 4, uint8 or float
            uint8 in 0 to 255, or floats in 0 to 1; NumPy array, memory map or torch tensor. One
            channel is grey, three are red, green and blue. Not copied if it is contiguous, so do
            not change it afterwards.
        layout : {"NCHW", "NHWC"}
            Order of the axes: stimuli, channels, rows, columns; never guessed.
        ids : sequence of str, optional
            Unique identifiers; by default ``"stim-001"`` and so on.
        labels : mapping of str to sequence, or DataFrame, optional
            A mapping gives columns in the order of the array; a DataFrame is joined by id.

        Returns
        -------
        Stimuli

        Raises
        ------
        TypeError
            For another dtype.
        ValueError
            For another rank or channel count, for floats out of range, and for ids or labels that
            do not fit.

        Notes
        -----
        Floats are rounded to 8 bits, which image files have too, so that pixels give the same
        result from an array and from a losslessly saved file. Floats are read once to check their
        range.
        """
        source = ArraySource.from_array(array, layout)
        if ids is None:
            width = max(3, len(str(len(source))))
            checked = tuple(f"stim-{i:0{width}d}" for i in range(1, len(source) + 1))
        else:
            checked = check_ids(ids, "ids", n=len(source))
        return cls(source, checked, as_labels(labels, checked))

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, ids: Sequence[str] | None = None) -> Self:
        """Read DNNBrain's stimulus table, ``.stim.csv``, of type image.

        Parameters
        ----------
        path : path_like
            The table. Its image folder, if relative, is looked for beside the table first, then
            in the working directory, as DNNBrain does.
        ids : sequence of str, optional
            Unique identifiers, for a table that lists one image several times; by default the
            stimIDs without their last suffix.

        Returns
        -------
        Stimuli
            With every column but ``stimID`` as a label.

        Raises
        ------
        ValueError
            If the file is not of this format or of another type, or ids are not unique.
        FileNotFoundError
            If an image is not there.
        """
        table = Path(path)
        content = read_stim_csv(table)
        if content.kind != "image":
            raise ValueError(
                f"{table} must be of type image; got type {content.kind}. Save the frames as "
                "images and list those."
            )
        folder = Path(content.path)
        if not folder.is_absolute() and (table.parent / folder).is_dir():
            folder = table.parent / folder
        names = [PurePosixPath(name) for name in content.columns["stimID"]]
        try:
            files = as_files([folder / name for name in names])
        except FileNotFoundError as error:
            error.add_note(f"{table} says path={content.path}.")
            raise
        if ids is None and _IDS_KEY in content.header:
            ids = content.header[_IDS_KEY].split(",")
        checked = default_ids(names, files) if ids is None else check_ids(ids, "ids", n=len(files))
        labels = {name: v for name, v in content.columns.items() if name != "stimID"}
        return cls(FileSource(files), checked, as_labels(labels, checked))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write DNNBrain's stimulus table, ``.stim.csv``; the images stay where they are.

        Parameters
        ----------
        path : path_like
            Must end with ``.stim.csv``.

        Raises
        ------
        ValueError
            For stimuli from an array, and for text that the format cannot hold: commas, or a
            ``label`` that is not a whole number.

        Notes
        -----
        The table names the images' common folder by its absolute path. Ids that the file names
        do not give are kept in a header line ``ids=``. DNNBrain itself reads text labels only in
        a column ``condition``.
        """
        if self.files is None:
            raise ValueError(
                "a .stim.csv lists image files, but these stimuli come from an array. Save the "
                "images, and take them with Stimuli.from_files."
            )
        files = [file.absolute() for file in self.files]
        folder = Path(os.path.commonpath([file.parent for file in files]))
        names = [file.relative_to(folder) for file in files]
        header = {}
        if self._ids != tuple(name.with_suffix("").as_posix() for name in names):
            with_comma = [i for i in self._ids if "," in i]
            if with_comma:
                raise ValueError(
                    f"ids in a .stim.csv must be without commas; got {with_comma[0]!r}. Rename it."
                )
            header[_IDS_KEY] = ",".join(self._ids)
        columns: dict[str, Sequence[Any]] = {"stimID": [name.as_posix() for name in names]}
        columns |= {str(name): list(values) for name, values in self._labels.items()}
        write_stim_csv(path, StimCsv("image", str(folder), columns, header))

    @property
    def ids(self) -> tuple[str, ...]:
        """Unique identifiers."""
        return self._ids

    @property
    def labels(self) -> pd.DataFrame:
        """What is known about each stimulus, indexed by id; a copy."""
        return self._labels.copy()

    @property
    def files(self) -> tuple[Path, ...] | None:
        """The image files, or None for stimuli from an array."""
        return self._source.files if isinstance(self._source, FileSource) else None

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, key: int | slice | Sequence[int] | Sequence[bool] | ArrayLike) -> Self:
        """Return one or more stimuli by position, slice, or mask."""
        return self._take(self._positions(key))

    def select(self, ids: Sequence[str]) -> Self:
        """Return the stimuli of these identifiers, in this order.

        Parameters
        ----------
        ids : sequence of str
            Each once.

        Returns
        -------
        Stimuli

        Raises
        ------
        ValueError
            If an id is unknown or comes twice.
        """
        if isinstance(ids, str):
            raise TypeError(f"ids must be a sequence of ids; got the string {ids!r}. Use a list.")
        wanted = check_ids(ids, "ids")
        places = {stimulus: i for i, stimulus in enumerate(self._ids)}
        unknown = [stimulus for stimulus in wanted if stimulus not in places]
        if unknown:
            close = get_close_matches(unknown[0], self._ids)
            hint = f"Close ones are {', '.join(map(repr, close))}." if close else "See .ids."
            raise ValueError(
                f"ids must be among the {len(self)} stimuli; {len(unknown)} of {len(wanted)} are "
                f"not, {unknown[0]!r} for example. {hint}"
            )
        return self._take(np.array([places[i] for i in wanted], dtype=np.intp))

    def image(self, i: int) -> Image.Image:
        """Return one stimulus as it is shown to people.

        Parameters
        ----------
        i : int
            Position; negative ones count from the end.

        Returns
        -------
        PIL.Image.Image
            Mode RGB.

        Raises
        ------
        ValueError
            If the image cannot be read, naming its file.
        """
        if isinstance(i, bool) or not isinstance(i, int | np.integer):
            raise TypeError(f"i must be a position; got {i!r}. By id: select([i]).image(0).")
        return as_image(self._source.picture(int(self._positions(i)[0])))

    def batches(
        self,
        transform: ImageTransform,
        *,
        batch_size: int,
        n_workers: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        monitor: ProgressCallback | None = None,
    ) -> Generator[Batch, None, None]:
        """Iterate over all stimuli in order, transformed, as batches of network input.

        Threads decode and transform at most two batches ahead of the one handed out. They end
        when the iterator does: exhausted, closed, dropped, or interrupted by Ctrl-C.

        Parameters
        ----------
        transform : Transform or callable
            See `dnnbrain_cpp.transforms`. Any function from a Pillow image (RGB) to a floating
            tensor of shape (3, n_row, n_col) will do; it is called by several threads at once.
        batch_size : int
            Stimuli per batch; the last batch may have fewer.
        n_workers : int, optional
            Threads; by default as many as torch uses, at most 16.
        on_error : {"raise", "skip"}
            What a stimulus that cannot be read or transformed does: stop the iteration at its
            batch, or leave the batch without it, named in ``Batch.failures``.
        monitor : callable, optional
            Called as ``monitor(done, total)`` when the caller comes back for the next batch;
            returning False ends the iteration.

        Yields
        ------
        Batch
            ``indices``, ``pixels`` and ``failures``.

        Raises
        ------
        ValueError
            If an image cannot be read, naming its file, or outputs differ in shape.

        Notes
        -----
        Memory: three batches of pixels, and one decoded image per worker.
        """
        if not callable(transform):
            raise TypeError(
                "transform must be a function of one image, such as transforms.resize_crop(); "
                f"got {transform!r}."
            )
        if n_workers is None:
            n_workers = min(resolve_n_threads(None), _MAX_WORKERS)
        return generate_batches(
            self._source,
            self._ids,
            transform,
            batch_size=check_integer(batch_size, "batch_size", minimum=1),
            n_workers=check_integer(n_workers, "n_workers", minimum=1),
            skip=check_choice(on_error, "on_error", ("raise", "skip")) == "skip",
            monitor=monitor,
        )

    def __repr__(self) -> str:
        return text_repr(len(self), self._source.describe(), self._ids, self._labels)

    def _repr_html_(self) -> str:
        return html_repr(len(self), self._source.describe(), self._ids, self._labels, self.image)

    def _take(self, positions: NDArray[np.intp]) -> Self:
        if not len(positions):
            raise ValueError(
                f"a selection must keep at least one of {len(self)} stimuli; it keeps none."
            )
        ids = check_ids([self._ids[i] for i in positions], "ids of a selection")
        return type(self)(self._source.take(positions), ids, self._labels.iloc[positions])

    def _positions(self, key: Any) -> NDArray[np.intp]:
        """Return the positions that `key` stands for, all in ``[0, len(self))``."""
        if isinstance(key, slice):
            return np.arange(len(self), dtype=np.intp)[key]
        if isinstance(key, pd.Series) and pd.api.types.is_bool_dtype(key.dtype):
            key = self._aligned(key)
        array = np.asarray(key)
        if array.dtype == np.bool_ and array.ndim == 1:
            if len(array) != len(self):
                raise IndexError(
                    f"a mask must have one entry for each of {len(self)} stimuli; got {len(array)}."
                )
            return np.flatnonzero(array)
        if array.ndim > 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
            raise TypeError(
                f"stimuli are taken by position, slice or mask; got {key!r}. By id: select(ids)."
            )
        positions: NDArray[np.intp] = np.atleast_1d(array).astype(np.intp)
        outside = positions[(positions < -len(self)) | (positions >= len(self))]
        if len(outside):
            raise IndexError(
                f"positions must be from {-len(self)} to {len(self) - 1}; got {outside[0]}."
            )
        return positions % len(self)

    def _aligned(self, key: pd.Series[Any]) -> NDArray[Any]:
        """Return a Series that is indexed by id in the order of the stimuli."""
        if set(key.index) != set(self._ids) or not key.index.is_unique:
            raise ValueError(
                "a Series that picks stimuli must be indexed by their ids; its index starts with "
                f"{list(key.index[:3])}. Take it from .labels, or pass .to_numpy()."
            )
        aligned: NDArray[Any] = key.loc[list(self._ids)].to_numpy()
        return aligned
