"""``flightrec demo``: record a small network, read it back, plot it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from recorder.command.text import size

EPISODES = 4


@click.command("demo")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("experiments"),
    show_default=True,
    help="Folder that gets the recording's folder.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=2_000, show_default=True, help="Timesteps of each episode."
)
def command(output: Path, steps: int) -> None:
    """Record a small spiking network, show what came of it and plot it.

    250 leaky integrate-and-fire neurons steer an agent towards a target; its reward changes the
    synapses that steer. Potentials, spikes, behaviour, reward, weight changes and events of four
    episodes go into one HDF5 file, and the plot is drawn from that file.

    \b
    Examples:
      flightrec demo
      flightrec demo --output /tmp/recordings --steps 500
    """
    from loaders import ExperimentLoader, describe
    from recorder import DataExporter
    from recorder.command import demo_network, demo_plot

    network = demo_network.Network(seed=1)
    started = time.perf_counter()
    with DataExporter("demo", output_base_dir=str(output), neural_sampling_rate=5) as exporter:
        demo_network.record(exporter, network, episodes=EPISODES, steps=steps)
    elapsed = time.perf_counter() - started

    total = EPISODES * steps
    click.echo(f"Simulated and recorded {total:,} timesteps in {elapsed:.1f} s\n")
    with ExperimentLoader(exporter.output_dir) as experiment:
        click.echo(describe(experiment))
        picture = demo_plot.draw(experiment, exporter.output_dir / "demo.png")

    click.echo(f"\nRecording  {exporter.h5_path}  ({size(exporter.h5_path.stat().st_size)})")
    click.echo(f"Plot       {picture}")
    folder = exporter.output_dir
    click.echo(
        f"\nNext:\n  flightrec info {folder}\n  flightrec verify {folder}\n"
        f'  python -c "from loaders import ExperimentLoader as E; print(E({str(folder)!r}).episodes)"'
    )
