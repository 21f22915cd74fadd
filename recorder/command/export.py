"""``flightrec export``: a recording in the files of other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.command.text import say
from recorder.format.printable import printable

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader

FORMATS = {
    "parquet": ("_parquet", "a folder of Parquet files, one for each table and episode; extra arrow"),
    "netcdf": (".nc", "a netCDF-4 file that xarray opens as a DataTree; extra xarray"),
    "nwb": (".nwb", "a file of Neurodata Without Borders, needs --dt; extra nwb"),
    "sonata": ("_sonata", "spikes and reports for libsonata, a folder an episode, needs --dt"),
    "minari": ("", "a Minari dataset; OUT is its id; needs the options for agents; extra minari"),
}
_OPTIONS = {
    "parquet": {"only"},
    "netcdf": {"dt", "units", "as_float32"},
    "nwb": {"dt", "units", "only"},
    "sonata": {"dt", "units", "reports", "population", "as_float32"},
    "minari": {
        "observations",
        "actions",
        "final_observation",
        "terminations",
        "truncations",
        "rewards",
        "environment",
    },
}
"""What a format takes beside ``episodes``: other options would change nothing."""
_AGENTS = ("observations", "actions", "final_observation", "terminations", "truncations")
_LISTED = "\n".join(f"  {name:<9}{what}" for name, (_, what) in FORMATS.items())
_HELP = f"""Write a recording as files of other tools; the recording stays as it is.

    \b
    Formats:
    {_LISTED.replace(chr(10), chr(10) + "    ")}

    A recording has timesteps, not seconds: formats that need them ask for --dt. OUT must not be there
    yet, and appears when it is complete; by default it is in the current folder and has the
    recording's name. From Python: ExperimentLoader.to_xarray, to_netcdf, to_parquet, to_nwb, to_neo,
    to_minari, torch_windows, and EpisodeData.to_pandas, to_arrow, to_sonata, to_torch.

    \b
    Examples:
      flightrec export --to parquet experiments/run_20260101_120000 -o tables
      flightrec export --to nwb experiments/run_20260101_120000 --dt 0.001 --unit neural_states/v=mV
      flightrec export --to minari experiments/cartpole_20260101_120000 -o lab/cartpole-v0 \\
          --observations behavior/observation --actions behavior/action --rewards rewards \\
          --final-observation events/end/final_observation \\
          --terminations behavior/terminated --truncations behavior/truncated
    """


@click.command("export", help=_HELP)
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(list(FORMATS)), help="The format.")
@click.option("-o", "--output", "out", metavar="OUT", help="Where to; of Minari the dataset's id.")
@click.option("--dt", metavar="SECONDS", help="Seconds of a timestep, or the configuration's key of them.")
@click.option("--unit", "units", metavar="STREAM=UNIT", multiple=True, help="May be repeated.")
@click.option("--episode", "episodes", metavar="ID", type=int, multiple=True, help="Only these episodes.")
@click.option("--only", metavar="TABLE", multiple=True, help="Parquet, NWB: only such, like spikes.")
@click.option("--report", "reports", metavar="STREAM", multiple=True, help="SONATA: only these streams.")
@click.option("--population", default="default", show_default=True, help="SONATA: name of the nodes.")
@click.option("--float32", "as_float32", is_flag=True, help="SONATA: round reports; netCDF: keep float16 so.")
@click.option("--observations", metavar="STREAM", help="Agents: what was seen.")
@click.option("--actions", metavar="STREAM", help="Agents: what was done.")
@click.option(
    "--rewards", metavar="STREAM", default="rewards", show_default=True, help="Agents: what it gave."
)
@click.option("--final-observation", metavar="PLACE", help="Agents: see ExperimentLoader.to_minari.")
@click.option("--terminations", metavar="STREAM", help="Agents: a stream, or yes or no for each last step.")
@click.option("--truncations", metavar="STREAM", help="Agents: a stream, or yes or no for each last step.")
@click.option("--environment", metavar="ID", help="Agents: Gymnasium's id, which has the spaces.")
@click.pass_context
def command(context: click.Context, /, path: Path, form: str, **options: Any) -> None:
    """Write a recording in a format; the help text stands above."""
    from loaders.experiment import ExperimentLoader
    from loaders.interchange.facts import name_of
    from recorder.command.paths import data_file

    _check_options(context, form)
    options["units"] = dict(_pair(text) for text in options["units"]) or None
    options["dt"] = _number_or_key(options["dt"])
    options["only"] = list(options["only"]) or None
    options["episodes"] = list(options["episodes"]) or None
    with ExperimentLoader(data_file(path)) as recording:
        unknown = set(options["episodes"] or ()) - set(recording.list_episodes())
        if unknown:
            raise click.BadParameter(f"there is no episode {min(unknown)}", param_hint="--episode")
        if options["out"] is None:
            if form == "minari":
                raise click.UsageError("--to minari needs the dataset's id: -o lab/task-v0")
            options["out"] = name_of(recording) + FORMATS[form][0]
        try:
            say(_WRITERS[form](recording, options))
        except KeyError as error:
            raise click.UsageError(printable(str(error.args[0]))) from error
        except ImportError as error:
            raise click.ClickException(printable(str(error))) from error


def _check_options(context: click.Context, form: str) -> None:
    taken = {"path", "form", "out", "episodes"} | _OPTIONS[form]
    for option in context.command.params:
        if option.name is None or option.name in taken:
            continue
        if context.get_parameter_source(option.name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--to {form} takes no {option.opts[-1]}")


def _pair(text: str) -> tuple[str, str]:
    stream, equals, unit = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is no STREAM=UNIT", param_hint="--unit")
    return stream, unit


def _number_or_key(text: str | None) -> float | str | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _parquet(recording: ExperimentLoader, given: dict[str, Any]) -> str:
    return str(recording.to_parquet(given["out"], episodes=given["episodes"], only=given["only"]))


def _netcdf(recording: ExperimentLoader, given: dict[str, Any]) -> str:
    chosen = {key: given[key] for key in ("dt", "units", "episodes", "as_float32")}
    return str(recording.to_netcdf(given["out"], **chosen))


def _nwb(recording: ExperimentLoader, given: dict[str, Any]) -> str:
    chosen = {key: given[key] for key in ("dt", "units", "episodes", "only")}
    return str(recording.to_nwb(given["out"], **chosen))


def _sonata(recording: ExperimentLoader, given: dict[str, Any]) -> str:
    from loaders.interchange.aside import aside

    chosen = {key: given[key] for key in ("dt", "units", "population", "as_float32")}
    target = Path(given["out"])
    with aside(target, folder=True) as part:
        for number in recording.list_episodes() if given["episodes"] is None else given["episodes"]:
            folder = part / f"episode_{number:04d}"
            recording.get_episode(number).to_sonata(folder, reports=given["reports"] or None, **chosen)
    return str(target)


def _minari(recording: ExperimentLoader, given: dict[str, Any]) -> str:
    missing = [name for name in _AGENTS if given[name] is None]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise click.UsageError(f"--to minari needs {options}")
    words = {"yes": True, "no": False}
    ends = {name: words.get(given[name], given[name]) for name in ("terminations", "truncations")}
    plain = ("observations", "actions", "final_observation", "rewards", "environment", "episodes")
    recording.to_minari(given["out"], **{name: given[name] for name in plain}, **ends)
    return str(given["out"])


_WRITERS: dict[str, Callable[[ExperimentLoader, dict[str, Any]], str]] = {
    "parquet": _parquet,
    "netcdf": _netcdf,
    "nwb": _nwb,
    "sonata": _sonata,
    "minari": _minari,
}
