"""Range reads of committed rows: the door to the room ``reading`` for loaders.

``RecordingFile`` is the lazily opened file, ``StoredEpisode`` an episode with its valid rows and
clocks, ``read_rows`` a range of any dataset, and ``stored_spikes``, ``stored_rewards``,
``weight_columns`` and ``iter_events`` decode a stream by the encoding that its attribute names.
"""

from recorder.h5.reading.chunks import Select
from recorder.h5.reading.episode import EpisodeIndex, StoredEpisode
from recorder.h5.reading.guard import (
    attributes,
    check_attribute,
    check_once,
    check_tree,
    child_dataset,
    child_group,
    damage,
    names,
)
from recorder.h5.reading.handle import RecordingFile
from recorder.h5.reading.rewards import PlainRewards, RewardRows, stored_rewards
from recorder.h5.reading.rows import read_rows
from recorder.h5.reading.spikes import SpikeRows, SpikeSlice, stored_spikes
from recorder.h5.reading.tables import (
    event_clock,
    event_rows,
    has_events,
    iter_events,
    weight_clock,
    weight_columns,
    weight_rows,
)

__all__ = [
    "EpisodeIndex",
    "PlainRewards",
    "RecordingFile",
    "RewardRows",
    "Select",
    "SpikeRows",
    "SpikeSlice",
    "StoredEpisode",
    "attributes",
    "check_attribute",
    "check_once",
    "check_tree",
    "child_dataset",
    "child_group",
    "damage",
    "event_clock",
    "event_rows",
    "has_events",
    "iter_events",
    "names",
    "read_rows",
    "stored_rewards",
    "stored_spikes",
    "weight_clock",
    "weight_columns",
    "weight_rows",
]
