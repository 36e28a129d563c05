"""Why one radiograph failed: the stable codes of the `error` column, each with what to do."""

from __future__ import annotations

from enum import StrEnum


class FailureCode(StrEnum):
    """Value of the `error` column of a failed row; the words never change their meaning."""

    READ_FAILED = "READ_FAILED"
    EMPTY = "EMPTY"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    TRUNCATED = "TRUNCATED"
    CORRUPT = "CORRUPT"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED = "UNSUPPORTED"
    CONSTANT = "CONSTANT"
    REFUSED_MEMBER = "REFUSED_MEMBER"


REMEDIES: dict[FailureCode, str] = {
    FailureCode.READ_FAILED: "the file could not be read: check that it exists and its permissions",
    FailureCode.EMPTY: "the file has no bytes: fetch it again",
    FailureCode.NOT_AN_IMAGE: "the content is no known image format: leave it out with --exclude",
    FailureCode.TRUNCATED: "the file ends too early: fetch it again",
    FailureCode.CORRUPT: "the file is damaged inside: fetch it again",
    FailureCode.TOO_LARGE: "over a limit: see log.jsonl, raise --max-megapixels or --max-mebibytes",
    FailureCode.UNSUPPORTED: "a valid image of a kind that is not read: convert it to 8-bit grey",
    FailureCode.REFUSED_MEMBER: "a link, an unsafe path or the like: see log.jsonl, pack it anew",
    FailureCode.CONSTANT: "every pixel has the same value: the exposure or the export failed",
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
