"""Runners execute the fused network: a batch of radiographs in, scores out."""

from cxrsweep.engine.runners.base import Pending, Runner, Scores

__all__ = ["Pending", "Runner", "Scores"]
