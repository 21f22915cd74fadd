"""``flightrec repair``: bring back what a killed program had logged."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.command.paths import data_file
from recorder.command.text import say
from recorder.errors import FlightrecError


@click.command("repair")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
def command(paths: tuple[Path, ...]) -> None:
    """Bring back recordings, and stores of network states, whose program was killed.

    Every step for which log() had returned is put into the HDF5 file, and the episode is marked
    as recovered. Repairing a sound recording changes nothing; a repair may itself be interrupted
    and run again. Opening a recording with ExperimentLoader does the same by itself.

    \b
    Examples:
      flightrec repair experiments/run_20260101_120000
      flightrec repair experiments/*/

    \b
    Exit codes:
      0  all recordings are sound now
      1  at least one could not be repaired, is still being written, or is no recording
    """
    from recorder.command.progress import Progress
    from recorder.h5.repair import needs_repair, repair
    from recorder.h5.store.session import make_whole
    from recorder.h5.store.which import is_store_file
    from recorder.h5.summary import check_sound

    failed = 0
    for path in paths:
        try:
            file = data_file(path)
        except FlightrecError as error:
            failed += 1
            say(f"flightrec: {error}", err=True)
            continue
        try:
            if is_store_file(file):
                make_whole(file)
                say(f"{file}: a store of network states, which is whole now")
                continue
            if not needs_repair(file):
                check_sound(file)
                say(f"{file.parent}: sound, nothing to repair")
                continue
            with Progress(f"repair {file.parent.name}", unit="record") as progress:
                report = repair(file, progress=progress)
            if report.status == "clean":
                check_sound(file)
        except (FlightrecError, OSError) as error:
            failed += 1
            say(f"{file.parent}: {' '.join(str(error).split())}", err=True)
            continue
        failed += report.status == "damaged"
        say(f"{file.parent}: {report.message}")
    if failed:
        raise SystemExit(1)
