"""What integrations log into: an exporter, or something that stands before one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol
from weakref import ReferenceType, WeakKeyDictionary, ref

from recorder.errors import InputError, OptionError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES

_GROUPS = {"neural_state": NEURAL, "behavior": BEHAVIOR}
_ALONE = {"spikes": SPIKES, "reward": REWARDS}


class Target(Protocol):
    """The part of :class:`recorder.DataExporter` that an integration uses."""

    @property
    def current_episode(self) -> Any:
        """The active episode, or None."""

    def start_episode(self, episode_id: int | None = None) -> Any:
        """See :meth:`recorder.DataExporter.start_episode`."""

    def end_episode(self, success: bool = False, summary: Mapping[str, Any] | None = None) -> None:
        """See :meth:`recorder.DataExporter.end_episode`."""

    def log(
        self,
        timestep: Any = None,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
        **more: Any,
    ) -> None:
        """See :meth:`recorder.DataExporter.log`."""

    def save_metadata(self, metadata: Mapping[str, Any]) -> None:
        """See :meth:`recorder.DataExporter.save_metadata`."""


def require_target(target: Any, who: str, *needs: str) -> None:
    """Refuse what nothing can be logged into, or lacks something that is needed, before anything is done.

    Raises
    ------
    OptionError
    """
    if isinstance(target, type) or not all(
        hasattr(target, name) for name in ("log", "current_episode", *needs)
    ):
        raise OptionError(
            f"{who} records into a DataExporter, or what stands before one (Triggered, Staged), "
            f"not into {repr(target)[:80]}"
        )


def streams_of(row: Mapping[str, Any]) -> Iterator[str]:
    """The streams that these arguments of ``log()`` go to, like ``"behavior/x"``."""
    for argument, value in row.items():
        if argument in _GROUPS and isinstance(value, Mapping):
            yield from (f"{_GROUPS[argument]}/{key}" for key in value)
        elif argument in _ALONE and value is not None:
            yield _ALONE[argument]


class Sources:
    """Who logs what into one episode.

    Attributes
    ----------
    owners : dict of str to (reference, str)
        By stream: who logs it, and its name for messages.
    several : bool
        Whether more than one source has asked.
    """

    __slots__ = ("_first", "owners", "several")

    def __init__(self) -> None:
        self.owners: dict[str, tuple[ReferenceType[Any], str]] = {}
        self._first: ReferenceType[Any] | None = None
        self.several = False

    def ask(self, owner: Any) -> None:
        """Somebody is about to log something."""
        if self._first is None:
            self._first = ref(owner)
        elif self._first() is not owner:
            self.several = True


_EPISODES: WeakKeyDictionary[Any, Sources] = WeakKeyDictionary()


def _sources(episode: Any) -> Sources:
    """An episode's; without one, nobody's."""
    return Sources() if episode is None else _EPISODES.setdefault(episode, Sources())


def require_free(target: Target, owner: Any, streams: Iterable[str], who: str) -> None:
    """Refuse streams that another source logs while the active episode lasts; see :func:`claim`.

    Without an active episode nothing happens, as ``log()`` will say.

    Raises
    ------
    InputError
    """
    sources = _sources(target.current_episode)
    sources.ask(owner)
    for stream in streams:
        held, other = sources.owners.get(stream, (None, ""))
        if held is not None and held() is not owner:
            raise taken(stream, other, who)


def claim(target: Target, owner: Any, streams: Iterable[str], who: str) -> None:
    """Let nobody else log these streams while the active episode lasts: a row of them is stored.

    Integrations count or read timesteps by themselves: rows of two sources in one stream could not be told
    apart, and sampling would drop those of one. Without an active episode nothing happens.

    Parameters
    ----------
    owner : object
        Something that weak references can be made to. Its end does not set the streams free: another one's
        timesteps would begin anew in the same episode.
    who : str
        The owner's name in messages.
    """
    _sources(target.current_episode).owners.update(dict.fromkeys(streams, (ref(owner), who)))


def taken(stream: str, other: str, who: str) -> InputError:
    """The error of a stream that two sources log."""
    names = "record them together" if stream in _ALONE.values() else "give one of them other names"
    hint = f"{names}, or each an episode of its own"
    return InputError(stream, f"rows of {other} alone in this episode", f"rows of {who} as well", hint=hint)


class Counter:
    """Timesteps of one episode after the other, each from 0, for one source of rows.

    Parameters
    ----------
    who : str
        The source's name in messages; see :func:`claim`.
    """

    __slots__ = ("__weakref__", "_asked", "_count", "_episode", "_keys", "_new", "_sources", "_step", "_who")

    def __init__(self, who: str) -> None:
        self._who = who
        self._episode: Any = None
        self._sources = Sources()
        self._count, self._asked = -1, -1
        self._keys = set[str]()
        self._new = set[str]()
        self._step = 0

    def step(self, target: Target, row: Mapping[str, Any]) -> int:
        """The timestep of the next row of the active episode, which is this.

        As long as nobody else asks, a row is looked at when it has more or fewer arguments than the one
        before, and not key by key.

        Raises
        ------
        InputError
            Something in it is another source's.
        """
        episode = target.current_episode
        if episode is not self._episode:
            self._episode, self._sources = episode, _sources(episode)
            self._step, self._count, self._keys = 0, -1, set()
        if len(row) != self._count or self._sources.several:
            new = set(streams_of(row)) - self._keys
            require_free(target, self, new, self._who)
            self._asked, self._new = len(row), new
        return self._step

    def advance(self, target: Target) -> None:
        """That row is stored."""
        self._step += 1
        if self._new:
            claim(target, self, self._new, self._who)
            self._keys |= self._new
            self._new = set()
        self._count = self._asked


def joined(row: dict[str, Any], more: Any) -> dict[str, Any]:
    """Arguments of ``log()`` with those that a user's callable adds to them.

    Raises
    ------
    InputError
        ``more`` is no mapping, has something that the row has already, or what no keyword can be.
    """
    if not isinstance(more, Mapping):
        raise InputError("also", "a mapping of log()'s arguments", type(more).__name__)
    out = dict(row)
    for key, value in more.items():
        if key == "timestep":
            raise InputError("also['timestep']", "what is not recorded already", repr(value)[:80])
        if not isinstance(key, str) or key == "self":
            raise InputError("also", "names of log()'s arguments", repr(key)[:80])
        mine = out.get(key)
        if mine is None:
            out[key] = value
        elif isinstance(mine, Mapping) and isinstance(value, Mapping) and not mine.keys() & value.keys():
            out[key] = {**mine, **value}
        else:
            raise InputError(f"also[{key!r}]", "what is not recorded already", repr(value)[:80])
    return out
