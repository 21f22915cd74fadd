"""``flightrec ls``: the recordings below a folder."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from recorder.command.text import age, say, size, table
from recorder.format.printable import printable

if TYPE_CHECKING:
    from loaders.collection import Run

_COLUMNS = ("status", "episodes", "steps", "size_bytes", "modified")
_TRUTH = (bool, np.bool_)
_TITLES = {"size_bytes": "size", "modified": "age"}


@click.command("ls")
@click.argument(
    "folder", required=False, default=".", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--where", "wanted", metavar="COLUMN=VALUE", multiple=True, help="Only such; may be repeated.")
@click.option("--sort", metavar="COLUMN", default="modified", show_default=True, help="What to sort by.")
@click.option("--descending", is_flag=True, help="The greatest first.")
@click.option("--column", "more", metavar="COLUMN", multiple=True, help="Show this one too, like config.lr.")
@click.option("--all-columns", is_flag=True, help="List the names of columns instead.")
@click.option(
    "-j", "--workers", type=click.IntRange(1), help="Processes that read; by default as many as are of use."
)
def command(
    folder: Path,
    wanted: tuple[str, ...],
    sort: str,
    descending: bool,
    more: tuple[str, ...],
    all_columns: bool,
    workers: int | None,
) -> None:
    """List the recordings below a folder (default: here), oldest first.

    Status is running, completed, interrupted (an exception ended it), recovered (repaired after
    a kill), killed (not repaired yet) or unreadable. Nothing is repaired or changed. Columns are
    those of ExperimentCollection: configuration, git commit, means of summaries. Values are given
    to --where as they are printed, or as Python writes them: 1e-3, [64, 32].

    \b
    Examples:
      flightrec ls
      flightrec ls experiments --where status=completed --sort mean_reward --column config.lr
    """
    from loaders.collection import ExperimentCollection

    runs = whole = ExperimentCollection(folder, workers=workers)
    for text in wanted:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is no COLUMN=VALUE", param_hint="--where")
        runs = runs.filter(_matching(name, value))
    if all_columns:
        click.echo("\n".join(map(printable, runs.columns)))
        return
    asked = [*(text.partition("=")[0] for text in wanted), sort, *more]
    unknown = [name for name in asked if name not in whole.columns]
    if whole and unknown:
        raise click.UsageError(f"no recording has a column {unknown[0]!r}: see flightrec ls --all-columns")
    if not runs:
        say(f"no recordings below {folder}" + (" of which this holds" if wanted else ""))
        return
    shown = [*_COLUMNS, *more]
    rows = [
        [run.name, *(_cell(name, run.get(name)) for name in shown)]
        for run in runs.sort(sort, descending=descending)
    ]
    titles = ["name", *(_TITLES.get(name, name) for name in shown)]
    click.echo(table(titles, rows, right=(2, 3, 4, 5)))


def _matching(name: str, text: str) -> Callable[[Run], bool]:
    """Whether a column's value is this one, as it is printed or as Python writes it: 1e-3, [64, 32]."""
    from loaders.collection.values import alike

    try:
        meant = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        meant = text

    def matches(run: Run) -> bool:
        value = run.get(name)
        # An array is printed shortened, and 1 is no answer to yes or no.
        printed = getattr(value, "ndim", 0) == 0 and str(value) == text
        return printed or (isinstance(value, _TRUTH) == isinstance(meant, _TRUTH) and alike(value, meant))

    return matches


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "modified":
        return age(time.time() - value)
    if name == "size_bytes":
        return size(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if getattr(value, "ndim", 0):
        return " ".join(np.array2string(value, separator=", ").split())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
