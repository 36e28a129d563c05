"""Supervision: the sweep in a process that may die, and who starts it again."""
