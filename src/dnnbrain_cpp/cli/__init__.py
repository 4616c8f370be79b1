"""The command ``dnnbrain``."""

from __future__ import annotations

from dnnbrain_cpp.cli._main import main

__all__ = ["main"]
