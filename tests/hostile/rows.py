"""What is known to trouble decoders: a corpus has at least one file for each row."""

from __future__ import annotations

from enum import StrEnum


class Row(StrEnum):
    """One kind of trouble, or one kind of sound file that decoders are known to get wrong."""

    # What ends DALI's process.
    KILLER_JPEG_TEM = "a length read after TEM leads to a false frame header"
    KILLER_PNG_EXIF = "two eXIf chunks disagree, two readers turn the picture differently"
    KILLER_TIFF_SIZE = "ImageWidth or ImageLength comes twice, two readers take different ones"
    KILLER_J2K_COMPONENTS = "no components: the parser divides by their number"
    KILLER_J2K_HEAP = "harm done to memory by one file outlives it and kills at another"
    KILLER_ANY_DATA = "grey JPEG overruns its buffer under DALI's ANY_DATA, which is never used"
    MUTANT_JPEG = "random mutants of a JPEG"
    MUTANT_PNG = "random mutants of a PNG"
    MUTANT_TIFF = "random mutants of a TIFF"
    MUTANT_J2K = "random mutants of a JPEG 2000"
    MUTANT_WEBP = "random mutants of a WebP"
    MUTANT_BMP = "random mutants of a BMP"
    MUTANT_PNM = "random mutants of a PNM"

    # Memory and time.
    HUGE_HEADER = "a header of 100000 x 100000 on a few bytes"
    CHUNK_OF_4_GB = "an EXIF chunk that declares 4 GB"
    BOMB_PNG = "a whole PNG of 30000 x 30000 in 110 kB"
    BOMB_JPEG = "a JPEG header of 30000 x 30000 on 1 kB"
    BOMB_WEBP = "a WebP of 16383 x 16383"
    BOMB_SCANS = "a progressive JPEG with 1000 more scans"
    BOMB_STREAM = "a compressed stream that expands without end"

    # Formats.
    JPEG_SOUND = "JPEG baseline, progressive, restart; grey and RGB, 444 and 420"
    JPEG_CMYK = "JPEG of four components"
    JPEG_DEEP = "JPEG of 12 bits, lossless JPEG of 8, 12 and 16 bits"
    JPEG_ARITHMETIC = "arithmetic JPEG"
    PNG_KINDS = "PNG of 1 to 16 bits, palette, alpha, tRNS, interlaced"
    TIFF_KINDS = "TIFF of 8 and 16 bits, every compression, MINISWHITE, orientation, pages"
    TIFF_RARE = "TIFF that DALI refuses: signed, 32 and 2 and 4 bits, floats, LZMA, CMYK of 16"
    TIFF_LOOP = "TIFF whose directories form a loop"
    TIFF_PLANAR = "TIFF that DALI shows wrongly: planar RGB of 16 bits, palette with alpha"
    J2K_KINDS = "JPEG 2000 of 8, 12 and 16 bits, jp2 and j2k, tiled, lossy, HTJ2K"
    J2K_SIGNED = "JPEG 2000 of signed samples"
    BMP_KINDS = "BMP of 1, 8, 24 and 32 bits, RLE8"
    BMP_RARE = "BMP that DALI refuses: RLE4, 5-5-5"
    PNM_KINDS = "PNM of every number, 8 and 16 bits, plain and raw"
    WEBP_KINDS = "WebP lossy, lossless, alpha, EXIF, animated"
    OTHER_FORMATS = "GIF, AVIF, JPEG-LS, JPEG XL, PAM, PFM, QOI, ICO and what is no radiograph"
    JPEG_ODD_MARKERS = "JPEG with junk between markers or an APP1 shorter than 8 bytes"

    # Agreement.
    ORIENTATION = "EXIF orientation 1 to 8 in JPEG, PNG, WebP and TIFF"
    ORIENTATION_TWICE = "EXIF that contradicts itself or has a wrong checksum"
    DEPTH = "16 bits to 8, and 12 bits in a 16-bit file"
    CONSTANT = "pictures of one grey value, black ones too"

    # Silent corruption.
    TIFF_STREAM = "TIFF with a damaged deflate or LZW stream, or an unknown compression"
    J2K_FLIPS = "flipped bits in JPEG 2000, which no decoder notices"
    JPEG_FLIPS = "flipped bits in JPEG, of which few are noticed"
    JPEG_ZEROED = "JPEG whose second half is zero"
    TRUNCATED = "files cut anywhere, by one byte too"
    FLIPS = "flipped bits in PNG, WebP, TIFF and BMP"

    # What checks before decoding see.
    NOT_AN_IMAGE = "text, rubbish, nothing, another content than the name says"
    NAMES = "odd names: other scripts, line breaks, formulas, very long, no UTF-8"
    PARSE_STAGE = "errors of parsers: a bad start, no height, a bad segment"
    PNG_CHECKSUM = "wrong checksums, in chunks that decoders pass over too"

    # DICOM by transfer syntax.
    DICOM_NATIVE = "implicit, explicit, big endian, deflated"
    DICOM_JPEG = "JPEG baseline .50, with and without APP14"
    DICOM_JPEG_12 = "JPEG extended of 12 bits .51"
    DICOM_LOSSLESS = "JPEG lossless .57 and .70, 8 to 16 bits"
    DICOM_JPEG_LS = "JPEG-LS .80 and near-lossless .81"
    DICOM_J2K = "JPEG 2000 .90 and .91, unsigned and signed"
    DICOM_HTJ2K = "HTJ2K .201"
    DICOM_RLE = "RLE .5"
    DICOM_NO_DECODER = "MPEG2, JPIP, private syntaxes"
    DICOM_WRONG_SYNTAX = "a codec other than the one that is declared"
    DICOM_SIZE = "a stream of another size than Rows and Columns"
    DICOM_NESTED = "sequences nested 300 and 5000 deep"
    DICOM_BROKEN = "DICOM cut, without pixels, with impossible numbers"
    DICOM_HEADER = "no preamble, many frames, high bits, padding, every kind of window"
