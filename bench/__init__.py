"""Measures the engine and makes synthetic archives for it; never needs torch but for the rivals."""
