"""Image files of a folder, in an order people expect, and the identifiers they give."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePath

__all__ = ["as_files", "default_ids", "list_images"]

# What people keep pictures in; Pillow's own list also has films, documents and scientific arrays.
_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    }
)


def list_images(folder: Path, pattern: str, *, recursive: bool) -> tuple[Path, ...]:
    """Return the image files in `folder`, as `Stimuli.from_folder` describes it."""
    if not folder.is_dir():
        kind = NotADirectoryError if folder.exists() else FileNotFoundError
        raise kind(f"path must be a folder of images; {folder} is not a folder.")
    found = folder.rglob(pattern) if recursive else folder.glob(pattern)
    files = [file for file in found if _is_image(file.relative_to(folder)) and file.is_file()]
    if not files:
        below = "" if recursive else " Images in its subfolders are found with recursive=True."
        raise ValueError(
            f"folder must hold at least one image; {folder} has no file that matches {pattern!r} "
            f"and ends with an image suffix ({' '.join(sorted(_SUFFIXES))}).{below}"
        )
    return tuple(sorted(files, key=lambda file: _natural(file.relative_to(folder))))


def as_files(files: Sequence[str | os.PathLike[str]]) -> tuple[Path, ...]:
    """Return `files` as paths that are there."""
    if isinstance(files, str | os.PathLike):
        raise TypeError(
            f"files must be a sequence of paths; got the single path {os.fspath(files)!r}. Put it "
            "into a list, or use Stimuli.from_folder."
        )
    paths = tuple(Path(file) for file in files)
    if not paths:
        raise ValueError("files must name at least one image; got none.")
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"files must exist; {len(missing)} of {len(paths)} do not, the first is {missing[0]}."
        )
    return paths


def default_ids(names: Sequence[PurePath], files: Sequence[Path]) -> tuple[str, ...]:
    """Return each name without its suffix; `files` are what a message shows for them.

    Composed characters (Unicode NFC) make a name written by macOS equal to the same name typed in
    a table.
    """
    ids = tuple(unicodedata.normalize("NFC", name.with_suffix("").as_posix()) for name in names)
    seen: dict[str, Path] = {}
    for stem, file in zip(ids, files, strict=True):
        if stem in seen:
            raise ValueError(
                f"ids must be unique, but {seen[stem]} and {file} would both be {stem!r}. Rename "
                "one, choose files by pattern, or use Stimuli.from_files with ids."
            )
        seen[stem] = file
    return ids


def _is_image(name: PurePath) -> bool:
    return name.suffix.lower() in _SUFFIXES and not any(p.startswith(".") for p in name.parts)


def _natural(name: PurePath) -> tuple[tuple[list[str | int], str], ...]:
    """Return a sort key by which ``a2`` comes before ``a10``, folder by folder."""
    return tuple(
        ([int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", part.casefold())], part)
        for part in name.parts
    )
