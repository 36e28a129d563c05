"""Odd, broken and crafted radiographs, made by code: `python -m hostile FOLDER` writes them all."""
