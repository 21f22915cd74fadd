"""``flightrec pack``: a finished recording written anew."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.command.text import size


@click.command("pack")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File or folder; in place by default.")
@click.option("--compression", help="Filter for every dataset: gzip, zstd …, none. As it is by default.")
@click.option("--level", type=int, help="Level of the filter that --compression names.")
@click.option("--cloud", is_flag=True, help="Lay it out for range reads over a network.")
@click.option("--scales", is_flag=True, help="Add dimension scales, for xarray and netCDF-4 programs.")
def command(
    path: Path, output: Path | None, compression: str | None, level: int | None, cloud: bool, scales: bool
) -> None:
    """Write a finished recording anew: without unused room, filtered otherwise, or laid out for the cloud.

    The result is verified and compared with the recording, value by value, before it is put in place.

    Soft and external links stay links, as with h5repack: what they lead to is not looked at. A link
    among the data of an episode, where no recording has one, is an error.

    \b
    Examples:
      flightrec pack experiments/run_20260101_120000
      flightrec pack experiments/run_20260101_120000 -o small.h5 --compression gzip --level 9
      flightrec pack experiments/run_20260101_120000 -o run.h5 --cloud --scales
    """
    from loaders.assembling import pack
    from recorder.command.paths import data_file
    from recorder.command.progress import Progress

    file = data_file(path)
    before = file.stat().st_size
    chosen = "keep" if compression is None else None if compression == "none" else compression
    with Progress(f"pack {file.parent.name}", unit="episode") as progress:
        made = pack(
            file, output, compression=chosen, level=level, cloud=cloud, scales=scales, progress=progress
        )
    click.echo(f"{made}: {size(before)} to {size(made.stat().st_size)}")
