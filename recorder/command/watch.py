"""``flightrec watch``: a running recording at a glance, in the terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recorder.command.text import size
from recorder.format.printable import printable

if TYPE_CHECKING:
    from loaders.live import LiveExperiment, LiveStatus
    from loaders.live.alarms import Alarm
    from loaders.live.glance import Glance

_ALARMS = "no-spikes=STEPS, not-finite[=STREAM], reward-below=LEVEL[/STEPS], dead"
_WIDTH = 60
_PER_SECOND = 4


def _alarms(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Alarm]:
    return [_alarm(text) for text in texts]


def _alarm(text: str) -> Alarm:
    from loaders.live import alarms

    name, _, given = text.partition("=")
    try:
        if name == "no-spikes":
            return alarms.no_spikes(int(given or 1000))
        if name == "not-finite":
            return alarms.not_finite(*([given] if given else []))
        if name == "reward-below" and given:
            level, _, steps = given.partition("/")
            return alarms.reward_below(float(level), int(steps or 1000))
        if text == "dead":
            return alarms.writer_dead()
    except ValueError:
        pass
    raise click.BadParameter(f"{text!r} is none of {_ALARMS}")


@click.command("watch")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--wait", type=float, metavar="SECONDS", help="How long to wait for a recording to begin.")
@click.option("--once", is_flag=True, help="Show how it is doing now, and stop.")
@click.option("--alarm", "alarms", multiple=True, callback=_alarms, help=f"Say when: {_ALARMS}.")
@click.option("--run", "run", metavar="COMMAND", help="Shell command for alarms; see $FLIGHTREC_ALARM.")
def command(path: Path, wait: float | None, once: bool, alarms: list[Alarm], run: str | None) -> None:
    """Watch a recording while it is written: rate, episode, reward, firing rate, lag.

    PATH is a recording's folder or file, or a folder of recordings, of which the newest is taken that
    runs. Ends when the recording does, or with Ctrl-C; the recording never notices.

    \b
    Examples:
      flightrec watch experiments
      flightrec watch experiments --alarm no-spikes=5000 --alarm dead --run 'mail -s "$FLIGHTREC_ALARM" me'
    """
    from loaders.live import LiveExperiment
    from loaders.live.glance import Glance

    with LiveExperiment(path, wait=0 if once else wait) as live:
        if once:
            click.echo(_plain(live.status()))
            return
        _watch(live, Glance(_WIDTH), alarms, run)


def _watch(live: LiveExperiment, glance: Glance, alarms: list[Alarm], run: str | None) -> None:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        raise click.ClickException(
            "this needs rich: python -m pip install 'flightrec[watch]'; --once goes without"
        ) from error

    from loaders.live.alarms import sound

    console = Console()
    shown: Callable[[], Any] = lambda: _picture(live.status(), glance)  # noqa: E731
    with Live(shown(), console=console, auto_refresh=False) as screen:

        def looked_at() -> Any:
            due = 0.0
            for update in live.follow(idle=1 / _PER_SECOND):
                if update is not None:
                    glance.add(update)
                    yield update
                if time.monotonic() > due and console.is_terminal:
                    screen.update(shown(), refresh=True)
                    due = time.monotonic() + 1 / _PER_SECOND

        def tell(text: str) -> None:
            # Brackets and colons of a name are no markup.
            console.print(printable(text), markup=False, emoji=False)

        with contextlib.suppress(KeyboardInterrupt):
            sound(looked_at(), live, alarms, command=run, tell=tell)
        screen.update(shown(), refresh=True)


def _facts(status: LiveStatus) -> list[tuple[str, str]]:
    who = f"process {status.pid} on {status.host}, " if status.alive else ""
    lag = f"{status.lag_steps:,} steps" + ("" if status.lag is None else f", {status.lag:.2g} s")
    facts = [
        ("state", f"{status.state} ({who}since {status.since:%Y-%m-%d %H:%M:%S})"),
        ("steps", f"{status.steps:,}" + ("" if status.rate is None else f", {status.rate:,.0f} a second")),
        ("episodes", f"{status.episodes:,}"),
        ("file", size(status.file_bytes)),
    ]
    if status.episode_id is not None:
        facts[2] = ("episodes", f"{status.episodes:,}, now {status.episode_id}")
    if status.alive:
        facts.append(("not in the file yet", lag))
    return facts


def _plain(status: LiveStatus) -> str:
    facts = _facts(status)
    width = max(len(name) for name, _ in facts)
    lines = [f"{name.ljust(width)}  {text}" for name, text in facts]
    return "\n".join(map(printable, [f"{status.name}  ({status.path})", *lines]))


def _picture(status: LiveStatus, glance: Glance) -> Any:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from loaders.live.course import sparkline

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    for name, text in _facts(status):
        grid.add_row(name, Text(printable(text)))
    if glance.reward.count:
        mean = glance.reward.total / glance.reward.count
        grid.add_row("reward", f"{sparkline(glance.reward.means(), _WIDTH)}  mean {mean:.4g}")
    if glance.last_return is not None:
        grid.add_row("last return", f"{glance.last_return:.6g}")
    if glance.firing.count:
        mean = glance.firing.total / glance.firing.count
        grid.add_row("firing", f"{sparkline(glance.firing.means(), _WIDTH)}  mean {mean:.2%} a step")
    if glance.last_event is not None:
        step, kind = glance.last_event
        grid.add_row("last event", Text(printable(f"{kind} at timestep {step:,}")))
    if glance.timestep is not None:
        grid.add_row("timestep", f"{glance.timestep:,}")
    colour = {"running": "green", "killed": "red", "interrupted": "yellow"}.get(status.state, "blue")
    return Panel(grid, title=Text(printable(status.name), "bold"), border_style=colour, expand=False)
