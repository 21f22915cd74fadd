"""The first look at many recordings: the quick way says what the whole one does, and so do processes."""

from __future__ import annotations

import pickle
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from loaders import ExperimentCollection, ExperimentLoader
from loaders.assembling import merge, pack, split
from loaders.collection import facts as facts_module
from loaders.collection import index as index_module
from loaders.collection import reading
from loaders.collection.facts import UNREADABLE, facts_of, whole_facts
from loaders.collection.flat import flatten
from recorder import DataExporter
from recorder.cli import cli
from recorder.h5.finished import UnfamiliarError, read_finished
from recorder.h5.reading import pieces
from tests.test_reference_recordings import DATA


def record(root: Path, name: str, episodes: int = 2, **more: Any) -> Path:
    with DataExporter(name, root) as exporter:
        exporter.save_config(more.get("config", {"lr": 0.1, "net": {"n": [1, 2]}, "who": "ä"}))
        exporter.save_git_info()
        for number in range(episodes):
            exporter.start_episode()
            for t in range(3):
                exporter.log(timestep=t, behavior={"x": 0.5}, reward=number + t)
            given = more.get("summary", {"score": number / 3, "note": "text"})
            exporter.end_episode(success=None if number % 3 == 0 else number % 2 == 0, summary=given)
    return Path(exporter.h5_path)


def whole(file: Path) -> dict[str, Any]:
    state = file.stat()
    return {"size_bytes": state.st_size, "modified": state.st_mtime, **whole_facts(file)}


def quick(file: Path) -> bool:
    try:
        read_finished(file)
    except UnfamiliarError:
        return False
    return True


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with recordings of all kinds, each in a folder of its own."""
    root = tmp_path_factory.mktemp("many")
    one, two = record(root, "one"), record(root, "two", 9)
    record(root, "hundred", 100)
    record(root, "none", 0)
    record(root, "large", config={"text": "x" * 40_000, "k": 1})
    record(root, "long_summary", summary={"text": "x" * 40_000, "k": 1})
    record(root, "heavy", config={f"key_{i}": i for i in range(300)}, summary={"text": "x" * 6000, "k": 1})
    record(
        root, "array", config={"a": np.arange(3), "nan": float("nan")}, summary={"of": {"n": np.float32(3.5)}}
    )
    pack(one, root / "packed")
    pack(one, root / "cloud", cloud=True, compression="gzip")
    merge([one, two], root / "merged")
    split(two, [1, 3], root / "split")
    for place in DATA.iterdir():
        if place.is_dir():
            shutil.copytree(place, root / "reference" / place.name)
    for name, data in (("empty", b""), ("text", b"no HDF5 at all"), ("half", one.read_bytes()[:9000])):
        (root / name).mkdir()
        (root / name / "experiment_data.h5").write_bytes(data)
    (root / "foreign").mkdir()
    with h5py.File(root / "foreign" / "experiment_data.h5", "w") as file:
        file["episodes/a/x"] = [1.0]
        file["config"] = h5py.SoftLink("/episodes")
    (root / "rewritten").mkdir()
    with h5py.File(root / "rewritten" / "experiment_data.h5", "w") as file, h5py.File(two) as source:
        # The same, as HDF5 1.6 would have written it.
        for name in source:
            source.copy(name, file)
        for name, value in source.attrs.items():
            file.attrs[name] = value
    denied = root / "denied" / "experiment_data.h5"
    shutil.copytree(one.parent, denied.parent)
    denied.chmod(0)
    yield root
    denied.chmod(0o600)


def test_the_quick_way_says_what_the_whole_one_does(many: Path) -> None:
    files = sorted(many.rglob("experiment_data.h5"))
    assert len(files) > 18
    for file in files:
        # Texts: some rows have arrays and NaN; the order of columns counts as well.
        assert repr(facts_of(file)) == repr(whole(file)), file
    by_name = {file.parent.name.rsplit("_", 2)[0]: quick(file) for file in files}
    for name in ("one", "two", "hundred", "none", "array", "packed", "cloud", "merged", "split"):
        assert by_name[name], name
    for name in ("large", "long_summary", "empty", "text", "half", "foreign", "rewritten"):
        assert not by_name[name], name


def test_checksums_need_nothing_compiled(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [file for file in sorted(many.rglob("experiment_data.h5")) if quick(file)][:6]
    known = [repr(read_finished(file)) for file in files]
    monkeypatch.setattr(pieces, "seal", None)
    assert [repr(read_finished(file)) for file in files] == known


def test_a_row_says_what_the_loader_does(many: Path) -> None:
    for run in ExperimentCollection(many, index=False, workers=1):
        if run["status"] == UNREADABLE or not quick(run.file):
            continue
        with ExperimentLoader(run.file) as loader:
            episodes = [loader.get_episode(number) for number in loader.list_episodes()]
            assert (run["episodes"], run["experiment"]) == (
                len(episodes),
                loader.attributes["experiment_name"],
            )
            assert run["steps"] == sum(episode.get_metadata()["total_timesteps"] for episode in episodes)
            git = loader.get_git_info() or {}
            assert (run["git_commit"], run["git_dirty"]) == (git.get("commit_hash"), git.get("dirty"))
            config = flatten("config", loader.get_config(), {})
            assert repr({key: run[key] for key in run if key.startswith("config")}) == repr(config)
            rewards = [float(episode.get_rewards()["rewards"].sum()) for episode in episodes]
            assert run.get("mean_reward") == (pytest.approx(np.mean(rewards)) if rewards else None)


def test_who_is_written_or_was_killed_goes_the_whole_way(tmp_path: Path) -> None:
    code = (
        "import signal, sys; from recorder import DataExporter\n"
        "e = DataExporter('alive', sys.argv[1])\n"
        "e.start_episode(); e.log(timestep=0, reward=1.0); e.end_episode(summary={'a': 1})\n"
        "e.start_episode(); e.log(timestep=0, reward=1.0)\n"
        "print('ready', flush=True); signal.pause()"
    )
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    (file,) = tmp_path.rglob("experiment_data.h5")
    try:
        assert not quick(file)
        assert facts_of(file) == whole(file)
        assert facts_of(file)["status"] == "running"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert facts_of(file) == whole(file)
    assert facts_of(file)["status"] == "killed"
    ExperimentLoader(file).close()
    assert facts_of(file) == whole(file)
    assert (facts_of(file)["status"], quick(file)) == ("recovered", True)


def test_odd_attributes_and_places_go_the_whole_way(tmp_path: Path) -> None:
    def twice(file: h5py.File) -> None:
        file["episodes/episode_0009"] = file["episodes/episode_0000"]

    def linked(file: h5py.File) -> None:
        file["episodes/episode_0009"] = h5py.SoftLink("episode_0000")

    def renamed(file: h5py.File) -> None:
        file.attrs["experiment_name"] = 7

    def many_links(file: h5py.File) -> None:
        for number in range(2, 20):
            file[f"episodes/episode_{number:04d}"] = h5py.ExternalLink("other.h5", "/")

    def rewarded(file: h5py.File) -> None:
        file["episodes/episode_0000"].attrs["total_reward"] = np.array([1.0])

    def small(file: h5py.File) -> None:
        file["episodes/episode_0000"].attrs["total_timesteps"] = np.int32(3)

    def nameless(file: h5py.File) -> None:
        del file.attrs["experiment_name"]

    for change in (twice, linked, renamed, many_links, rewarded, small, nameless):
        path = record(tmp_path / change.__name__, "one")
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            change(file)
        assert quick(path) == (change is nameless), change
        assert repr(facts_of(path)) == repr(whole(path)), change


def test_damage_anywhere_gives_the_row_of_the_whole_way_or_that_of_the_file_before(tmp_path: Path) -> None:
    source = record(tmp_path, "one", 9)
    sound, data, draw = facts_of(source), source.read_bytes(), random.Random(4)
    place = tmp_path / "damaged" / "experiment_data.h5"
    place.parent.mkdir()
    seen = 0
    for number in range(250):
        damaged = bytearray(data)
        if number % 10:
            for _ in range(draw.choice([1, 30])):
                damaged[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        else:
            del damaged[draw.randrange(len(data)) :]
        place.write_bytes(damaged)
        try:
            known = read_finished(place)
        except UnfamiliarError:
            seen += 1
            continue
        row = facts_of(place)
        assert known.episodes == row["episodes"]
        for key in ("size_bytes", "modified"):
            row[key] = sound[key]
        assert row == sound or row == {**whole(place), **{k: sound[k] for k in ("size_bytes", "modified")}}
    assert seen > 40


def test_processes_read_what_one_does(many: Path) -> None:
    alone = [repr(dict(run)) for run in ExperimentCollection(many, index=False, workers=1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BATCH", 3)
        assert [repr(dict(run)) for run in ExperimentCollection(many, index=False, workers=2)] == alone
    with pytest.raises(ValueError, match="workers: one at least, not 0"):
        ExperimentCollection(many, workers=0)


def _worker(code: str) -> str:
    return reading._BEGIN.replace("main()", f"import loaders.collection.worker as w\n{code}\nmain()")


def test_who_ends_its_process_is_a_row_and_stops_nobody(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os; real = w.facts_of\n"
        "w.facts_of = lambda file: os.abort() if '/one_' in str(file) else real(file)"
    )
    monkeypatch.setattr(reading, "_BEGIN", _worker(code))
    monkeypatch.setattr(reading, "_BATCH", 4)
    rows = {run.name: run for run in ExperimentCollection(many, index=False, workers=2)}
    dead = [run for run in rows.values() if "a process that read it ended" in run.get("error", "")]
    assert [run["experiment"] for run in dead] == [None]
    assert f"signal {int(signal.SIGABRT)}" in dead[0]["error"]
    assert dead[0]["size_bytes"] == dead[0].file.stat().st_size
    assert len(rows) == len(ExperimentCollection(many, index=False, workers=1))


def test_what_is_not_the_recordings_fault_reaches_the_caller(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def broken(file): raise ZeroDivisionError('a bug of ours')\nw.facts_of = broken"
    monkeypatch.setattr(reading, "_BEGIN", _worker(code))
    monkeypatch.setattr(reading, "_BATCH", 4)
    with pytest.raises(ZeroDivisionError, match="a bug of ours") as caught:
        len(ExperimentCollection(many, index=False, workers=2))
    assert "in a process of its own" in caught.value.__notes__[0]
    assert "in broken" in caught.value.__notes__[0]


def test_where_no_process_starts_this_one_reads(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [repr(dict(run)) for run in ExperimentCollection(many, index=False, workers=1)]
    monkeypatch.setattr(reading, "_BATCH", 4)
    for executable in (None, "/nowhere/python", shutil.which("true")):
        monkeypatch.setattr(sys, "executable", executable)
        assert [repr(dict(run)) for run in ExperimentCollection(many, index=False, workers=2)] == alone


def test_a_script_without_a_guard_may_use_processes(many: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from loaders import ExperimentCollection; from loaders.collection import reading\n"
        "reading._BATCH = 4\n"
        "print(len(ExperimentCollection(sys.argv[1], index=False, workers=2)))\n"
    )
    done = subprocess.run([sys.executable, script, many], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(ExperimentCollection(many, index=False))


def _only_while_reading(save: Any) -> Any:
    def saved(index: Any, rows: Any, gone: Any) -> None:
        if len(rows) and sys.exc_info()[0] is None:
            save(index, rows, gone)

    return saved


@pytest.mark.parametrize("pause", [0.0, 1e9])
def test_an_interrupted_first_look_goes_on_where_it_was(
    many: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    module = sys.modules["loaders.collection.collection"]
    monkeypatch.setattr(index_module, "_PAUSE", pause)
    read: list[Path] = []
    real = facts_module.facts_of

    def interrupted(file: Path) -> dict[str, Any]:
        if len(read) == 7:
            raise KeyboardInterrupt
        read.append(file)
        return real(file)

    monkeypatch.setattr(module, "facts_of", interrupted)
    index_module.index_path(many).unlink(missing_ok=True)
    if not pause:
        # Killed: nothing is kept at the end.
        monkeypatch.setattr(index_module.Index, "save", _only_while_reading(index_module.Index.save))
    with pytest.raises(KeyboardInterrupt):
        len(ExperimentCollection(many, workers=1))
    known = index_module.Index(index_module.index_path(many)).load()
    sound = [file for file in read if real(file)["status"] != UNREADABLE]
    assert len(known) == len(sound) > 3
    again: list[Path] = []
    monkeypatch.setattr(module, "facts_of", lambda file: (again.append(file), real(file))[1])
    assert len(ExperimentCollection(many)) > 18
    assert not set(sound) & set(again)


def test_the_command_takes_a_number_of_workers(many: Path) -> None:
    for option in (["-j", "1"], ["--workers", "2"]):
        done = CliRunner().invoke(cli, ["ls", str(many), *option])
        assert done.exit_code == 0, done.output
        assert "merged" in done.output
    assert CliRunner().invoke(cli, ["ls", str(many), "-j", "0"]).exit_code == 2


def test_a_collection_is_pickled_with_its_workers(many: Path) -> None:
    runs = ExperimentCollection(many, index=False, workers=1)
    again = pickle.loads(pickle.dumps(runs.filter(status="completed")))
    assert [run.name for run in again] == [run.name for run in runs if run["status"] == "completed"]


def test_processes_are_as_many_as_there_are_cores_and_work_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Team:
        def __init__(self, files: Any, _facts: Any, count: int) -> None:
            asked.append(count)
            self.files = files

        def outcomes(self) -> Iterator[Any]:
            return iter([(file, {}) for file in self.files])

    monkeypatch.setattr(reading, "_Team", Team)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {1, 2, 3}, raising=False)
    files = [Path(str(number)) for number in range(1000)]
    for worth, workers in ((1e-12, None), (1e9, None), (1e-12, 1), (1e9, 5), (1e9, 99)):
        monkeypatch.setattr(reading, "_WORTH", worth)
        assert [file for file, _ in reading.read_rows(files, lambda _: {}, workers)] == files
    assert asked == [3, 5, 16]
    assert len(list(reading.read_rows(files[:20], lambda _: {}, None))) == 20
    assert len(asked) == 3
