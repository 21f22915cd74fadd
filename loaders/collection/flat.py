"""Nested mappings as columns of a table, by dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(prefix: str, value: Any, into: dict[str, Any]) -> dict[str, Any]:
    """Put the leaves of a nested mapping into ``into``, under keys like ``config.optimizer.lr``.

    Lists, arrays and empty mappings are leaves. Where two paths give one key (a key has a dot in it),
    the first stays.
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            flatten(f"{prefix}.{key}", inner, into)
    else:
        into.setdefault(prefix, value)
    return into
