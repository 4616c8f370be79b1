"""Work in a process of its own that may take only so much memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap

__all__ = ["GIB", "run_within"]

GIB = 1 << 30

_PREAMBLE = """
import re, resource
import numpy as np, torch
from dnnbrain_cpp import encoding, linear

def taken():
    # Heap and anonymous maps, touched or not; pages of a file that is read do not count.
    status = open("/proc/self/status").read()
    return 1024 * int(re.search(r"VmData:\\s+(\\d+)", status).group(1))

# Threads and their work space first.
torch.linalg.eigh(torch.rand(200, 200).double() @ torch.eye(200).double())
x, y = np.random.default_rng(0).standard_normal((2, 60, 40))
linear.RidgeCV([1.0, 10.0]).fit(x, y)
linear.RidgeCV([1.0, 10.0]).fit(x[:, :20], y)
linear.PCRegression([1, 2]).fit(x, y)
limit = taken() + {budget}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones({budget} * 5 // 4, dtype=np.uint8)
except MemoryError:
    pass
else:
    raise SystemExit("the limit is not kept here")
"""


def run_within(budget: int, *scripts: str) -> str:
    """Run `scripts` in turn where no more than `budget` bytes can be had; return what it prints.

    `np`, `torch`, `encoding` and `linear` are there. An allocation beyond the budget raises there,
    and here.
    """
    source = _PREAMBLE.format(budget=budget) + "".join(map(textwrap.dedent, scripts))
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
