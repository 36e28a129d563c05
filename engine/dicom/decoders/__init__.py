"""One module per family of transfer syntaxes, each with `is_available` and `decode`."""
