"""What a dataset of question and source embeddings with steering vectors consists of, and where it stands.

Fields are named by the stems of their ``.pt`` files. The layout of ``dataset.h5`` is described in
``loaders/README.md``; this module is its only copy in code.
"""

from __future__ import annotations

from dataclasses import dataclass

DATASET_FILE = "dataset.h5"
CONFIG_FILE = "config.json"
DRAFT_SUFFIX = ".new"

CONFIG = "config"
"""Root dataset with the text of ``config.json``, as a record: what counts stands in the file beside."""

PAIRS, QUESTIONS, SOURCES, KEYWORDS, CENTROIDS = "pairs", "questions", "sources", "keywords", "centroids"
DIMENSION, NEGATIVES = "embedding_dim", "n_neg"


@dataclass(frozen=True, slots=True)
class Field:
    """One tensor of the dataset.

    Attributes
    ----------
    stem : str
        Name of its ``.pt`` file, without the ending.
    paths : tuple of str
        Where it stands in ``dataset.h5``: where it is written, then where older files have it.
    kind : "f" or "i"
        Whether its values are floats or integers.
    rows : str
        What its rows stand for: fields of the same rows have the same length.
    width : str or int or None
        Values a row: a name of the configuration or a number; None where rows are single values.
    """

    stem: str
    paths: tuple[str, ...]
    kind: str
    rows: str
    width: str | int | None = None

    @property
    def path(self) -> str:
        """Where it is written in ``dataset.h5``."""
        return self.paths[0]

    @property
    def large(self) -> bool:
        """Whether most of a dataset's bytes may be its."""
        return self.width in (DIMENSION, NEGATIVES)


FIELDS = {
    field.stem: field
    for field in (
        Field("question_embs", ("embeddings/questions",), "f", QUESTIONS, DIMENSION),
        Field("source_embs", ("embeddings/sources",), "f", SOURCES, DIMENSION),
        Field("keyword_embs", ("embeddings/keywords",), "f", KEYWORDS, DIMENSION),
        Field("centroid_embs", ("embeddings/centroids",), "f", CENTROIDS, DIMENSION),
        Field("pair_index", ("pair_data/index",), "i", PAIRS, 2),
        Field("pair_cluster_id", ("pair_data/cluster_id",), "i", PAIRS),
        Field("pair_relevance", ("pair_data/relevance",), "f", PAIRS),
        Field("hard_negatives", ("negatives/hard", "negatives/hardnegatives"), "i", PAIRS, NEGATIVES),
        Field("negative_tiers", ("negatives/tiers",), "i", PAIRS, NEGATIVES),
        Field("steering_centroid", ("steering/centroid",), "f", PAIRS, DIMENSION),
        Field("steering_keyword_weighted", ("steering/keyword_weighted",), "f", PAIRS, DIMENSION),
        Field("steering_residual", ("steering/residual",), "f", PAIRS, DIMENSION),
        Field("centroid_distances", ("steering/distances",), "f", PAIRS),
    )
}
"""All but the keyword lists and the splits."""

KEYWORD_LISTS = "pair_keyword_ids"
"""Stem of the lists of keywords, which differ in length."""
KEYWORD_GROUP = "pair_data/keyword_ids"
VALUES, OFFSETS = "values", "offsets"
"""All lists one after the other (int32), and where each begins and the last one ends (int64). Older files
have a dataset for each list instead, named by its number."""

SPLITS = ("train", "val", "test")
SPLIT_GROUP = "splits"

STEERINGS = ("steering_centroid", "steering_keyword_weighted", "steering_residual")
HARD_NEGATIVES = ("hard_negatives", "negative_tiers")
"""What is drawn anew while a model is trained."""


def split_stem(split: str) -> str:
    """Stem of a split's ``.pt`` file."""
    return f"{split}_idx"


def tensor_file(stem: str) -> str:
    """Name of a field's ``.pt`` file."""
    return f"{stem}.pt"
