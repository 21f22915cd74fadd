"""``flightrec storage``: looking after a store of network states."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.command.text import age, say, size, table
from recorder.format.storage import EARLIEST

if TYPE_CHECKING:
    from recorder.storage import HDF5Storage

_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("storage")
def command() -> None:
    """Look after a store of network states: the file that HDF5Storage writes, and those it rotated.

    PATH is the file that is written. Other processes may use the store meanwhile.

    \b
    Examples:
      flightrec storage info run.h5
      flightrec storage ls run.h5 --kind snapshot --last 20
      flightrec storage cleanup run.h5 --days 30 --keep checkpoint && flightrec storage compact run.h5
    """


@command.command("info")
@click.argument("path", type=_PATH)
def info(path: Path) -> None:
    """Show what a store holds."""
    with _open(path) as storage:
        found = storage.get_file_info()
        files = storage.files()
        entries = storage.find()
    say(f"{path}: {size(found['file_size_bytes'])}, {found['total_datasets']:,} datasets")
    say(f"layout {found['version']}, compression {found['compression']}, made {_when(found['created_at'])}")
    for other in files[:-1]:
        say(f"rotated: {other.name}, {size(other.stat().st_size)}")
    counts: dict[str, list[float]] = {}
    for entry in entries:
        counts.setdefault(entry.kind, []).append(entry.timestamp)
    rows = [[kind, f"{len(t):,}", _when(min(t)), _when(max(t))] for kind, t in counts.items()]
    click.echo(table(["kind", "objects", "first", "last"], rows, right=(1,)) if rows else "it is empty")


@command.command("ls")
@click.argument("path", type=_PATH)
@click.option("--kind", help="Only this kind, for instance snapshot.")
@click.option("--label", help="Only those of this reservoir, mechanism, task …")
@click.option("--since", type=float, default=-math.inf, help="Only from this timestamp on, in seconds.")
@click.option("--until", type=float, default=math.inf, help="Only up to this timestamp.")
@click.option("--last", type=click.IntRange(1), help="Only so many, the newest.")
def ls(path: Path, kind: str | None, label: str | None, since: float, until: float, last: int | None) -> None:
    """List objects by time: timestamp, kind, id and file."""
    with _open(path) as storage:
        entries = storage.find(kind, since, until, label)
    rows = [[repr(e.timestamp), e.kind, e.id, e.file.name] for e in entries[-last if last else 0 :]]
    click.echo(table(["timestamp", "kind", "id", "file"], rows) if rows else "no objects")


@command.command("compact")
@click.argument("path", type=_PATH)
def compact(path: Path) -> None:
    """Write the file anew without the room that removed objects left.

    The copy is verified before it takes the file's place. One that was interrupted goes on where it was.
    """
    with _open(path) as storage, _progress(f"compact {path.name}", "object") as progress:
        report = storage.compact(progress)
    again = f", {report.resumed:,} of them by an earlier try" if report.resumed else ""
    say(
        f"{path}: {size(report.before)} to {size(report.after)}, {size(max(0, report.reclaimed))} reclaimed; "
        f"{report.objects:,} objects copied{again}"
    )


@command.command("rotate")
@click.argument("path", type=_PATH)
def rotate(path: Path) -> None:
    """Put the file away under another name and begin an empty one; its objects stay to be found."""
    with _open(path) as storage:
        say(f"rotated to {storage.rotate_file()}")


@command.command("cleanup")
@click.argument("path", type=_PATH)
@click.option(
    "--days", type=click.FloatRange(0), default=30.0, show_default=True, help="Remove what is older."
)
@click.option("--keep", multiple=True, metavar="KIND", help="Keep all of this kind; may be repeated.")
@click.option(
    "--kind", "kinds", type=(str, float), multiple=True, metavar="KIND DAYS", help="Other days for a kind."
)
@click.option(
    "--now",
    type=float,
    metavar="SECONDS",
    help="The time there, if timestamps are a run's own; else the clock's.",
)
def cleanup(
    path: Path, days: float, keep: tuple[str, ...], kinds: tuple[tuple[str, float], ...], now: float | None
) -> None:
    """Remove old objects of every kind, in rotated files too; `compact` returns their room.

    Timestamps that are Unix seconds have an age by the clock. Of those that are a run's own time, as
    simulated seconds, --now has to say what time it is; without, nothing is removed.

    \b
    Examples:
      flightrec storage cleanup run.h5 --days 30 --keep checkpoint
      flightrec storage cleanup run.h5 --days 0.01 --now 3600    # an hour simulated: all before 2736 s
    """
    chosen: dict[str, float | None] = dict(kinds)
    chosen |= dict.fromkeys(keep)
    with _open(path) as storage:
        say(f"{storage.cleanup_old_data(days, kinds=chosen, now=now):,} objects removed")


@command.command("verify")
@click.argument("path", type=_PATH)
def verify(path: Path) -> None:
    """Read every byte of the store's files and name what is damaged.

    \b
    Exit codes:
      0  everything is sound
      1  something is damaged; it is named
    """
    from recorder.h5.verify.finding import Tally

    tally = Tally()
    with _open(path) as storage, _progress(f"verify {path.name}", "B") as progress:
        found = storage.verify(progress, tally)
    for finding in found:
        say(f"  {finding}")
    if found:
        say(f"{path}: damaged; good: {tally.datasets - tally.bad_datasets:,} of {tally.datasets:,} datasets")
        raise SystemExit(1)
    say(f"{path}: sound ({tally.datasets:,} datasets, {size(tally.nbytes)} of data)")


def _open(path: Path) -> HDF5Storage:
    from recorder.storage import HDF5Storage

    # What is looked after here is not to be rotated by the way.
    return HDF5Storage(path, max_file_size=1 << 62)


def _progress(label: str, unit: str) -> Any:
    from recorder.command.progress import Progress

    return Progress(label, unit)


def _when(timestamp: float) -> str:
    """A timestamp as local time where it can be one of our days, else as the number that it is."""
    now = time.time()
    if EARLIEST < timestamp < now + 86_400 * 366:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))
        return f"{stamp} ({age(now - timestamp)} ago)" if timestamp <= now else stamp
    return f"{timestamp:g} s"
