"""What TensorRT says: its calls return None or False, and the reason only reaches a logger."""

from __future__ import annotations

from functools import cache
from typing import Any

from cxrsweep.engine.plans.flavour import Flavour


class PlanLog:
    """Collects the errors that TensorRT reports.

    Attributes:
        logger: what TensorRT's constructors take.
    """

    def __init__(self, trt: Any) -> None:
        self._errors: list[str] = []
        self.logger = _logger(trt, self._errors)

    def reason(self) -> str:
        """The first error since the last call, which the others follow from."""
        first = self._errors[0].strip() if self._errors else "it gave no reason"
        self._errors.clear()
        return first


@cache
def log_of(flavour: Flavour) -> PlanLog:
    """The log of a flavour; one for the whole process, as TensorRT keeps the first it is given."""
    return PlanLog(flavour.trt)


def _logger(trt: Any, errors: list[str]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                errors.append(message)

    return Logger()
