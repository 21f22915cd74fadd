"""The ``flightrec`` command: its group, its errors and its exit codes.

Each command is one file in ``recorder/command``, imported only when it is called, so that
``flightrec --help`` answers at once.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any

import click

from recorder.errors import FlightrecError
from recorder.format.printable import printable

COMMANDS = {
    "demo": "Record a small spiking network, show what came of it and plot it.",
    "info": "Show what a recording holds.",
    "ls": "List the recordings below a folder.",
    "watch": "Watch a recording while it is written.",
    "dashboard": "Show recordings in the browser.",
    "repair": "Bring back recordings whose program was killed.",
    "verify": "Read every byte of recordings and name what is damaged.",
    "diff": "Show what differs between two recordings.",
    "pack": "Write a finished recording anew: smaller, filtered otherwise, laid out for the cloud.",
    "merge": "Write the episodes of several recordings into one.",
    "split": "Write some episodes of a recording into one of their own.",
    "export": "Write a recording as files of other tools.",
    "storage": "Look after a store of network states.",
    "build-cache": "Cut EEG recordings into labelled windows for training.",
    "scan-cache": "Write the manifest of a cache of EEG windows.",
}
_IN_CACHE = {"build-cache": "build_cache", "scan-cache": "scan_cache"}
"""Commands that share a file."""
FAILED = 1


class CommandLine(click.Group):
    """Loads a command's file when it is called, and turns expected errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"recorder.command.{'cache' if cmd_name in _IN_CACHE else cmd_name}")
        command: click.Command = getattr(module, _IN_CACHE.get(cmd_name, "command"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in ``--help``, from the table above: nothing needs importing for it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Errors we raise on purpose, and the operating system's, end as one line on stderr and exit
        code 1; with ``--debug`` they keep their traceback. Anything else is a fault in flightrec
        and always shows its traceback.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # `flightrec ls | head` closed our output: that is no failure of ours
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except (FlightrecError, OSError) as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"flightrec: {printable(_one_line(error))}", err=True)
            ctx.exit(FAILED)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"no such file or folder: {error.filename}"
    return text


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value:
        return
    from importlib.metadata import PackageNotFoundError, version

    from recorder.format.layout import FORMAT_VERSION
    from recorder.hotpath import HOT_PATH

    try:
        number = version("flightrec")
    except PackageNotFoundError:  # run from a checkout that was never installed
        number = "(not installed)"
    click.echo(f"flightrec {number}, file format {FORMAT_VERSION}, hot path {HOT_PATH}")
    ctx.exit()


@click.command(
    cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
def cli(debug: bool) -> None:
    """A flight recorder for Python simulations: one plain HDF5 file, nothing lost.

    \b
    Examples:
      flightrec demo                     see a recording come into being
      flightrec ls experiments           what has been recorded here?
      flightrec info experiments/run_20260101_120000
      flightrec watch experiments        how is the one doing that runs?
      flightrec verify experiments/*/    is every byte still readable?

    \b
    Exit codes:
      0  done, and everything is sound
      1  something is damaged, or the command failed
      2  the command line was not understood
    """


def main() -> None:
    """Entry point of the ``flightrec`` command and of ``python -m recorder``."""
    shown = warnings.formatwarning
    warnings.formatwarning = lambda message, *where: shown(printable(str(message)), *where)
    cli(prog_name="flightrec")
