"""The demo's picture, drawn from the loaded recording alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from loaders import EpisodeData, ExperimentLoader

COLORS = {"input": "#0072b2", "hidden": "#666666", "inhibitory": "#d55e00", "output": "#009e73"}
RATE_WINDOW = 50  # ms


def draw(experiment: ExperimentLoader, path: Path) -> Path:
    """Raster, rates, potentials, the agent's way and the reward of the last episode, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    episode = experiment.get_episode(experiment.list_episodes()[-1])
    kinds = np.asarray(experiment.get_network_structure()["neurons"]["neuron_types"]).astype(str)
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(4, 2, width_ratios=(3, 2), height_ratios=(3, 1.4, 1.4, 1.4))
    raster = figure.add_subplot(grid[0, 0])
    panels = [raster, *(figure.add_subplot(grid[row, 0], sharex=raster) for row in (1, 2, 3))]
    _raster(panels[0], episode, kinds)
    _rates(panels[1], episode, kinds)
    _potentials(panels[2], episode)
    _reward(panels[3], episode)
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    panels[-1].set_xlabel("time (ms)")
    panels[-1].set_xlim(0, int(episode.get_behavior()["timesteps"][-1]) + 1)
    _way(figure.add_subplot(grid[0:2, 1]), episode)
    _weights(figure.add_subplot(grid[2:, 1]), experiment)
    figure.suptitle(f"{experiment.h5_path.parent.name}, last episode")
    figure.savefig(path, dpi=110)
    return path


def _raster(axes: Any, episode: EpisodeData, kinds: Any) -> None:
    spikes = episode.get_spikes()
    for kind, color in COLORS.items():
        mine = kinds[spikes["neuron_ids"]] == kind
        axes.plot(spikes["timesteps"][mine], spikes["neuron_ids"][mine], ".", ms=2, mew=0, color=color)
        axes.plot([], [], "s", ms=5, color=color, label=kind)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=4, frameon=False, fontsize=8, handletextpad=0.1)
    axes.set_ylabel("neuron")
    axes.set_ylim(0, len(kinds))


def _rates(axes: Any, episode: EpisodeData, kinds: Any) -> None:
    spikes = episode.get_spikes()
    end = int(episode.get_behavior()["timesteps"][-1]) + 1
    edges = np.arange(0, end + RATE_WINDOW, RATE_WINDOW)
    for kind, color in COLORS.items():
        times = spikes["timesteps"][kinds[spikes["neuron_ids"]] == kind]
        # the last window may be cut by the episode's end: divide by what it really covers
        widths = np.diff(np.minimum(edges, end))
        counts = np.histogram(times, edges)[0]
        axes.stairs(counts / widths / (kinds == kind).sum() * 1000, edges, color=color, baseline=None)
    axes.set_ylabel("rate (Hz)")


def _potentials(axes: Any, episode: EpisodeData) -> None:
    states = episode.get_neural_states()
    neuron = states["v"].shape[1] - 25
    axes.plot(states["timesteps"], states["v"][:, neuron], lw=0.7, color=COLORS["output"])
    axes.set_ylabel(f"v of neuron {neuron}\n(mV)")


def _reward(axes: Any, episode: EpisodeData) -> None:
    rewards = episode.get_rewards()
    axes.plot(rewards["timesteps"], np.cumsum(rewards["rewards"]), color="black", lw=1)
    axes.set_ylabel("total reward")
    for time in episode.get_events("target_reached").get("timesteps", ()):
        axes.axvline(time, color="#cc79a7", lw=1, label="target reached")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[:1], labels[:1], loc="upper left", frameon=False, fontsize=8)


def _way(axes: Any, episode: EpisodeData) -> None:
    behavior = episode.get_behavior()
    points = axes.scatter(behavior["x"], behavior["y"], c=behavior["timesteps"], s=2, cmap="viridis")
    axes.figure.colorbar(points, ax=axes, label="time (ms)", shrink=0.8)
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), ":", color="grey", lw=0.8)
    axes.plot(0, 0, "k+")
    reached = episode.get_events("target_reached").get("position", np.empty((0, 2)))
    axes.plot(*np.reshape(reached, (-1, 2)).astype(float).T, "*", ms=10, color="#cc79a7")
    axes.set_aspect("equal")
    axes.set_title("path of the agent, from + to targets on the circle (★)", fontsize=9)


def _weights(axes: Any, experiment: ExperimentLoader) -> None:
    start = 0
    for number in experiment.list_episodes():
        episode = experiment.get_episode(number)
        changes = episode.get_weight_changes()
        if changes:
            axes.plot(
                start + changes["timesteps"],
                changes["new_weights"],
                ".",
                ms=1.5,
                color="black",
                rasterized=True,
            )
        start += int(episode.get_metadata()["total_timesteps"])
        axes.axvline(start, color="grey", lw=0.5)
    axes.set_xlabel("time over all episodes (ms)")
    axes.set_ylabel("new weight")
    axes.set_title("weight changes, all episodes (lines: their ends)", fontsize=9)
