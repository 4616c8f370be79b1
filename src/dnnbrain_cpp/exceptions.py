"""Exceptions and warnings of this package."""

from __future__ import annotations

__all__ = [
    "AlignmentWarning",
    "Cancelled",
    "ConstantTargetWarning",
    "NativeImportError",
    "NullBandWarning",
    "SkippedStimulusWarning",
    "UndefinedRDMWarning",
]


class Cancelled(RuntimeError):
    """A progress callback asked a call to stop. Nothing was changed and there is no result."""


class NativeImportError(ImportError):
    """The compiled core cannot be loaded, or was built for another torch."""


class AlignmentWarning(UserWarning):
    """Two data sets without identifiers were joined by their order."""


class ConstantTargetWarning(UserWarning):
    """A target does not vary where it is to be scored, so its score there is NaN."""


class NullBandWarning(UserWarning):
    """A whole map of scores is no better than chance."""


class SkippedStimulusWarning(UserWarning):
    """A stimulus could not be read and was left out, as asked."""


class UndefinedRDMWarning(UserWarning):
    """Patterns have no direction in some places, so there is no RDM and no score there."""
