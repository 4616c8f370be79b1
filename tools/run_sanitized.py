"""Run Python on the sanitized core: `run_sanitized.py build/asan -m pytest -s -m boundary`.

A second virtual environment in the build folder sees the packages of this one, behind a copy of
`dnnbrain_cpp` with the sanitized `_core`; so tests, and the processes that they start, need to know
nothing of it. Python itself is not instrumented: the sanitizer's runtime must be loaded before it,
and libstdc++ with it, or the first C++ exception ends the process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "dnnbrain_cpp"


def runtime(name: str) -> str:
    """Return the path of a runtime library of the compiler that built the core."""
    compiler = os.environ.get("CXX", "g++")
    found = subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


def make_environment(build: Path) -> Path:
    """Return the interpreter of an environment whose `dnnbrain_cpp` is the one of `build`."""
    stage = build / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(
        PACKAGE, stage / "dnnbrain_cpp", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    (core,) = (build / "src" / "cpp").glob("_core*.so")
    shutil.copy2(core, stage / "dnnbrain_cpp")
    home = build / "venv"
    venv.create(home, clear=True)
    variables = {"base": str(home), "platbase": str(home)}
    paths = [stage, Path(sysconfig.get_path("purelib"))]
    link = Path(sysconfig.get_path("purelib", vars=variables)) / "sanitized.pth"
    link.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
    return home / "bin" / "python"


def main() -> int:
    """Run the interpreter on the remaining arguments; return its exit status."""
    build, arguments = Path(sys.argv[1]).resolve(), sys.argv[2:]
    environment = os.environ | {
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libstdc++.so')}",
        # CPython keeps memory at exit on purpose; leaks are looked for in the C++ tests.
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        # Python's own buffers are guarded too.
        "PYTHONMALLOC": "malloc",
    }
    return subprocess.run(
        [make_environment(build), *arguments], check=False, env=environment
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
