"""DICOM: bytes of a file in, whitelisted facts and 8-bit grey frames out; never its text."""
