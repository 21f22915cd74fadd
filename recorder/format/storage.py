"""Where things stand in a store of network states: groups, attribute names, kinds and ids.

The written specification is section 9 of ``README.md`` beside this file; this module is its only
copy in code.
"""

from __future__ import annotations

from dataclasses import dataclass

STORE_FORMAT = "flightrec-storage"
STORE_VERSION = "1.0"
LAYOUT_VERSION = "1.0"
"""Root attribute ``version``: the layout of groups and names, which older files have too."""

STORE_ID = "store"
"""Root attribute: what a file and those that were rotated away from it have in common."""
ROTATED = "rotated"
"""Root document: the files that were rotated away, oldest first."""
INDEX = "index"
ROWS, NAMES, BLOCKS = "rows", "names", "blocks"
TIMESTAMP = "timestamp"
EARLIEST = 1e8
"""Seconds since 1970 that a clock can show, from March 1973 on; what is below is a run's own time."""
METADATA_DOCUMENT = "metadata"
META, PARAM = "meta_", "param_"
"""Beginnings of attributes that repeat plain entries of a document, for the eye and for older programs."""
PARAMETERS = "parameters"
SCALAR = "scalar"
"""Attribute of a dataset of one value that was given without dimensions."""
CONTENT = "content"
"""Attribute of a dataset that others may share: a hash of dtype, shape and bytes."""
GIVEN = "given"

SKELETON = (
    "network_states/topology",
    "network_states/weights",
    "network_states/neuron_states",
    "spike_trains/raw_data",
    "spike_trains/compressed",
    "spike_trains/metadata",
    "activations/reservoir_states",
    "activations/layer_outputs",
    "activations/attention_maps",
    "learning_traces/plasticity",
    "learning_traces/homeostatic",
    "learning_traces/performance",
    "checkpoints",
)
"""Groups of every store; ``checkpoints`` is missing in older ones."""
MAIN_GROUPS = ("activations", "learning_traces", "network_states", "spike_trains")

MAX_SIBLING_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of object.

    Attributes
    ----------
    name : str
    places : tuple of str
        Groups in which an object stands under its id; the first has its attributes.
    prefix : str
        What ids begin with; empty where each object brings a label for that.
    label : str
        Attribute that holds the label; empty where there is none.
    noun : str
        What messages call it.
    """

    name: str
    places: tuple[str, ...]
    prefix: str
    label: str
    noun: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("snapshot", SKELETON[:3], "snapshot", "", "Network snapshot"),
        Kind("spike_train", ("spike_trains/raw_data",), "train", "", "Spike train"),
        Kind("compressed", ("spike_trains/compressed",), "compressed", "", "Compressed spike train"),
        Kind("reservoir", ("activations/reservoir_states",), "", "reservoir_id", "Reservoir states"),
        Kind("layer_outputs", ("activations/layer_outputs",), "outputs", "", "Layer outputs"),
        Kind("attention", ("activations/attention_maps",), "", "attention_id", "Attention map"),
        Kind("plasticity", ("learning_traces/plasticity",), "", "plasticity_type", "Plasticity trace"),
        Kind("homeostatic", ("learning_traces/homeostatic",), "", "mechanism", "Homeostatic trace"),
        Kind("performance", ("learning_traces/performance",), "", "task_type", "Performance metrics"),
        Kind("checkpoint", ("checkpoints",), "checkpoint", "", "Checkpoint"),
    )
}


def milliseconds(timestamp: float) -> int:
    """The part of a timestamp that ids have."""
    return int(timestamp * 1000)


def base_id(label: str, timestamp: float) -> str:
    """The id of the first object of a label and millisecond."""
    return f"{label}_{milliseconds(timestamp)}"


def sibling_id(base: str, number: int) -> str:
    """The id of a further object of the same millisecond, from 1 on.

    With leading zeros, so that ids of one millisecond sort as text: the first million of them.
    """
    return f"{base}_{number:0{MAX_SIBLING_DIGITS}d}"
