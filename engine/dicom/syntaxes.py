"""Transfer syntaxes: which are read, and which of them store pixels as they are."""

from __future__ import annotations

from pydicom import uid

NATIVE: frozenset[str] = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    }
)
JPEG: frozenset[str] = frozenset(
    {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1}
)
JPEG_LS: frozenset[str] = frozenset({uid.JPEGLSLossless, uid.JPEGLSNearLossless})
JPEG_2000: frozenset[str] = frozenset(
    {
        uid.JPEG2000Lossless,
        uid.JPEG2000,
        uid.HTJ2KLossless,
        uid.HTJ2KLosslessRPCL,
        uid.HTJ2K,
    }
)
RLE: frozenset[str] = frozenset({uid.RLELossless})
ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
READ = NATIVE | JPEG | JPEG_LS | JPEG_2000 | RLE | {ENCAPSULATED_NATIVE}


def name_of(syntax: str) -> str:
    """Its name in the standard; a private one is only called that, as its digits may tell more."""
    known = uid.UID(syntax)
    return (
        f"transfer syntax {known.name}" if known.is_transfer_syntax else "a private transfer syntax"
    )
