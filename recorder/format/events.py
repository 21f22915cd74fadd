"""Events: a type and its data as one document."""

from __future__ import annotations

from typing import Any

from recorder.errors import DamagedError, InputError
from recorder.format.document import dumps, loads


def encode_event(event_type: Any, data: Any) -> bytes:
    """One event as document bytes, ``{"type": text, "data": {...}}``; nothing of ``data`` is kept.

    Raises
    ------
    InputError
        The type is no text, the data no mapping, or holds what a document cannot.
    """
    if not isinstance(event_type, str):
        raise InputError("events", "event_type as str", f"{type(event_type).__name__} {event_type!r}")
    if not hasattr(data, "items"):
        raise InputError("events", "data as a dict", type(data).__name__)
    kind = dumps(str.__str__(event_type), "event_type")
    return b'{"type":%b,"data":%b}' % (kind, dumps(data, f"events.{event_type}"))


def decode_event(data: bytes) -> tuple[str, dict[Any, Any]]:
    """Type and data of one event.

    Raises
    ------
    DamagedError
        The bytes are no event.
    """
    event = loads(data)
    if not isinstance(event, dict) or event.keys() != {"type", "data"}:
        raise DamagedError("no event: a document with other keys than type and data")
    if not isinstance(event["type"], str) or not isinstance(event["data"], dict):
        raise DamagedError("no event: its type is no text or its data no mapping")
    return event["type"], event["data"]
