"""Encoding models against the peers that people use today, on the same data in one process.

Run ``python benchmarks/encoding.py``, or ``--problems tall wide`` for some rows; ``--list`` says
which there are. Each row is a problem of ``_encoding_*.py``.
"""

from __future__ import annotations

from _runner import run_table

if __name__ == "__main__":
    run_table("encoding", __doc__)
