"""The demo's simulation: a spiking network that learns to steer an agent, in plain NumPy.

Leaky integrate-and-fire neurons with random connections; four pools of output neurons push an
agent in the plane, inputs tell them where the target lies. Synapses from input to output keep an
eligibility trace of coincident spikes (pre before post), which the reward turns into weight
changes: the usual three-factor rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recorder import DataExporter

N_INPUT, N_HIDDEN, N_OUTPUT = 40, 170, 40
N = N_INPUT + N_HIDDEN + N_OUTPUT
INPUT, OUTPUT = slice(0, N_INPUT), slice(N - N_OUTPUT, N)
DIRECTIONS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
V_REST, V_THRESHOLD, V_RESET = -65.0, -50.0, -60.0  # mV
CONNECTED = 0.1
CONFIG = {
    "n_neurons": N,
    "dt_ms": 1.0,
    "tau_membrane_ms": 20.0,
    "tau_synapse_ms": 5.0,
    "v_mV": {"rest": V_REST, "threshold": V_THRESHOLD, "reset": V_RESET},
    "connection_probability": CONNECTED,
    "plasticity": {"rule": "reward-modulated STDP", "learning_rate": 0.02, "tau_eligibility_ms": 200.0},
    "reward": "distance to the target gained in this step; +1 when it is reached",
}


class Network:
    """State and one time step of the network with its agent."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.inhibitory = np.zeros(N, bool)
        self.inhibitory[N_INPUT : N_INPUT + N_HIDDEN // 5] = True
        connected = self.rng.random((N, N)) < CONNECTED
        np.fill_diagonal(connected, False)
        connected[:, INPUT] = False
        connected[INPUT, OUTPUT] = True
        self.weights = np.where(connected, self.rng.uniform(0.5, 1.5, (N, N)), 0.0)
        self.weights[self.inhibitory] *= -4.0
        self.weights += 0.0  # makes -0.0, which would be stored as a weight, 0.0
        # every input cell prefers a direction, every output cell pushes in one of the four; the
        # synapses between them begin with a faint idea of what belongs together
        self.preferred = np.linspace(0, 2 * np.pi, N_INPUT, endpoint=False)
        self.pushes = DIRECTIONS[np.arange(N_OUTPUT) % len(DIRECTIONS)]
        headings = np.column_stack([np.cos(self.preferred), np.sin(self.preferred)])
        hint = 0.3 * headings @ self.pushes.T
        self.weights[INPUT, OUTPUT] = np.clip(self.rng.normal(0.6, 0.2, hint.shape) + hint, 0.0, None)
        self.weights[N_INPUT : OUTPUT.start, OUTPUT] *= 0.3
        self.reset()

    def reset(self) -> None:
        """A new episode: potentials scattered, agent in the middle, a new target."""
        self.v = self.rng.uniform(V_REST, V_THRESHOLD, N)
        self.current = np.zeros(N)
        self.trace = np.zeros(N)
        self.eligibility = np.zeros((N_INPUT, N_OUTPUT))
        self.position = np.zeros(2)
        self.velocity = np.zeros(2)
        self.new_target()

    def new_target(self) -> None:
        """A target somewhere on the circle of radius 1 around the origin."""
        angle = self.rng.uniform(0, 2 * np.pi)
        self.target = np.array([np.cos(angle), np.sin(angle)])

    def step(self) -> tuple[NDArray[np.bool_], float, bool]:
        """One millisecond: the neurons that fire, the reward, and whether the target was reached."""
        offset = self.target - self.position
        heading = np.arctan2(offset[1], offset[0])
        drive = np.full(N, 12.5)
        drive[INPUT] = 10.0 + 14.0 * np.clip(np.cos(self.preferred - heading), 0.0, 1.0)
        noise = self.rng.normal(0.0, 1.2, N)
        self.v += (V_REST - self.v + drive + self.current) / 20.0 + noise
        fired = self.v >= V_THRESHOLD
        self.v[fired] = V_RESET
        self.current += self.weights[fired].sum(axis=0) - self.current / 5.0
        self.trace += fired - self.trace / 20.0
        self.eligibility += np.outer(self.trace[INPUT], fired[OUTPUT]) - self.eligibility / 200.0

        before = float(np.hypot(*offset))
        self.velocity += 0.01 * fired[OUTPUT] @ self.pushes - self.velocity / 50.0
        self.position = self.position + 0.05 * self.velocity
        after = float(np.hypot(*(self.target - self.position)))
        reached = after < 0.1
        reward = before - after + (1.0 if reached else 0.0)
        if reached:
            self.new_target()
        return fired, reward, reached

    def learn(self, reward: float) -> list[tuple[int, int, float, float]]:
        """Turn eligibility into weight changes; the ten largest as (source, target, old, new)."""
        change = 0.02 * reward * self.eligibility
        largest = np.argsort(np.abs(change), axis=None)[-10:]
        changes = []
        for source, target in zip(*np.unravel_index(largest, change.shape), strict=True):
            row, column = int(source), int(target) + OUTPUT.start
            old = float(self.weights[row, column])
            new = float(np.clip(old + change[source, target], 0.0, 3.0))
            if new != old:
                self.weights[row, column] = new
                changes.append((row, column, old, new))
        return changes


def record(exporter: DataExporter, network: Network, episodes: int, steps: int) -> None:
    """Run the network and record everything about it."""
    exporter.save_config(CONFIG)
    exporter.save_metadata({"purpose": "what `flightrec demo` shows"})
    sources, targets = np.nonzero(network.weights)
    exporter.save_network_structure(*_structure(network, sources, targets), network.weights)
    for _ in range(episodes):
        network.reset()
        exporter.start_episode()
        reached = _episode(exporter, network, steps)
        exporter.end_episode(success=reached > 0, summary={"targets_reached": reached})


def _episode(exporter: DataExporter, network: Network, steps: int) -> int:
    reached = 0
    gained = 0.0
    for t in range(steps):
        fired, reward, hit = network.step()
        exporter.log(
            timestep=t,
            neural_state={"v": network.v, "current": network.current},
            spikes=fired,
            behavior={"x": network.position[0], "y": network.position[1]},
            reward=reward,
        )
        gained += reward
        if hit:
            reached += 1
            exporter.log(
                timestep=t, event_type="target_reached", data={"position": network.position, "n": reached}
            )
        if hit or t % 50 == 49:
            for source, target, old, new in network.learn(gained):
                exporter.log(timestep=t, synapse_id=(source, target), old_weight=old, new_weight=new)
            gained = 0.0
    return reached


def _structure(
    network: Network, sources: NDArray[Any], targets: NDArray[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    kinds = np.full(N, "hidden", dtype="U10")
    kinds[INPUT], kinds[OUTPUT] = "input", "output"
    kinds[network.inhibitory] = "inhibitory"
    neurons = {"neuron_ids": np.arange(N), "neuron_types": kinds, "threshold": np.full(N, V_THRESHOLD)}
    connections = {"source_ids": sources, "target_ids": targets, "weights": network.weights[sources, targets]}
    return neurons, connections
