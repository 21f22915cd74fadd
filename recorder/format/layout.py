"""Where things stand in a recording: paths, attribute names and the format version.

The written specification is ``README.md`` beside this file; this module is its only copy in code.
"""

from __future__ import annotations

import os
from pathlib import Path

FORMAT = "flightrec"
FORMAT_VERSION = "1.0"
SCHEMA_VERSION = "1.0.0"

DATA_FILE = "experiment_data.h5"
RING_SUFFIX = ".ring"
JOURNAL_SUFFIX = ".journal"
KEPT_SUFFIX = ".journal.kept"
LOCK_SUFFIX = ".lock"

METADATA = "metadata"
CONFIG = "config"
RUNTIME = "runtime"
GIT_INFO = "git_info"
CODE_SNAPSHOT = "code_snapshot"
NETWORK = "network_structure"
NEURONS = "neurons"
CONNECTIONS = "connections"
WEIGHTS = "initial_weights"
EPISODES = "episodes"
CHECKPOINTS = "checkpoints"
RANDOM_STATES = "random_states"
"""Group of documents: states of random generators, under the names of the checkpoints they go with."""
MERGED, SPLIT = "merged", "split"
"""Root documents of recordings that were put together from others: which, and which episode was which."""
RESUMED = "resumed"
"""Root document: when, after what and from where a recording was taken up again."""
ROOT_GROUPS = (METADATA, CONFIG, RUNTIME, NETWORK, EPISODES, CHECKPOINTS)

NEURAL = "neural_states"
SPIKES = "spikes"
BEHAVIOR = "behavior"
REWARDS = "rewards"
WEIGHT_CHANGES = "weight_changes"
EVENTS = "events"
EPISODE_GROUPS = (NEURAL, SPIKES, BEHAVIOR, REWARDS, WEIGHT_CHANGES, EVENTS)
FINAL_STATE = "final_state"

TIMESTEPS = "timesteps"
OWN_TIMESTEPS = "_timesteps"
"""Suffix of a stream's own timesteps, where it does not share its group's."""

FIRST, STEP = "first", "step"
"""Attributes of timesteps that count evenly: that of row ``i`` is ``first + step * i``."""
SORTED = "sorted"
"""Attribute of other timesteps of which none is less than the one before."""

PRECISION = "precision"
"""Attribute of a dataset whose values were rounded by request: how far any is from what was logged."""

COMMITTED = "committed"
"""Counters of a running episode; absent once the episode has ended and shapes are exact."""
COUNTER = "counter"
"""Attribute of a dataset: its index in ``COMMITTED``."""

DROPPED, RECOVERED_STEPS = "dropped_timesteps", "recovered_timesteps"
"""Attributes: steps that a policy let go, and that a repair brought back."""
UNVERIFIED = "unverified_timesteps"
"""Root attribute: of these, steps that a power cut may have changed before they were brought back."""
ACCOUNTS = "accounts"
"""Document of an episode that lost rows or got some back: ``ACCOUNT`` of each stream."""
ACCOUNT = ("logged", "committed", "recovered", "dropped")

DOCUMENT = "json"
ATTRIBUTE_LIMIT = 32 * 1024
"""A document above this many bytes is a dataset, below it an attribute."""

ENCODING = "format"
SPIKES_INTERVALS = "intervals"
SPIKES_EVENTS = "events"
REWARDS_RUNS = "runs"
REWARDS_VALUES = "values"
TABLE = "table"
EVENTS_JSON = "json"
WEIGHTS_CSR = "csr"
WEIGHTS_DENSE_1D = "dense_1d"
WEIGHTS_COLUMNS = "columns"

RUNNING, COMPLETED, RECOVERED, INTERRUPTED = "running", "completed", "recovered", "interrupted"
ENDED_BY = "ended_by"
"""Attribute beside the status ``interrupted``: name of the exception or signal."""


def companion(path: Path, suffix: str) -> Path:
    """Where what belongs to a file stands; of a link to a file, beside the file that it leads to."""
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    return path.with_name(path.name + suffix)


def episode_path(episode_id: int) -> str:
    """Path of an episode's group: four digits, more when they are needed."""
    return f"{EPISODES}/episode_{episode_id:04d}"
