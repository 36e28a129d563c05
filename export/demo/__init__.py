"""The demonstration networks: how they were trained, their weights and their bundle."""
