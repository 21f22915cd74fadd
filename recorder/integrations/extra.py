"""What to say where an integration's own library is missing."""

from __future__ import annotations


def missing(extra: str, error: ImportError) -> ImportError:
    """The error to raise in place of ``error``, which names the optional dependency that helps."""
    text = f'{error}: python -m pip install "flightrec[{extra}]"'
    return ImportError(text, name=error.name, path=error.path)
