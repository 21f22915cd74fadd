"""What must hold of a dataset: checked when it is loaded, and more strictly when that is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from loaders.steering.config import Settings
from loaders.steering.keywords import KeywordLists
from loaders.steering.residency import Residency
from loaders.steering.sources import Rows
from recorder.errors import DamagedError
from recorder.format.embeddings import (
    CENTROIDS,
    DIMENSION,
    FIELDS,
    KEYWORD_LISTS,
    KEYWORDS,
    NEGATIVES,
    PAIRS,
    QUESTIONS,
    SOURCES,
    STEERINGS,
    Field,
)

_BLOCK = 4 << 20
DISTANCE_ROUNDING = 1e-3
"""Cosine distances of float32 leave their bounds by about as much."""
_BOUNDS = {
    "pair_relevance": (0.0, 1.0),
    "negative_tiers": (1, 4),
    "centroid_distances": (-DISTANCE_ROUNDING, 2.0 + DISTANCE_ROUNDING),
}
_REFERENCES = (
    ("hard_negatives", SOURCES, "source"),
    ("pair_cluster_id", CENTROIDS, "cluster"),
)
_KIND = {"f": "floats", "i": "signed integers"}
_COUNTED_BY = {
    PAIRS: "pair_index",
    QUESTIONS: "question_embs",
    SOURCES: "source_embs",
    KEYWORDS: "keyword_embs",
    CENTROIDS: "centroid_embs",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What is checked.

    Attributes
    ----------
    tensors : mapping of str to tensor
    keywords : KeywordLists
    splits : mapping of str to tensor
    label : callable
        What messages call a tensor.
    residency : Residency or None
        Of mapped tensors.
    """

    tensors: Mapping[str, Rows]
    keywords: KeywordLists
    splits: Mapping[str, torch.Tensor]
    label: Callable[[str], str]
    residency: Residency | None = None

    def count(self, rows: str) -> int:
        """How many pairs, questions and so on there are."""
        return len(self.tensors[_COUNTED_BY[rows]])


def faults(parts: Parts, settings: Settings, *, mapped: bool) -> Iterator[str]:
    """Everything that keeps a dataset from being used, the most basic first.

    Of tensors that are mapped, floats are not looked at here: that would read all of the file.
    """
    broken = [text for stem in FIELDS for text in shape_faults(parts, settings, stem)]
    yield from broken
    if broken:
        return
    if len(parts.keywords) != parts.count(PAIRS):
        yield f"{KEYWORD_LISTS} has {len(parts.keywords)} entries, expected {parts.count(PAIRS)}"
    for place, rows, noun in ((0, QUESTIONS, "question"), (1, SOURCES, "source")):
        low, high = bounds(parts, "pair_index", place)
        yield from _references("pair_index", low, high, parts.count(rows), noun)
    for stem, rows, noun in _REFERENCES:
        yield from _references(stem, *bounds(parts, stem), parts.count(rows), noun)
    if len(parts.keywords.values):
        low, high = int(parts.keywords.values.min()), int(parts.keywords.values.max())
        yield from _references(KEYWORD_LISTS, low, high, parts.count(KEYWORDS), "keyword")
    for name, pairs in parts.splits.items():
        if pairs.ndim != 1 or not _is_of_kind(pairs.dtype, FIELDS["pair_index"]):
            yield f"split {name} is {pairs.dtype} {tuple(pairs.shape)}, expected one axis of {_KIND['i']}"
            continue
        low, high = (int(end) for end in pairs.aminmax()) if len(pairs) else (0, -1)
        yield from _references("Split indices", low, high, parts.count(PAIRS), "pair")
    for stem in FIELDS:
        if stem in _BOUNDS or (FIELDS[stem].kind == "f" and not mapped):
            yield from value_faults(parts, stem)


def refuse(folder: Path, found: Iterator[str]) -> None:
    """Raise the first of what was found.

    Raises
    ------
    DamagedError
        Something was.
    """
    for text in found:
        raise DamagedError(f"{text} (in {folder})")


def negatives_faults(parts: Parts, settings: Settings) -> Iterator[str]:
    """As :func:`faults`, of what is drawn anew while a model is trained."""
    stems = ("hard_negatives", "negative_tiers")
    broken = [text for stem in stems for text in shape_faults(parts, settings, stem)]
    yield from broken
    if not broken:
        yield from _references(stems[0], *bounds(parts, stems[0]), parts.count(SOURCES), "source")
        yield from value_faults(parts, stems[1])


def shape_faults(parts: Parts, settings: Settings, stem: str) -> Iterator[str]:
    """What is wrong with a tensor's type, axes and length."""
    field, tensor, label = FIELDS[stem], parts.tensors[stem], parts.label(stem)
    axes = 1 if field.width is None else 2
    if not _is_of_kind(tensor.dtype, field):
        yield f"{label} has values of {tensor.dtype}, expected {_KIND[field.kind]}"
    if tensor.ndim != axes:
        yield f"{label} has {tensor.ndim} dimensions, expected {axes}"
        return
    width = {DIMENSION: settings.dimension, NEGATIVES: settings.negatives}.get(str(field.width), field.width)
    if axes == 2 and tensor.shape[1] != width:
        yield f"{label} dimension 1 has size {tensor.shape[1]}, expected {width}"
    if field.rows == PAIRS and len(tensor) != parts.count(PAIRS):
        yield f"{stem} has {len(tensor)} entries, expected {parts.count(PAIRS)}"
    if stem in STEERINGS and tensor.dtype != parts.tensors[STEERINGS[0]].dtype:
        yield f"{label} has values of {tensor.dtype}, and {STEERINGS[0]} others"


def value_faults(parts: Parts, stem: str) -> Iterator[str]:
    """Values that cannot be, or are no numbers."""
    low, high = bounds(parts, stem)
    if not (math.isfinite(low) and math.isfinite(high)):
        yield f"{parts.label(stem)} has NaN or infinite values"
    elif stem in _BOUNDS and not _BOUNDS[stem][0] <= low <= high <= _BOUNDS[stem][1] and low <= high:
        least, most = _BOUNDS[stem]
        wrong = low if low < least else high
        yield f"{parts.label(stem)} has the value {wrong}, expected {round(least)} to {round(most)}"


def bounds(parts: Parts, stem: str, column: int | None = None) -> tuple[float, float]:
    """Least and greatest value of a tensor or one of its columns; NaN if one is, (0, -1) if there is none."""
    low: float = math.inf
    high: float = -math.inf
    for block in blocks(parts, stem):
        part = block if column is None else block[:, column]
        if part.numel():
            least, most = (end.item() for end in part.aminmax())
            if not (math.isfinite(least) and math.isfinite(most)):
                return math.nan, math.nan
            low, high = min(low, least), max(high, most)
    return (low, high) if low <= high else (0, -1)


def blocks(parts: Parts, stem: str) -> Iterator[torch.Tensor]:
    """A tensor a few megabytes at a time, of which none stays in memory if it is mapped."""
    tensor = parts.tensors[stem]
    if isinstance(tensor, torch.Tensor) and parts.residency is None:
        yield tensor
        return
    width = max(1, math.prod(tensor.shape[1:])) * tensor.dtype.itemsize
    rows = max(1, _BLOCK // width)
    for start in range(0, len(tensor), rows):
        yield tensor[start : start + rows]
        if parts.residency is not None:
            parts.residency.looked_at(0, rows * width)
    if parts.residency is not None:
        parts.residency.let_go()


def _is_of_kind(dtype: torch.dtype, field: Field) -> bool:
    if field.kind == "f":
        return dtype.is_floating_point
    return dtype in (torch.int8, torch.int16, torch.int32, torch.int64)


def _references(what: str, low: float, high: float, count: int, noun: str) -> Iterator[str]:
    if low <= high and (low < 0 or high >= count):
        wrong = high if high >= count else low
        reason = f"only {count} {noun}s exist"
        yield (
            f"{what} reference pair {wrong}, but {reason}"
            if noun == "pair"
            else f"{what} references {noun} {wrong}, but {reason}"
        )
