"""Random sequences of calls, crashes and reopenings, against a model that is nothing but a dictionary."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from recorder.h5 import transaction
from recorder.storage import HDF5Storage, HDF5StorageError, StorageInputError
from tests.storage.objects import Case, cases

CASES = cases()
NAMES = sorted(CASES)
KINDS = st.sampled_from(sorted({case.kind for case in CASES.values()}))
TIMES = st.sampled_from([0.0, 1.0, 1.0004, 1.0009, 2.5, 1e9 + 0.125, -3.0])
BAD: list[tuple[str, tuple[Any, ...]]] = [
    ("store_spike_train", (1.0, [1.0], [1, 2])),
    ("store_reservoir_states", (1.0, object())),
    ("store_network_snapshot", (1.0, [[1]], [[1]], [1], {"a": object()})),
    ("store_layer_outputs", (1.0, {"good": [1], "a/b": [1]})),
]


class _KilledError(Exception):
    """The process ends here."""


class Stores(RuleBasedStateMachine):
    """Two stores of one file, as two processes would have them, and what has to be there."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="flightrec-"))
        self.path = self.folder / "s.h5"
        self.patch = mock.patch("os.fsync")
        self.patch.start()
        self.stores = [HDF5Storage(self.path), HDF5Storage(self.path, enable_swmr=False)]
        self.there: dict[tuple[str, str], tuple[Case, float]] = {}
        self.clock = itertools.count(1)

    def add(self, what: Case, name: str, t: float) -> None:
        assert (what.kind, name) not in self.there, f"{name} was given twice"
        self.there[what.kind, name] = what, t

    @rule(which=st.integers(0, 1), name=st.sampled_from(NAMES), t=TIMES)
    def store(self, which: int, name: str, t: float) -> None:
        self.add(CASES[name], CASES[name].store(self.stores[which], t), t)

    @rule(which=st.integers(0, 1), names=st.lists(st.sampled_from(NAMES), max_size=4), t=TIMES)
    def batch(self, which: int, names: list[str], t: float) -> None:
        with self.stores[which].batch():
            made = [(CASES[name], CASES[name].store(self.stores[which], t)) for name in names]
        for what, name in made:
            self.add(what, name, t)

    @rule(which=st.integers(0, 1), name=st.sampled_from(NAMES), t=TIMES)
    def batch_that_fails(self, which: int, name: str, t: float) -> None:
        with pytest.raises(ZeroDivisionError), self.stores[which].batch():
            CASES[name].store(self.stores[which], t)
            raise ZeroDivisionError

    @rule(which=st.integers(0, 1), bad=st.sampled_from(BAD))
    def refuse(self, which: int, bad: tuple[str, tuple[Any, ...]]) -> None:
        with pytest.raises(StorageInputError):
            getattr(self.stores[which], bad[0])(*bad[1])

    @rule(which=st.integers(0, 1), name=st.sampled_from(NAMES), t=TIMES, share=st.sampled_from([0, 1, 3]))
    def killed_while_it_is_applied(self, which: int, name: str, t: float, share: int) -> None:
        """The journal is whole, so the object is there, though the call never returned."""
        real = transaction._apply

        def dying(descriptor: int, extents: list[tuple[int, bytes]]) -> None:
            real(descriptor, extents[:share])
            raise _KilledError

        with mock.patch.object(transaction, "_apply", dying), pytest.raises(_KilledError):
            CASES[name].store(self.stores[which], t)
        now = {(e.kind, e.id): e.timestamp for e in self.stores[1 - which].find()}
        (new,) = now.keys() - self.there.keys()
        assert new[0] == CASES[name].kind
        self.there[new] = CASES[name], t

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.stores[which].close()
        self.stores[which] = HDF5Storage(self.path)

    @rule(which=st.integers(0, 1))
    def compact(self, which: int) -> None:
        self.stores[which].compact(lambda *_: None)

    @rule(which=st.integers(0, 1))
    def rotate(self, which: int) -> None:
        if len(self.stores[which].files()) < 4:
            with mock.patch("recorder.storage.managing.time.time", return_value=float(next(self.clock) % 3)):
                self.stores[which].rotate_file()

    @rule(which=st.integers(0, 1), t=TIMES)
    def clean(self, which: int, t: float) -> None:
        gone = {key for key, (_, when) in self.there.items() if when < t}
        assert self.stores[which].cleanup_old_data(0, now=t) == len(gone)
        for key in gone:
            del self.there[key]

    @rule(
        which=st.integers(0, 1),
        start=TIMES,
        end=TIMES,
        kind=st.sampled_from(sorted({c.kind for c in CASES.values()})),
    )
    def ranges(self, which: int, start: float, end: float, kind: str) -> None:
        found = [(e.timestamp, e.id) for e in self.stores[which].find(kind, start, end)]
        wanted = [(t, n) for (k, n), (_, t) in self.there.items() if k == kind and start <= t <= end]
        assert found == sorted(wanted)

    @rule(which=st.integers(0, 1), pick=st.integers(0, 10**6))
    def retrieve(self, which: int, pick: int) -> None:
        if self.there:
            (_, name), (what, t) = sorted(self.there.items(), key=repr)[pick % len(self.there)]
            what.check(self.stores[which], name, t)

    @invariant()
    def everything_is_listed(self) -> None:
        assert {(e.kind, e.id) for e in self.stores[0].find()} == self.there.keys()

    def teardown(self) -> None:
        for (_, name), (what, t) in self.there.items():
            what.check(self.stores[0], name, t)
        assert self.stores[1].verify() == []
        for store in self.stores:
            store.close()
        left = {p.suffix for p in self.folder.iterdir()}
        self.patch.stop()
        shutil.rmtree(self.folder)
        assert left == {".h5"}, left


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=5, stateful_step_count=15, deadline=None)
assert issubclass(StorageInputError, HDF5StorageError)
