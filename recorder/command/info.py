"""``flightrec info``: what a recording holds."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.command.text import say


@click.command("info")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--config", is_flag=True, help="Print the recorded configuration and metadata too.")
def command(path: Path, config: bool) -> None:
    """Show what a recording holds: episodes, streams, network, where it came from.

    PATH is the recording's folder or its HDF5 file. A recording whose program was killed is
    repaired first, as it is whenever it is opened through flightrec.

    \b
    Examples:
      flightrec info experiments/run_20260101_120000
      flightrec info experiments/run_20260101_120000/experiment_data.h5 --config
    """
    from loaders import ExperimentLoader, describe
    from recorder.command.paths import data_file

    with ExperimentLoader(data_file(path)) as experiment:
        click.echo(describe(experiment))
        if config:
            from pprint import pformat

            for title, values in (
                ("config", experiment.get_config()),
                ("metadata", experiment.get_metadata()),
            ):
                click.echo(f"\n{title}")
                for line in pformat(values, width=100).split("\n"):
                    say(line)
