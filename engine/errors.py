"""What can go wrong as a whole: every error a user sees, with the remedy in its message."""

from __future__ import annotations


class CxrsweepError(Exception):
    """Base of the errors that the command line prints without a traceback."""


class RecipeError(CxrsweepError):
    """The recipe says something that cannot be built; the message names the key."""


class BundleError(CxrsweepError):
    """A bundle is missing, damaged, or of another schema."""


class ArchiveError(CxrsweepError):
    """An archive cannot be listed."""


class RunError(CxrsweepError):
    """A run folder cannot be used: in use, foreign, or made with something else."""


class TableError(CxrsweepError):
    """A table does not hold what it must: a part without its rows, a wrong header."""


class ExportError(CxrsweepError):
    """A trained network cannot become a bundle."""


class ParityError(ExportError):
    """The exported graph does not agree with PyTorch within the recipe's tolerance."""


class DeviceError(CxrsweepError):
    """The device that was asked for cannot be used."""


class DeviceMemoryError(DeviceError):
    """The GPU has too little memory for a batch."""


class PlanError(CxrsweepError):
    """A TensorRT plan cannot be built, opened or run."""


class PlanMismatchError(PlanError):
    """A plan exists, but was built for something else."""


class EvaluationError(CxrsweepError):
    """Scores and labels do not answer what was asked."""
