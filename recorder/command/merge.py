"""``flightrec merge``: the episodes of several recordings in one."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.command.text import say


@click.command("merge")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File or folder.")
def command(paths: tuple[Path, ...], output: Path) -> None:
    """Write the episodes of several finished recordings into one, numbered anew in the order given.

    Configuration, metadata, code, network and resumptions are those of the first; those of all are kept
    beside, with which episode and checkpoint was whose, for ExperimentLoader.get_origin(). Networks must
    be the same. There may be more recordings than a process may have files open.

    Links of the first stay links; a soft one to an episode, whose number will be another, is an error.

    \b
    Examples:
      flightrec merge experiments/part_*/ -o experiments/whole
    """
    from loaders.assembling import merge
    from recorder.command.paths import data_file
    from recorder.command.progress import Progress

    with Progress("merge", unit="episode") as progress:
        made = merge([data_file(path) for path in paths], output, progress=progress)
    say(f"{made}: {len(paths)} recordings")
