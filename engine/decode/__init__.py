"""Decoding: checked files in, equalised and fitted radiographs out, in two lanes."""
