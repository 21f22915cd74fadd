"""``flightrec diff``: what two recordings do not have in common."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("diff")
@click.argument("first", type=click.Path(exists=True, path_type=Path))
@click.argument("second", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--only",
    "parts",
    multiple=True,
    type=click.Choice(["configuration", "metadata", "code", "environment", "data", "random"]),
    help="Compare only this part; may be repeated.",
)
@click.option("--quiet", is_flag=True, help="Print nothing; the exit code says it.")
def command(first: Path, second: Path, parts: tuple[str, ...], quiet: bool) -> None:
    """Show what differs between two recordings: data, configuration, code, environment, random generators.

    Data are compared exactly: dtypes, shapes, timesteps, values (NaN equals NaN) and the order of the calls
    that logged them. Times of day, process ids and folders are left out. Of random generators those are
    named that were saved with a checkpoint and are in another state. Each line is
    part: what: the first | the second.

    \b
    Examples:
      flightrec diff experiments/run_20260101_120000 experiments/run_20260102_120000
      flightrec diff A B --only data --quiet && echo "the same data"

    \b
    Exit codes:
      0  nothing differs
      1  something does, or the command failed
    """
    from loaders import ExperimentLoader
    from loaders.comparing import differences
    from loaders.comparing.recordings import PARTS
    from recorder.command.paths import data_file

    count = 0
    with ExperimentLoader(data_file(first)) as a, ExperimentLoader(data_file(second)) as b:
        for difference in differences(a, b, parts=parts or PARTS):
            count += 1
            if quiet:
                break
            click.echo(str(difference))
    if count:
        raise SystemExit(1)
    if not quiet:
        click.echo("nothing differs")
