"""Which folders a report may be written to."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dnnbrain_cpp import __version__
from dnnbrain_cpp._files import atomic_path

__all__ = ["RECORD", "check_folder", "claim_folder", "earlier_files"]

RECORD = "run.json"
"""Name of the file that makes a folder one of ours; it says whether the others are complete."""


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return `folder` if a report may be written there.

    Parameters
    ----------
    folder : path_like
        New, empty, or what an earlier run wrote.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        If it is a file, or a folder with anything else in it.
    """
    path = Path(folder)
    if path.is_dir():
        if (path / RECORD).is_file() or not any(path.iterdir()):
            return path
        raise FileExistsError(
            f"the folder of a report must be new, empty, or that of an earlier run; {path} "
            f"holds other files and no {RECORD}. Name another."
        )
    if path.exists():
        raise FileExistsError(f"a report needs a folder; {path} is a file. Name another.")
    return path


def claim_folder(folder: str | os.PathLike[str]) -> Path:
    """Make `folder` and mark what is in it as incomplete, so that a run cut short can be repeated.

    Raises
    ------
    FileExistsError
        As `check_folder`.
    """
    path = check_folder(folder)
    path.mkdir(parents=True, exist_ok=True)
    mark = {"dnnbrain_cpp": __version__, "complete": False, "files": earlier_files(path)}
    with atomic_path(path / RECORD) as temporary:
        temporary.write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
    return path


def earlier_files(folder: Path) -> list[str]:
    """Return the files that an earlier run says it wrote, as far as they lie in the folder."""
    try:
        files = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    home = folder.resolve()
    return [str(name) for name in files if (home / str(name)).resolve().is_relative_to(home)]
