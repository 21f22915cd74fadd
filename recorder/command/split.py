"""``flightrec split``: some episodes of a recording in one of their own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from recorder.command.text import say


@click.command("split")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File or folder.")
@click.option("--episodes", required=True, metavar="IDS", help="Ids and ranges, as 0-9,12.")
def command(path: Path, output: Path, episodes: str) -> None:
    """Write some episodes of a finished recording into one of their own, under their ids.

    Soft and external links stay links; a soft one to an episode that is left out is an error. Where
    the episodes came from is kept, for ExperimentLoader.get_origin().

    \b
    Examples:
      flightrec split experiments/run_20260101_120000 --episodes 0-9,12 -o experiments/first
    """
    from loaders.assembling import split
    from recorder.command.paths import data_file
    from recorder.command.progress import Progress

    with Progress("split", unit="episode") as progress:
        made = split(data_file(path), _ids(episodes), output, progress=progress)
    say(f"{made}: episodes {episodes}")


def _ids(text: str) -> Iterator[int]:
    """Not a list: a range may be meant to reach to whatever end there is."""
    ranges = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        try:
            ranges.append(range(int(first), int(last or first) + 1))
        except ValueError:
            raise click.BadParameter(f"{part!r} is no id or range", param_hint="--episodes") from None
        if not ranges[-1]:
            raise click.BadParameter(f"{part!r} ends before it begins", param_hint="--episodes")
    return chain.from_iterable(ranges)
