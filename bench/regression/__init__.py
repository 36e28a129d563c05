"""Regressions: two revisions in, a verdict on every stage out."""
