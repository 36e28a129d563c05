"""The careful lane: decodes in processes that may die."""
