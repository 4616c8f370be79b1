"""What ``--rdms`` names: a file, an array in it, and the region it is of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RdmFile", "parse_rdm_file"]


@dataclass(frozen=True)
class RdmFile:
    """RDMs of one region in a file."""

    roi: str
    path: Path
    key: str | None


def parse_rdm_file(text: str) -> RdmFile:
    """Read ``[ROI=]FILE[:KEY]``.

    The region is named after the key, or else the file, without a closing ``_RDMs``. A file whose
    own name has a colon or an equals sign is found too, if it exists.
    """
    roi, path, key = _split(text)
    if roi is None:
        bare = re.sub(r"[_\W]*rdms?$", "", key or path.stem, flags=re.IGNORECASE)
        roi = bare or path.stem
    return RdmFile(roi, path, key)


def _split(text: str) -> tuple[str | None, Path, str | None]:
    if Path(text).is_file():
        return None, Path(text), None
    name, equals, rest = text.partition("=")
    if equals and name and not Path(text.rpartition(":")[0]).is_file():
        _, path, key = _split(rest)
        return name, path, key
    location, colon, key = text.rpartition(":")
    if colon and location and key and "/" not in key:
        return None, Path(location), key
    return None, Path(text), None
