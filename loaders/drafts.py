"""What packing, splitting and merging share: the file beside its name, what may go in, and a second look."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.comparing.episodes import unequal_episodes
from loaders.experiment import ExperimentLoader
from recorder.errors import DamagedError, InputError, ReadError, WriteError
from recorder.format.layout import DATA_FILE, DROPPED, EPISODES, INTERRUPTED, RECOVERED_STEPS, UNVERIFIED
from recorder.h5.assembling import Assembly, settle, soft_links
from recorder.h5.draft import beside, failed
from recorder.h5.verify import verify
from recorder.h5.verify.walk import LINK

Pathlike = str | os.PathLike[str]
_STEPS = 20
"""Of splitting and merging that a recording remembers: a document is nested some hundred levels at most."""
_SUMS = (DROPPED, RECOVERED_STEPS)


def target_of(out: Pathlike) -> Path:
    """The file that ``out`` means.

    Raises
    ------
    FileExistsError
        There is something.
    """
    place = Path(out)
    if place.suffix not in (".h5", ".hdf5"):
        place = place / DATA_FILE
    if os.path.lexists(place):
        raise FileExistsError(f"{place} exists already")
    return place


@dataclass(frozen=True)
class Draft:
    """A file that is to become another.

    Attributes
    ----------
    path, target : Path
    due : callable
        Raises what the handler of a signal raised, if that was lost.
    """

    path: Path
    target: Path
    due: Callable[[], None]

    def require_sound(self) -> None:
        """Make sure that every byte is in order."""
        for finding in verify(self.path, lambda *_: self.due()):
            if finding.message != LINK:  # those of the source are kept
                raise DamagedError(f"{self.path}: {finding}")

    def settle(self, *, replace: bool) -> None:
        """Have it in its place; see :func:`recorder.h5.assembling.settle`."""
        self.due()
        settle(self.path, self.target, replace=replace)


@contextlib.contextmanager
def drafted(target: Path, sources: int) -> Iterator[Draft]:
    """Where to write what becomes ``target``; where that fails, nothing is left, nor folders made for it."""
    try:
        with beside(target) as (path, due):
            yield Draft(path, target, due)
    except WriteError as error:
        cause = error.__cause__
        why = failed(target, cause) if isinstance(cause, OSError) else error
        whole = "the recording is" if sources == 1 else "the recordings are"
        raise WriteError(f"{why}; {whole} as before") from cause


def require_finished(loader: ExperimentLoader) -> None:
    """Make sure that this is a recording of ours, and that nobody writes it."""
    if loader._recording.original:
        raise ReadError(f"{loader.h5_path} is a file of the original system, whose layout is another")
    if loader._recording.living:
        raise ReadError(f"{loader.h5_path} is being written")


def require_led(loader: ExperimentLoader, episodes: set[str]) -> None:
    """Make sure that every soft link which goes along leads to what it led to; episodes by their paths."""
    for place, target in soft_links(loader.h5_file):
        within = target.removeprefix("/").split("/")
        if within[0] == EPISODES and len(within) > 1 and "/".join(within[:2]) not in episodes:
            raise InputError(f"soft link {place}", "a link to what the result has", target)


def require_same(made: ExperimentLoader, loader: ExperimentLoader, numbers: Mapping[int, int]) -> None:
    """Compare episodes with where they came from, former by present numbers.

    Raises
    ------
    DamagedError
        They are not the same.
    """
    for old, new in numbers.items():
        for difference in unequal_episodes(loader.get_episode(old), made.get_episode(new)):
            if difference.where != f"episode {old}.episode_id":
                raise DamagedError(f"{made.h5_path} is not what {loader.h5_path} is: {difference}")


def stored_at(loader: ExperimentLoader, episode_id: int) -> str:
    """Path of an episode within its file."""
    name = loader._recording.episodes().ids[episode_id]
    return f"{EPISODES}/{name}"


class Account:
    """Root attributes that say when and how many, over all that is in a file."""

    def __init__(self) -> None:
        self._count, self._sums = 0, dict.fromkeys((*_SUMS, UNVERIFIED), 0)
        self._statuses: set[str] = set()
        self._times: dict[str, list[str]] = {"start_time": [], "end_time": []}

    def add(self, loader: ExperimentLoader, ids: Sequence[int]) -> None:
        """Count these episodes of a recording."""
        root = loader.attributes
        self._statuses.add(str(root.get("status")))
        for name, found in self._times.items():
            if name in root:
                found.append(str(root[name]))
        for number in ids:
            facts = loader.get_episode(number).get_metadata()
            for name in _SUMS:
                self._sums[name] += facts.get(name, 0)
        self._count += len(ids)
        # Which steps a power cut may have torn is known of whole recordings alone.
        self._sums[UNVERIFIED] += root.get(UNVERIFIED, 0)

    def put(self, made: Assembly) -> None:
        """Store them."""
        texts = {"status": next(iter(self._statuses)) if len(self._statuses) == 1 else INTERRUPTED}
        for name, choose in (("start_time", min), ("end_time", max)):
            times = self._times[name]
            texts |= {name: choose(times)} if times else {}
        made.put(texts, {"episode_count": self._count, "total_episodes": self._count, **self._sums})


def entry_of(
    loader: ExperimentLoader,
    numbers: Mapping[int, int],
    checkpoints: Mapping[str, str],
    code: Mapping[str, str],
) -> dict[str, Any]:
    """What a merged recording keeps of one of its sources; ``code`` is that of the first, which it has."""
    entry = {
        "recording": str(loader.h5_path),
        "attributes": loader.attributes,
        "config": loader.get_config(),
        "metadata": loader.get_metadata(),
        "git": loader.get_git_info(),
        "runtime": loader.get_runtime_info(),
        "episodes": [[old, new] for old, new in numbers.items()],
        "checkpoints": [[old, new] for old, new in checkpoints.items()],
        "resumed": loader.get_resumptions(),
        **of_which(loader),
    }
    its_own = loader.get_code_snapshot()
    return entry if its_own == code else {**entry, "code": its_own}


def of_which(loader: ExperimentLoader) -> dict[str, Any]:
    """What a recording was itself put together from, as an entry; none where it was recorded as it is."""
    former = loader.get_origin()
    return {} if former is None else {"of_which": _back(former, _STEPS)}


def _back(origin: Any, steps: int) -> Any:
    """As many steps of what is nested as may be kept, None for what is further back."""
    if steps == 0:
        return None
    if isinstance(origin, list):
        return [_one_back(entry, steps) for entry in origin]
    return _one_back(origin, steps)


def _one_back(entry: Any, steps: int) -> Any:
    if not isinstance(entry, dict) or entry.get("of_which") is None:
        return entry
    return {**entry, "of_which": _back(entry["of_which"], steps - 1)}
