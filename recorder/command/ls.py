"""``flightrec ls``: the recordings below a folder."""

from __future__ import annotations

import time
from pathlib import Path

import click

from loaders.find import recordings
from recorder.command.text import age, size, table
from recorder.errors import ReadError


@click.command("ls")
@click.argument(
    "folder", required=False, default=".", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
def command(folder: Path) -> None:
    """List the recordings below a folder (default: here), oldest first.

    Status is running, completed, interrupted (an exception ended it), recovered (repaired after
    a kill), killed (not repaired yet) or unreadable. Nothing is repaired or changed.

    \b
    Examples:
      flightrec ls
      flightrec ls experiments
    """
    from recorder.h5.summary import summarize

    found = []
    for file in recordings(folder):
        state = file.stat()
        try:
            summary = summarize(file)
            cells = [summary.status or "other", f"{summary.episodes:,}", f"{summary.steps:,}"]
        except ReadError:
            cells = ["unreadable", "", ""]
        row = [
            str(file.parent.relative_to(folder)) if file.parent != folder else folder.resolve().name,
            *cells,
            size(state.st_size),
            age(time.time() - state.st_mtime),
        ]
        found.append((state.st_mtime, row))
    if not found:
        click.echo(f"no recordings below {folder}")
        return
    rows = [row for _, row in sorted(found, key=lambda pair: pair[0])]
    click.echo(table(["name", "status", "episodes", "steps", "size", "age"], rows, right=(2, 3, 4, 5)))
