"""``flightrec dashboard``: recordings in the browser, while they are written and afterwards."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.command.text import say


@click.command("dashboard")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5006, show_default=True, help="0 takes any that is free."
)
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--token", metavar="TEXT", help="What browsers have to know; made up for other addresses.")
@click.option("--open/--no-open", "show", default=False, help="Open a browser.")
def command(path: Path, port: int, address: str, token: str | None, show: bool) -> None:
    """Show recordings in the browser: spikes, rates, traces, reward, behaviour, weights, events.

    PATH is a recording's folder or file, or a folder of recordings. Those that run are followed, others
    can be gone through. Nobody but this machine can connect, unless --address says otherwise: then a
    token is needed, which stands in the address that is printed. Ends with Ctrl-C.

    \b
    Examples:
      flightrec dashboard experiments --open
      flightrec dashboard experiments/my_experiment_20260101_120000
      flightrec dashboard experiments --address 0.0.0.0 --port 8080
    """
    try:
        from loaders.dashboard import serve
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("panel", "bokeh", "pandas", "tornado"):
            raise
        raise click.ClickException(
            "this needs Panel and Bokeh: python -m pip install 'flightrec[dashboard]'"
        ) from error

    try:
        serving = serve(path, port=port, address=address, token=token)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    say(f"{path} is shown at {serving.url} (Ctrl-C ends)")
    if show:
        click.launch(serving.url)
    serving.wait()
