"""What lies beside a killed recording, damaged: its ring, its journal, its lock."""

from __future__ import annotations

import gzip
import random
import shutil
import time
from pathlib import Path

from recorder.errors import FlightrecError
from recorder.h5.repair import repair
from tests.fuzz.judge import TESTS, Verdict
from tests.fuzz.mutations import MUTATIONS, PAGE, truncate
from tests.fuzz.probe import Answers, probe
from tests.fuzz.sandbox import sandboxed

NAME = "experiment_data.h5"


def killed_folders() -> list[Path]:
    """Golden recordings whose process was killed."""
    return sorted(path.parent for path in (TESTS / "golden/v1_0").glob(f"*/{NAME}.ring.gz"))


class Killed:
    """A killed recording; ``journal`` is a change that waits beside it, in the form of its journal."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.name = source.name
        self.files = {
            p.name.removesuffix(".gz"): gzip.decompress(p.read_bytes()) for p in source.glob("*.gz")
        }
        self.folder, self.output = folder / "killed" / self.name, folder / "output"
        self.sound = self._answers({})
        self.alone = self._answers({f"{NAME}.ring": None})
        """What is in the file without its ring."""

    def judge(self, seed: int) -> Verdict:
        """Damage one of the files, and repair and read the recording in a process of its own."""
        chance = random.Random(seed)
        suffix = chance.choice((".ring", ".ring", ".ring", ".lock", ".journal", "other ring"))
        before = self.files.get(NAME + suffix, b"")
        if suffix == ".journal":
            data, what = bytes(chance.randrange(256) for _ in range(chance.randrange(200))), "noise"
        elif suffix == "other ring":
            suffix, data, what = ".ring", _other_ring(self, chance), "of another recording"
        else:
            data, what = _damaged(before, chance)
        verdict = Verdict(f"{suffix} {what}")
        try:
            found = self._answers({NAME + suffix: data})
        except AssertionError as error:
            verdict.kind = (
                f"died of {str(error).strip().splitlines()[-1][:60] if str(error).strip() else '?'}"
            )
            verdict.faults.append(f"the process died: {error}")
            return verdict
        verdict.kind = (
            "as before" if found == self.sound else "an error" if "error" in _kinds(found) else "other data"
        )
        verdict.faults += [
            f"{name} raised {text.strip().splitlines()[-1]}\n{text}"
            for name, (kind, text) in found.items()
            if kind in ("fault", "hungry")
        ]
        if found["open"][0] != "value":
            verdict.faults.append(f"what was committed cannot be opened: {found['open'][1]}")
        return verdict

    def _answers(self, changes: dict[str, bytes | None]) -> Answers:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name, data in {**self.files, **changes}.items():
            if data is not None:
                (self.folder / name).write_bytes(data)
        outcome, found = sandboxed(lambda: _repaired(self.folder / NAME), self.output)
        assert outcome == "done", found
        answers: Answers = found
        return answers


def _repaired(path: Path) -> Answers:
    time.strftime = lambda *_: "2026-01-01T00:00:00"  # in this process alone: what repair writes down
    try:
        report = ("value", repair(path).status)
    except (FlightrecError, OSError) as error:
        report = ("error", f"{type(error).__name__}: {error}")
    return {"repair": report} | probe(path)


def _kinds(found: Answers) -> set[str]:
    return {kind for name, (kind, _) in found.items() if not name.endswith("get_weight_matrix")}


def _damaged(before: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Most of a ring is empty: only pages with something in them are worth it."""
    data = bytearray(before)
    if chance.random() < 0.1:
        return (what := truncate(data, chance)) and bytes(data), what
    pages = [start for start in range(0, len(data), PAGE) if any(data[start : start + PAGE])]
    start = chance.choice(pages)
    page = data[start : start + PAGE]
    what = chance.choice([change for change in MUTATIONS if change is not truncate])(page, chance)
    data[start : start + PAGE] = page
    return bytes(data), f"at {start}: {what}"


def _other_ring(killed: Killed, chance: random.Random) -> bytes:
    folder = chance.choice([path for path in killed_folders() if path.name != killed.name])
    return gzip.decompress((folder / f"{NAME}.ring.gz").read_bytes())
