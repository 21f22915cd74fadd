"""Texts of a file that nobody vouches for, on their way to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The same on one line, in which nothing drives a terminal: control and other such characters escaped.

    So are line breaks, invisible marks that turn the direction of a text, and bytes that were no text at all.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
