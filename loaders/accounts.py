"""What became of the rows that an episode logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorder.errors import DamagedError
from recorder.format.layout import (
    ACCOUNT,
    ACCOUNTS,
    ENCODING,
    EVENTS,
    REWARDS,
    SPIKES,
    SPIKES_EVENTS,
    TIMESTEPS,
    WEIGHT_CHANGES,
)
from recorder.h5.source import StoredEpisode, child_dataset, damage
from recorder.h5.tree import get_document

if TYPE_CHECKING:
    from loaders.episode import EpisodeData


@dataclass(frozen=True, slots=True)
class StreamAccount:
    """Rows of one stream: every one that was logged is committed, recovered or dropped.

    Attributes
    ----------
    logged : int
        Rows that calls brought and sampling chose.
    committed : int
        Of these, rows that reached the file while the program lived.
    recovered : int
        Rows that a repair brought back after the program had been killed.
    dropped : int
        Rows that ``on_full="drop"`` let go because the ring was full.
    """

    logged: int = 0
    committed: int = 0
    recovered: int = 0
    dropped: int = 0

    def __add__(self, other: StreamAccount) -> StreamAccount:
        return StreamAccount(*(getattr(self, name) + getattr(other, name) for name in ACCOUNT))


def add_up(accounts: Iterable[Mapping[str, StreamAccount]]) -> dict[str, StreamAccount]:
    """The sums of several episodes by stream."""
    total: dict[str, StreamAccount] = {}
    for account in accounts:
        for name, rows in account.items():
            total[name] = total.get(name, StreamAccount()) + rows
    return total


def episode_accounts(episode: EpisodeData) -> dict[str, StreamAccount]:
    """See :meth:`EpisodeData.accounts`."""
    stored = episode._stored()
    with damage(f"{ACCOUNTS} of {stored.name}"):
        # A group of that name is static data of a recording from before there were accounts.
        if ACCOUNTS not in stored.groups():
            child_dataset(stored.group, ACCOUNTS)  # refuses links and storage elsewhere
        document = get_document(stored.group, ACCOUNTS, {})
        found = {name: StreamAccount(*(int(rows[key]) for key in ACCOUNT)) for name, rows in document.items()}
    if any(min(a.committed, a.recovered, a.dropped) < 0 or not _adds_up(a) for a in found.values()):
        raise DamagedError(f"{ACCOUNTS} of {stored.name} do not add up")
    return found or {name: StreamAccount(rows, rows) for name, rows in _lengths(episode, stored).items()}


def account_line(facts: Mapping[str, Any]) -> str:
    """Root attributes in words: steps that were dropped and brought back; empty where there are none."""
    words = {
        "dropped_timesteps": "dropped because the ring was full",
        "recovered_timesteps": "brought back from the ring",
    }
    return ", ".join(f"{facts[name]:,} {what}" for name, what in words.items() if facts.get(name))


def _adds_up(account: StreamAccount) -> bool:
    return account.logged == account.committed + account.recovered + account.dropped


def _lengths(episode: EpisodeData, stored: StoredEpisode) -> dict[str, int]:
    """Rows of every stream; of a running episode those that are committed."""
    found = {name: episode.stream(name).shape[0] for name in episode.streams}
    if stored.running or stored.original:
        # Their datasets end at different rows, or keep no count of them: ask whoever decodes them.
        counts = {
            SPIKES: len(episode.spike_timesteps()),
            REWARDS: len(episode.get_rewards().get(TIMESTEPS, ())),
            WEIGHT_CHANGES: len(episode.get_weight_changes().get(TIMESTEPS, ())),
            EVENTS: sum(1 for _ in episode.iter_events()),
        }
        return found | {name: rows for name, rows in counts.items() if rows}
    for group in (SPIKES, REWARDS, WEIGHT_CHANGES, EVENTS):
        if stored.keys(group):
            encoding = stored.facts(group).get(ENCODING)
            clock = "rows" if (group, encoding) == (SPIKES, SPIKES_EVENTS) else TIMESTEPS
            found[group] = stored.rows(f"{group}/{clock}")
    return found
