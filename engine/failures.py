"""Why one radiograph failed: the stable codes of the `error` column, each with what to do."""

from __future__ import annotations

from enum import StrEnum


class FailureCode(StrEnum):
    """Value of the `error` column of a failed row; the words never change their meaning."""

    READ_FAILED = "READ_FAILED"
    EMPTY = "EMPTY"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    NO_PIXELS = "NO_PIXELS"
    TRUNCATED = "TRUNCATED"
    CORRUPT = "CORRUPT"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED = "UNSUPPORTED"
    CONSTANT = "CONSTANT"
    DECODER_CRASHED = "DECODER_CRASHED"
    TIMEOUT = "TIMEOUT"
    TOO_MUCH_MEMORY = "TOO_MUCH_MEMORY"
    REFUSED_MEMBER = "REFUSED_MEMBER"


REMEDIES: dict[FailureCode, str] = {
    FailureCode.READ_FAILED: "the file could not be read: check that it exists and its permissions",
    FailureCode.EMPTY: "the file has no bytes: fetch it again",
    FailureCode.NOT_AN_IMAGE: "the content is no known image format: leave it out with --exclude",
    FailureCode.NO_PIXELS: "DICOM without pixels (a report, a presentation state): leave it out",
    FailureCode.TRUNCATED: "the file ends too early: fetch it again",
    FailureCode.CORRUPT: "the file is damaged inside: fetch it again",
    FailureCode.TOO_LARGE: "over a limit: see log.jsonl, raise --max-megapixels or --max-mebibytes",
    FailureCode.UNSUPPORTED: "a valid image of a kind that is not read: convert it to 8-bit grey",
    FailureCode.REFUSED_MEMBER: "a link, an unsafe path or the like: see log.jsonl, pack it anew",
    FailureCode.CONSTANT: "every pixel has the same value: the exposure or the export failed",
    FailureCode.DECODER_CRASHED: "the file killed its decoder: fetch it again, trust it to nothing",
    FailureCode.TIMEOUT: "decoding took too long: fetch it again, or convert it to 8-bit grey",
    FailureCode.TOO_MUCH_MEMORY: "decoding needs more memory than a file may take: convert it",
}


class Refused(Exception):
    """One radiograph cannot be scored.

    Args:
        code: goes into the `error` column.
        reason: one readable line for log.jsonl; never text of a header.
    """

    def __init__(self, code: FailureCode, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
