"""RSA and the statistics around it against the peers that people use today, in one process.

Run ``python benchmarks/rsa.py``, or ``--problems mantel-rho-92`` for some rows; ``--list`` says
which there are. Each row is a problem of ``_rsa_*.py``.
"""

from __future__ import annotations

from _runner import run_table

if __name__ == "__main__":
    run_table("rsa", __doc__)
