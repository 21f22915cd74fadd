"""Words and tables for people: sizes, ages, columns."""

from __future__ import annotations

from collections.abc import Sequence

import click

from recorder.format.printable import printable


def say(text: str, *, err: bool = False) -> None:
    """Print one line, whatever names and values of files are in it."""
    click.echo(printable(text), err=err)


def size(nbytes: float) -> str:
    """A number of bytes in the unit that keeps it short, for instance ``"1.3 MB"``."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000 or unit == "GB":
            break
        nbytes /= 1000
    return f"{nbytes:.0f} {unit}" if unit == "B" or nbytes >= 100 else f"{nbytes:.1f} {unit}"


def age(seconds: float) -> str:
    """A duration in its largest unit, for instance ``"3 h"``."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows under a header in aligned columns; ``right`` are the columns of numbers."""
    lines = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in lines
    )
