"""Files that are either complete or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it becomes `path`, on failure it goes.

    Readers of `path` see the old file or the new one, never a part. The temporary name is hidden,
    lies in the same folder (a rename is atomic only within a file system) and keeps all suffixes
    of `path`, because writers choose their format by them. A symbolic link at `path` is replaced,
    not followed.

    Parameters
    ----------
    path : path_like
        Where the file is to be in the end; its folder must exist.

    Yields
    ------
    Path
        Where the caller writes; the caller creates this file.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist, or the caller has written nothing.
    IsADirectoryError
        If `path` is a folder.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "scores.csv"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("layer,score")
    >>> target.read_text()
    'layer,score'
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"the folder of a file to write must exist; {target.parent} does not. Create it first."
        )
    if target.is_dir():
        raise IsADirectoryError(
            f"a file to write must not be a folder; {target} is one. Name a file in it."
        )
    temporary = target.with_name(f".tmp-{secrets.token_hex(8)}{''.join(target.suffixes)}")
    try:
        yield temporary
        if not temporary.is_file():
            raise FileNotFoundError(
                f"the writer of {target} left no file at the temporary name it was given, "
                f"{temporary}. Write to that name."
            )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
