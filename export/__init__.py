"""Turns networks trained in PyTorch into bundles; the only room that imports torch."""
