"""Recordings damaged at random, and what every reader makes of them; ``python -m tests.fuzz --help``."""
