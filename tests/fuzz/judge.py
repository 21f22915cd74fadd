"""What may come of a damaged recording, and what may not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.coverage import touches, unchecked
from tests.fuzz.mutations import changed, mutated
from tests.fuzz.probe import Answers, digest, probe
from tests.fuzz.sandbox import sandboxed

TESTS = Path(__file__).parents[1]
SOUND = ("value", digest([]))


def golden_files() -> list[Path]:
    """Closed golden recordings, and those of the original system."""
    return [
        *sorted((TESTS / "golden/v1_0").glob("*/experiment_data.h5")),
        *sorted((TESTS / "data/reference").glob("*/*/experiment_data.h5")),
    ]


@dataclass
class Verdict:
    """``kind`` is what came of it; ``faults`` what must not happen."""

    what: str
    kind: str = "as before"
    faults: list[str] = field(default_factory=list)


class Subject:
    """A sound recording, what its readers say of it, and its damaged copies."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.name = f"{path.parent.parent.name}/{path.parent.name}"
        self.data = path.read_bytes()
        self.place = folder / "damaged" / "experiment_data.h5"
        self.place.parent.mkdir(exist_ok=True)
        self.output = folder / "output"
        outcome, found = sandboxed(lambda: (probe(path), unchecked(path)), self.output)
        assert outcome == "done", found
        self.sound: Answers = found[0]
        self.unchecked: list[tuple[int, int]] = found[1]
        self.ours = self.sound["verify"] == SOUND and b"flightrec" in self.data
        faults = [f"{name}: {text}" for name, (kind, text) in self.sound.items() if kind == "fault"]
        assert not faults, faults

    def judge(self, seed: int) -> Verdict:
        """Damage a copy, and read it in a process of its own."""
        data, what = mutated(self.data, seed)
        verdict = Verdict(what)
        self.place.write_bytes(data)
        outcome, found = sandboxed(lambda: probe(self.place), self.output)
        if outcome == "died":
            reason = (found.strip().splitlines() or ["without a word"])[-1]
            verdict.kind = f"died of {reason[:80]}"
            verdict.faults.append(f"the process died of {reason}\n{found}")
            return verdict
        other = {name: answer for name, answer in found.items() if not self._as_before(name, answer)}
        noticed = found["verify"] != SOUND
        covered = self.ours and not touches(changed(self.data, data), self.unchecked)
        if any(kind == "error" for kind, _ in other.values()):
            verdict.kind = "an error"
        elif other:
            verdict.kind = "other data, unchecked" if set(other) != {"verify"} else "verify alone"
        for name, (kind, text) in other.items():
            if kind in ("fault", "hungry"):
                verdict.faults.append(f"{name} raised {text.strip().splitlines()[-1]}\n{text}")
            if covered and kind == "value" and name != "verify":
                verdict.faults.append(f"{name} says something else, and no error is raised")
            if covered and not noticed:
                verdict.faults.append(f"{name} differs, and verify finds nothing: {text}")
        return verdict

    def _as_before(self, name: str, answer: tuple[str, str]) -> bool:
        before = self.sound.get(name)
        # messages name the file, which is another one
        return answer == before or (before is not None and answer[0] == before[0] != "value")
