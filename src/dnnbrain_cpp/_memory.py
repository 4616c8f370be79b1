"""How much memory there is, and how to say an amount of it."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["available_bytes", "format_bytes"]


def available_bytes() -> int | None:
    """Return the bytes that can be taken without swapping, or None where that is unknown."""
    try:
        facts = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", facts, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def format_bytes(n_bytes: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.2f} GiB"
