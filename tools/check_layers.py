"""Check the `#include` lines of the C++ sources against the layers.

Which library links which is checked by CMake. This check also sees what happens to be reachable but
is not allowed: torch in `kernels`, Eigen in `tensor`, Python below `bindings`, OpenMP outside
`parallel.hpp`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "src" / "cpp"

MAY_INCLUDE = {
    "core": {"core"},
    "kernels": {"core", "kernels"},
    "tensor": {"core", "tensor"},
    "bindings": {"core", "kernels", "tensor", "bindings"},
}
# Anything else in angle brackets that has a slash or an upper-case letter or ends in .h is foreign.
FOREIGN = {
    "core": {"sys", "immintrin"},
    "kernels": {"Eigen", "immintrin"},
    "tensor": {"ATen", "c10"},
    "bindings": {"ATen", "c10", "Eigen", "pybind11", "torch"},
}
OPENMP_HOME = "include/dnnbrain/core/parallel.hpp"
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def layer_of(path: Path) -> str:
    """Return the layer that a source file below `ROOT` belongs to."""
    parts = path.relative_to(ROOT).parts
    return parts[2] if parts[0] == "include" else parts[0]


def faults(path: Path) -> Iterator[str]:
    """Yield a line for each include of a file that its layer does not allow."""
    layer = layer_of(path)
    relative = path.relative_to(ROOT).as_posix()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = INCLUDE.match(line)
        if not found:
            continue
        bracket, name = found.groups()
        where = f"src/cpp/{relative}:{number}: "
        if bracket == '"':
            target = name.split("/")[1] if name.startswith("dnnbrain/") else "bindings"
            if target not in MAY_INCLUDE[layer]:
                yield f"{where}{layer} must not include {target} ({name})"
            elif layer == "tensor" and name == "dnnbrain/core/parallel.hpp":
                yield f"{where}tensor runs its loops through ATen, not OpenMP ({name})"
        elif name == "omp.h":
            if relative != OPENMP_HOME:
                yield f"{where}only {OPENMP_HOME} includes omp.h"
        elif "/" in name or name.endswith(".h") or name != name.lower():
            owner = name.split("/")[0].removesuffix(".h")
            if owner not in FOREIGN[layer]:
                yield f"{where}{layer} must not include <{name}>"


def main() -> int:
    """Print all faults; return the exit status."""
    files = sorted(p for p in ROOT.rglob("*") if p.suffix in {".cpp", ".hpp"})
    found = [fault for path in files for fault in faults(path)]
    print("\n".join(found) if found else f"include layers hold in {len(files)} files")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
