"""Runs: the run folder, its shards and its table; what a kill must not lose."""
