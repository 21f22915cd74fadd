"""MCAP: a protobuf message a step, chunks of 1 MB, zstd, as the writer has it by default.

Follows https://mcap.dev/guides/python/protobuf (``mcap_protobuf.writer.Writer``). Arrays travel as ``bytes``,
as in Foxglove's own schemas for images and point clouds. Truncated files are read by ``StreamReader``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from mcap.reader import NonSeekingReader
from mcap_protobuf.decoder import DecoderFactory
from mcap_protobuf.writer import Writer

from peer.protocol import Array, Part
from peer.work import Work

KINDS = descriptor_pb2.FieldDescriptorProto
STEP = {"episode": KINDS.TYPE_INT32, "t": KINDS.TYPE_INT64, "x": KINDS.TYPE_DOUBLE, "y": KINDS.TYPE_DOUBLE}
STEP |= {"reward": KINDS.TYPE_DOUBLE, "spikes": KINDS.TYPE_BYTES}
POTENTIALS = {
    "episode": KINDS.TYPE_INT32,
    "t": KINDS.TYPE_INT64,
    "v": KINDS.TYPE_BYTES,
    "dtype": KINDS.TYPE_STRING,
}


def _messages(**kinds: dict[str, Any]) -> list[Any]:
    """Message classes of the names and fields, without a compiler."""
    file = descriptor_pb2.FileDescriptorProto(name="peers.proto", package="peers", syntax="proto3")
    for name, fields in kinds.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            message.field.add(name=field, number=number, type=kind, label=KINDS.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"peers.{name}")) for name in kinds]


Step, Potentials = _messages(Step=STEP, Potentials=POTENTIALS)


class Recorder:
    """Two topics; ``log_time`` counts the steps of the recording."""

    def __init__(self, folder: Path, work: Work) -> None:
        self._file = (folder / "data.mcap").open("wb")
        self._writer = Writer(self._file)
        self._work, self._ids = work, work.neuron_dtype
        self._lists = work.spikes_as == "indices"
        self._episode, self._time = -1, 0

    def start_episode(self) -> None:
        """Count it."""
        self._episode += 1

    def log(self, t: int, v: Array, spikes: Array, x: float, y: float, reward: float) -> None:
        """One or two messages."""
        indices = spikes if self._lists else spikes.nonzero()[0]
        raw = indices.astype(self._ids).tobytes()
        time, self._time = self._time, self._time + 1
        if not t % self._work.sampling:
            kept = Potentials(episode=self._episode, t=t, v=v.tobytes(), dtype=v.dtype.str)
            self._writer.write_message("/potentials", kept, time, time)
        step = Step(episode=self._episode, t=t, x=x, y=y, reward=reward, spikes=raw)
        self._writer.write_message("/step", step, time, time)

    def end_episode(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Write the index."""
        self._writer.finish()
        self._file.close()


def read(folder: Path) -> Iterator[Part]:
    """Message by message, in pieces, up to a chunk that is cut off."""
    found: list[Any] = []
    with (folder / "data.mcap").open("rb") as file:
        reader = NonSeekingReader(file, decoder_factories=[DecoderFactory()])
        try:
            for decoded in reader.iter_decoded_messages(log_time_order=False):
                found.append(decoded.decoded_message)
                if len(found) >= 10_000:
                    yield _part(found)
                    found = []
        finally:
            if found:
                yield _part(found)


def _part(messages: list[Any]) -> Part:
    steps = [message for message in messages if hasattr(message, "spikes")]
    kept = [np.frombuffer(message.v, message.dtype) for message in messages if hasattr(message, "dtype")]
    ids = np.uint16
    return Part(
        counts=np.array([len(step.spikes) // 2 for step in steps]),
        neurons=np.frombuffer(b"".join(step.spikes for step in steps), ids),
        x=np.array([step.x for step in steps]),
        y=np.array([step.y for step in steps]),
        reward=np.array([step.reward for step in steps]),
        v=np.stack(kept) if kept else None,
    )
