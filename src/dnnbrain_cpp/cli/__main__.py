"""``python -m dnnbrain_cpp.cli``."""

from __future__ import annotations

from dnnbrain_cpp.cli._main import main

main()
