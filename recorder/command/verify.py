"""``flightrec verify``: is every byte of a recording still what it was?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.command.paths import data_file
from recorder.command.text import say, size
from recorder.errors import FlightrecError

if TYPE_CHECKING:
    from recorder.h5.verify import Tally


@click.command("verify")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option("--all", "show_all", is_flag=True, help="Name every finding, not only 20 a recording.")
def command(paths: tuple[Path, ...], show_all: bool) -> None:
    """Read every byte of recordings and name what is damaged.

    Every chunk of every dataset is decoded and measured, checksums where there are any (deflated
    chunks have one, and all of HDF5's own structures), and what the file says of itself is
    compared with what it holds: counters, lengths, anchors, totals. How much is good, and which
    rows of a damaged stream can still be read, is said too. Nothing is changed; a recording that
    is being written is checked as far as it is committed.

    \b
    Examples:
      flightrec verify experiments/run_20260101_120000
      flightrec verify experiments/*/ && rsync -a experiments/ backup:

    \b
    Exit codes:
      0  everything is sound
      1  something is damaged or no recording; it is named
    """
    from recorder.command.progress import Progress
    from recorder.h5.verify import Tally
    from recorder.h5.verify.apart import verify_apart

    damaged = False
    for path in paths:
        tally = Tally()
        try:
            file = data_file(path)
            with Progress(f"verify {file.parent.name}", unit="B") as progress:
                findings = list(verify_apart(file, progress, tally))
        except (FlightrecError, OSError) as error:
            damaged = True
            say(f"flightrec: {' '.join(str(error).split())}", err=True)
            continue
        if not findings:
            blind = tally.unchecked_nbytes
            unsure = f", {size(blind)} of it stored without a checksum" if blind else ""
            say(f"{file}: sound ({size(file.stat().st_size)}{unsure})")
            continue
        damaged = True
        shown = findings if show_all else findings[:20]
        say(f"{file}: damaged")
        for finding in shown:
            say(f"  {finding}")
        if len(findings) > len(shown):
            say(f"  and {len(findings) - len(shown)} more; --all names them")
        if tally.datasets:
            say(f"  {_good(tally)}")
    if damaged:
        raise SystemExit(1)


def _good(tally: Tally) -> str:
    """How much of the recording can be read."""
    parts = (
        f"{tally.datasets - tally.bad_datasets:,} of {tally.datasets:,} datasets",
        f"{tally.chunks - tally.bad_chunks:,} of {tally.chunks:,} chunks",
        f"{size(tally.nbytes - tally.bad_nbytes)} of {size(tally.nbytes)} of data",
    )
    return "good: " + ", ".join(parts)
