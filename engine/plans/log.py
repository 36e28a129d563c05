"""What TensorRT says: its calls return None or False, and the reason only reaches a logger."""

from __future__ import annotations

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

    def clear(self) -> None:
        """Forget what was said before something new is asked."""
        self._errors.clear()

    def reason(self) -> str:
        """The first error since it was cleared, which the others follow from."""
        return self._errors[0].strip() if self._errors else "it gave no reason"


_LOGS: dict[int, tuple[Any, PlanLog]] = {}


def log_of(flavour: Flavour) -> PlanLog:
    """The log of a flavour; one for the whole process, as TensorRT keeps the first it is given."""
    found = _LOGS.setdefault(id(flavour.trt), (flavour.trt, PlanLog(flavour.trt)))
    return found[1]


def _logger(trt: Any, errors: list[str]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                errors.append(message)

    return Logger()
