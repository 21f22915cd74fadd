"""pandas, Arrow and Parquet: streams, spikes, rewards, weight changes and events as tables."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.aside import aside
from loaders.interchange.columns import Block, blocks, check_name, tables, together
from loaders.interchange.extra import library
from loaders.interchange.facts import check_known, chosen, free_name
from recorder.errors import ExportError
from recorder.format.document import dumps
from recorder.format.layout import TIMESTEPS

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader

EXTRA = "arrow"
GROUP_ROWS = 1 << 20
PARTITION = "episode"
"""The column that readers of Parquet make of the folders."""


def to_pandas(episode: EpisodeData, name: str) -> Any:
    """See :meth:`loaders.EpisodeData.to_pandas`."""
    pandas = library("pandas", "pandas")
    check_name(episode, name)
    found = together(blocks(episode, name))
    index = pandas.Index(found.pop(TIMESTEPS), name=TIMESTEPS)
    wide = [key for key, values in found.items() if values.ndim > 1]
    if not wide:
        return pandas.DataFrame(found, index=index)
    if len(found) > 1:
        raise ExportError(
            f"{name} of {episode!r} has rows of arrays in {', '.join(wide)}: ask for to_arrow()"
        )
    (values,) = found.values()
    if values.ndim == 2:
        return pandas.DataFrame(values, index=index, columns=pandas.RangeIndex(values.shape[1]))
    places = pandas.MultiIndex.from_product([range(length) for length in values.shape[1:]])
    return pandas.DataFrame(values.reshape(len(values), -1), index=index, columns=places)


def to_arrow(episode: EpisodeData, name: str) -> Any:
    """See :meth:`loaders.EpisodeData.to_arrow`."""
    arrow = library("pyarrow", EXTRA)
    check_name(episode, name)
    return arrow.Table.from_batches(list(_batches(episode, name)))


def to_parquet(
    recording: ExperimentLoader,
    folder: str | os.PathLike[str],
    episodes: Iterable[int] | None,
    only: Collection[str] | None,
) -> Path:
    """See :meth:`loaders.ExperimentLoader.to_parquet`."""
    from tqdm import tqdm

    arrow, parquet = library("pyarrow", EXTRA), library("pyarrow.parquet", EXTRA)
    exported = [recording.get_episode(number) for number in chosen(recording, episodes)]
    work = [(episode, name) for episode in exported for name in tables(episode)]
    check_known(recording, only, (name for _, name in work), "only")
    work = [(episode, name) for episode, name in work if only is None or name in only]
    target = Path(folder)
    with aside(target, folder=True) as part:
        for episode, name in tqdm(work, desc="Parquet", unit="table", delay=1.0, leave=False, disable=None):
            if ".." in name.split("/"):
                raise ExportError(f"{name!r} of {episode!r} is no name for a folder")
            place = part / name / f"{PARTITION}={episode.episode_id}"
            place.mkdir(parents=True)
            _write(parquet, place / "part-0.parquet", _batches(episode, name, PARTITION))
        about = {"metadata": recording.get_metadata(), "config": recording.get_config()}
        known = {episode.episode_id: episode for episode in exported}
        table = _episodes(arrow, [row for row in recording.episodes if row.episode_id in known])
        parquet.write_table(
            table.replace_schema_metadata({"flightrec": dumps(about)}), part / "episodes.parquet"
        )
    return target


def _write(parquet: Any, path: Path, batches: Iterator[Any]) -> None:
    first = next(batches)
    waiting, rows = [first], first.num_rows
    arrow = library("pyarrow", EXTRA)
    # Row groups of a block each would be many and small where rows are wide or spikes are rare.
    with parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for batch in batches:
            if rows + batch.num_rows > GROUP_ROWS or sum(b.nbytes for b in waiting) > 64 << 20:
                writer.write_table(arrow.Table.from_batches(waiting), row_group_size=GROUP_ROWS)
                waiting, rows = [], 0
            waiting.append(batch)
            rows += batch.num_rows
        writer.write_table(arrow.Table.from_batches(waiting), row_group_size=GROUP_ROWS)


def _episodes(arrow: Any, rows: Sequence[Any]) -> Any:
    names = [name for name in rows[0].__dataclass_fields__ if name != "summary"] if rows else ["episode_id"]
    found = {name: [getattr(row, name) for row in rows] for name in names}
    summaries = [dumps(row.summary).decode("ascii") for row in rows]
    return arrow.table({**found, "summary": arrow.array(summaries, arrow.string())})


def _batches(episode: EpisodeData, name: str, reserved: str = "") -> Iterator[Any]:
    arrow = library("pyarrow", EXTRA)
    about = {"stream": name, "episode": str(episode.episode_id)}
    for block in blocks(episode, name):
        arrays = _arrays(arrow, name, block)
        fields = [(free_name(key, {reserved}, arrays), array.type) for key, array in arrays.items()]
        schema = arrow.schema(fields, metadata=about)
        yield arrow.RecordBatch.from_arrays(list(arrays.values()), schema=schema)


def _arrays(arrow: Any, name: str, block: Block) -> dict[str, Any]:
    return {key: _array(arrow, f"{name}: {key}", values) for key, values in block.items()}


def _array(arrow: Any, what: str, values: NDArray[Any]) -> Any:
    if values.dtype.kind == "O":
        return arrow.array(values, arrow.string())
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        raise ExportError(f"{what} is {values.dtype}, for which Arrow has no type")
    if 0 in values.shape[1:]:
        raise ExportError(f"{what} has rows of shape {values.shape[1:]}, for which Arrow has no type")
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    array = arrow.array(native.reshape(-1))
    for length in reversed(native.shape[1:]):
        array = arrow.FixedSizeListArray.from_arrays(array, length)
    return array
