"""Evidence from a GPU host: independent steps in, one JSON file that says how each ended out."""
