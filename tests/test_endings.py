"""All ways in which a recording ends, by both writers: nothing logged is lost, and it says how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from loaders import ExperimentLoader
from tests.zygote import Zygote

BEGINNING = """
import gc, os, signal, sys, threading, time
import numpy as np
from recorder import DataExporter, ClosedError, NoEpisodeError

told = np.memmap(sys.argv[2], np.int64, "r+", shape=1)
exporter = DataExporter("run", sys.argv[1], ring_bytes=1 << 20, async_write=sys.argv[3] == "thread")
exporter.start_episode()

def log(steps=1 << 40):
    for step in range(steps):
        exporter.log(step, behavior={"x": float(step)}, reward=1.0)
        told[0] = step + 1

def soon(number):
    def kill():
        while told[0] < 2000: time.sleep(0.001)
        os.kill(os.getpid(), number)
    threading.Thread(target=kill, daemon=True).start()

def handler(*_):
    sys.exit(7)
"""
AT_EXIT = "interpreter exit"
RECOVERED, INTERRUPTED = ("recovered", None), "interrupted"


@dataclass(frozen=True)
class Way:
    """How a program ends: its last lines, its exit code, and status and name in file and episode."""

    code: str
    exit_code: int
    status: str
    by: str | None = None
    says: str = ""
    """What standard error says; by default nothing at all."""


WAYS = {
    "closed": Way("log(3000); exporter.close()", 0, "completed"),
    "with": Way("with exporter: log(3000)", 0, "completed"),
    "Ctrl-C in a with": Way(
        "soon(signal.SIGINT)\nwith exporter: log()", -2, INTERRUPTED, "KeyboardInterrupt", "KeyboardInterrupt"
    ),
    "Ctrl-C": Way("soon(signal.SIGINT); log()", -2, INTERRUPTED, "KeyboardInterrupt", "KeyboardInterrupt"),
    "SIGTERM": Way("soon(signal.SIGTERM); log()", -15, INTERRUPTED, "SIGTERM"),
    "SIGTERM in a with": Way("soon(signal.SIGTERM)\nwith exporter: log()", -15, INTERRUPTED, "SIGTERM"),
    "SIGTERM while it closes": Way(
        "log(20_000); os.kill(os.getpid(), signal.SIGTERM); exporter.close()", -15, INTERRUPTED, "SIGTERM"
    ),
    "SIGTERM while a thread logs": Way(
        "threading.Thread(target=log, daemon=True).start()\nsoon(signal.SIGTERM)\n"
        "while True: time.sleep(0.1)  # Python may miss a signal that comes as a sleep begins",
        -15, INTERRUPTED, "SIGTERM", "*",
    ),
    "SIGTERM, own handler": Way(
        "signal.signal(signal.SIGTERM, handler); soon(signal.SIGTERM)\nwith exporter: log()",
        7, INTERRUPTED, "SystemExit",
    ),
    "SIGTERM, own handler, no with": Way(
        "signal.signal(signal.SIGTERM, handler); soon(signal.SIGTERM); log()", 7, INTERRUPTED, AT_EXIT
    ),
    "SIGTERM ignored": Way(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(os.getpid(), 15)\n"
        "log(3000); exporter.close()",
        0, "completed",
    ),
    "SIGTERM after the end": Way(
        "log(3000); exporter.close(); os.kill(os.getpid(), 15); time.sleep(60)", -15, "completed"
    ),
    "SIGHUP": Way("soon(signal.SIGHUP); log()", -1, INTERRUPTED, "SIGHUP"),
    "SIGQUIT": Way("soon(signal.SIGQUIT); log()", -3, *RECOVERED),
    "SIGKILL": Way("soon(signal.SIGKILL); log()", -9, *RECOVERED),
    "SIGSEGV": Way("soon(signal.SIGSEGV); log()", -11, *RECOVERED),
    "abort": Way("log(3000); os.abort()", -6, *RECOVERED),
    "os._exit": Way("log(3000); os._exit(5)", 5, *RECOVERED),
    "an exception in a with": Way(
        "with exporter:\n    log(3000)\n    raise ValueError('boom')", 1, INTERRUPTED, "ValueError", "boom"
    ),
    "an exception": Way("log(3000); raise ValueError('boom')", 1, INTERRUPTED, "ValueError", "boom"),
    "sys.exit in a with": Way("with exporter:\n    log(3000)\n    sys.exit(3)", 3, INTERRUPTED, "SystemExit"),
    "sys.exit": Way("log(3000); sys.exit(3)", 3, INTERRUPTED, AT_EXIT),
    "never closed": Way("log(3000)", 0, INTERRUPTED, AT_EXIT),
    "an exception in a thread": Way(
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join(); log(3000); exporter.close()",
        0, "completed", None, "ZeroDivisionError",
    ),
    "an exception in a thread that has it": Way(
        "def work():\n    with exporter:\n        log(3000)\n        1 / 0\n"
        "t = threading.Thread(target=work); t.start(); t.join()",
        0, INTERRUPTED, "ZeroDivisionError", "ZeroDivisionError",
    ),
    "a daemon thread logs to the end": Way(
        "def work():\n    try: log()\n    except (ClosedError, NoEpisodeError): pass\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "while told[0] < 2000: time.sleep(0.001)",
        0, INTERRUPTED, AT_EXIT,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


@pytest.mark.parametrize("writer", ["caller", "thread"])
@pytest.mark.parametrize("name", WAYS)
def test_a_recording_says_how_it_ended(zygote: Zygote, tmp_path: Path, name: str, writer: str) -> None:
    way, told = WAYS[name], tmp_path / "told"
    told.write_bytes(bytes(8))
    ended = zygote.run(BEGINNING + way.code, tmp_path, told, writer)
    assert ended.code == way.exit_code, ended
    if way.says != "*":
        assert way.says in ended.err if way.says else ended.err == "", ended.err
    (path,) = tmp_path.glob("run_*/experiment_data.h5")
    with ExperimentLoader(path) as loader:
        assert (loader.status, loader.attributes.get("ended_by")) == (way.status, way.by)
        episode = loader.get_episode(0)
        assert (episode.status, episode.get_metadata().get("ended_by")) == (way.status, way.by)
        x = episode.get_behavior()["x"]
        assert len(x) >= int(np.fromfile(told, np.int64)[0]) > 0
        assert np.array_equal(x, np.arange(len(x)))
    assert [p.suffix for p in path.parent.iterdir() if p.suffix in {".ring", ".lock", ".journal"}] == []


@pytest.mark.parametrize("writer", ["caller", "thread"])
def test_a_forgotten_recording_is_recovered_or_closed(zygote: Zygote, tmp_path: Path, writer: str) -> None:
    told = tmp_path / "told"
    told.write_bytes(bytes(8))
    ended = zygote.run(BEGINNING + "log(3000); del exporter; gc.collect()", tmp_path, told, writer)
    assert (ended.code, ended.err) == (0, "")
    (path,) = tmp_path.glob("run_*/experiment_data.h5")
    with ExperimentLoader(path) as loader:
        assert loader.status in {"recovered", "interrupted"}
        assert len(loader.get_episode(0).get_behavior()["x"]) == 3000


def test_a_handler_stays_no_longer_than_a_recording(zygote: Zygote, tmp_path: Path) -> None:
    code = """
import signal, sys, threading
from recorder import DataExporter
mine = lambda *_: None
def now(): return signal.getsignal(signal.SIGTERM)
first, second = DataExporter("a", sys.argv[1]), DataExporter("b", sys.argv[1])
assert callable(now())
first.close()
assert callable(now())
second.close()
assert now() is signal.SIG_DFL
signal.signal(signal.SIGTERM, mine)
with DataExporter("c", sys.argv[1]): assert now() is mine
assert now() is mine
signal.signal(signal.SIGTERM, signal.SIG_DFL)
with DataExporter("d", sys.argv[1]): signal.signal(signal.SIGTERM, mine)
assert now() is mine
signal.signal(signal.SIGTERM, signal.SIG_DFL)
def work():
    with DataExporter("e", sys.argv[1]): assert now() is signal.SIG_DFL
thread = threading.Thread(target=work); thread.start(); thread.join()
"""
    ended = zygote.run(code, tmp_path)
    assert (ended.code, ended.err) == (0, "")
