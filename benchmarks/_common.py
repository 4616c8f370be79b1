"""What all benchmarks share: interleaved timing, peak memory in a process of its own, a report."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dnnbrain_cpp import build_info

__all__ = ["Timing", "interleave", "machine", "peak_of", "peak_rise", "table", "write_json"]


@dataclass
class Timing:
    """Repeats of one variant, in the order in which they ran."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def ratio(self, base: Timing, clock: str) -> float:
        """Return the median over repeats of this time over that of `base` in the same repeat."""
        ours, theirs = getattr(self, clock), getattr(base, clock)
        return float(np.median(np.divide(ours, theirs)))


def timed(run: Callable[[], Any], timing: Timing) -> Any:
    """Run, add what it took to `timing`, and return the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    timing.wall_s.append(time.perf_counter() - wall)
    timing.cpu_s.append(time.process_time() - cpu)
    return result


def interleave(
    variants: Mapping[str, Callable[[], Any]], *, repeats: int, warm_up: bool = True
) -> dict[str, Timing]:
    """Run each variant once to warm up, then all of them in turn, `repeats` times.

    Neighbours in time see the same load of the machine, so ratios hold where times do not.
    """
    timings = {name: Timing() for name in variants}
    if warm_up:
        for run in variants.values():
            run()
    for repeat in range(repeats):
        # Every other round backwards, so that none always follows the same neighbour.
        for name in list(variants)[:: 1 if repeat % 2 == 0 else -1]:
            timed(variants[name], timings[name])
    return timings


def _memory(key: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status must tell {key}; it does not. Run this on Linux.")
    return int(found.group(1)) * 1024


def peak_rise(run: Callable[[], Any]) -> int:
    """Return how many bytes of memory `run` takes at its peak beyond what is held before."""
    gc.collect()
    # Else memory that was freed before would be used again without showing.
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    before = _memory("VmRSS")
    result = run()
    peak = _memory("VmHWM")
    del result
    return peak - before


def peak_of(script: str, *arguments: str) -> dict[str, Any]:
    """Run `script` with `arguments` in a process of its own; return the JSON that it prints."""
    out = subprocess.run(
        [sys.executable, script, *arguments], check=True, capture_output=True, text=True
    )
    return dict(json.loads(out.stdout.splitlines()[-1]))


def machine() -> dict[str, Any]:
    """Return what a reader must know of the machine to judge the times."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", cpu)
    return {
        "cpu": model.group(1).strip() if model else platform.processor(),
        "cores": os.cpu_count(),
        "avx512_bf16": "avx512_bf16" in cpu,
        "load": [round(load, 2) for load in os.getloadavg()],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "build": build_info()["build_type"],
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return (
            "| "
            + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()
            + " |"
        )

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write `facts`, with the machine's, where the caller says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **facts}, indent=1) + "\n", encoding="utf-8")
