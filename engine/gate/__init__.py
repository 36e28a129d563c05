"""The gate: what a file's bytes are, checked strictly before any decoder sees them."""
