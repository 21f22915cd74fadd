"""Episodes at a glance: one row of plain values each, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, overload

from recorder.format.printable import printable

_HIDDEN = ("end_time", "summary")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """What a recording says about an episode; None where it does not say.

    ``total_timesteps`` counts calls of ``log``, ``total_reward`` is their sum in order. ``summary`` is
    what was given when the episode ended. A running episode has none of the totals yet.
    """

    episode_id: int
    status: str | None = None
    success: bool | None = None
    total_timesteps: int | None = None
    total_spikes: int | None = None
    total_reward: float | None = None
    total_weight_changes: int | None = None
    total_events: int | None = None
    start_time: str | None = None
    end_time: str | None = None
    summary: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, episode_id: int, facts: dict[str, Any], summary: Any) -> EpisodeSummary:
        """From an episode's attributes and the summary given at its end."""
        own = {item.name for item in fields(cls)} - {"summary", "episode_id"}
        return cls(episode_id, **{key: facts[key] for key in own & facts.keys()}, summary=summary)


class EpisodeTable(Sequence[EpisodeSummary]):
    """All episodes of a recording, ascending by id; prints as a table."""

    def __init__(self, rows: Sequence[EpisodeSummary]) -> None:
        self._rows = rows

    @overload
    def __getitem__(self, index: int) -> EpisodeSummary: ...
    @overload
    def __getitem__(self, index: slice) -> EpisodeTable: ...
    def __getitem__(self, index: int | slice) -> EpisodeSummary | EpisodeTable:
        return EpisodeTable(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EpisodeTable) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row per episode, indexed by ``episode_id``.

        Raises
        ------
        ImportError
            pandas is not installed; nothing else here needs it.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: python -m pip install pandas") from error
        names = [item.name for item in fields(EpisodeSummary)]
        frame = pd.DataFrame([asdict(row) for row in self._rows], columns=names)
        return frame.set_index("episode_id")

    def __repr__(self) -> str:
        hidden = max(0, len(self) - _SHOWN)
        rows = [*self[: _SHOWN // 2], *self[-_SHOWN // 2 :]] if hidden else list(self)
        if not rows:
            return "no episodes"
        shown = [item.name for item in fields(EpisodeSummary) if item.name not in _HIDDEN]
        shown = [name for name in shown if any(getattr(row, name) is not None for row in rows)]
        lines = align([shown, *([_text(name, getattr(row, name)) for name in shown] for row in rows)])
        if hidden:
            lines.insert(1 + _SHOWN // 2, f"… {hidden:,} more …")
        return "\n".join(lines)


def align(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table of texts, columns aligned: numbers to the right, the rest to the left."""
    table = [[printable(cell) for cell in row] for row in table]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    numeric = [
        all(not row[i] or row[i] == "–" or row[i].lstrip("-")[:1].isdigit() for row in table[1:])
        for i in range(len(widths))
    ]
    cells = (
        [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        ]
        for row in table
    )
    return ["  ".join(row).rstrip() for row in cells]


def _text(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "start_time":
        return str(value)[:19].replace("T", " ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
