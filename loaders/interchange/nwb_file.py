"""What an NWB file says about the recording that it was made from, and about its episodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from loaders.interchange.facts import name_of, ranges
from loaders.interchange.joined import Placed
from loaders.interchange.seconds import times
from recorder.errors import OptionError
from recorder.format.document import dumps

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader


def nwb_file(pynwb: Any, recording: ExperimentLoader, about: dict[str, Any], part: str) -> Any:
    """A file without data; ``about`` over what the recording says of itself, of which it is a ``part``.

    Raises
    ------
    OptionError
        Something in ``about`` is none of pynwb's arguments, or cannot be what it is.
    """
    facts = recording.attributes
    name = str(facts.get("experiment_name", recording.h5_path.stem))
    began = facts.get("start_time")
    if "session_start_time" not in about:
        if began is None:
            raise OptionError(
                "the recording does not say when it began: give about={'session_start_time': …}"
            )
        # Recordings have the clock of the wall without a zone, NWB wants one.
        about["session_start_time"] = datetime.fromisoformat(began).astimezone()
    simulation = {
        "subject_id": name,
        "description": "a simulation, no animal",
        "sex": "U",
        "date_of_birth": about["session_start_time"],  # it began to be when it began to run
    }
    subject = about.pop("subject", simulation)
    provenance = {
        "metadata": recording.get_metadata(),
        "config": recording.get_config(),
        "runtime": recording.get_runtime_info(),
        "git": recording.get_git_info(),
        "file": str(recording.h5_path),
    }
    code = recording.get_code_snapshot()
    script = {
        "source_script": dumps(code).decode("ascii"),
        "source_script_file_name": ", ".join(code),
    }
    facts = {
        "session_description": f"the recording {name} of a simulation",
        "identifier": " ".join(filter(None, (name, began or str(about["session_start_time"]), part))),
        "session_id": name_of(recording),
        "notes": dumps(provenance).decode("ascii"),
        **(script if code else {}),
        **about,
    }
    try:
        if subject is not None:
            facts["subject"] = pynwb.file.Subject(**subject)
        return pynwb.NWBFile(**facts)
    except (TypeError, ValueError) as error:
        raise OptionError(f"about: {error}") from error


def part_of(recording: ExperimentLoader, placed: Sequence[Placed], only: Collection[str] | None) -> str:
    """What of a recording a file has, in words; nothing where it has all."""
    numbers = [part.episode.episode_id for part in placed]
    words = [] if numbers == recording.list_episodes() else [f"episodes {ranges(numbers)}"]
    return "; ".join(words if only is None else [*words, f"only {', '.join(sorted(only))}"])


def add_trials(file: Any, recording: ExperimentLoader, placed: Sequence[Placed], dt: float) -> None:
    """A trial for each episode."""
    file.add_trial_column("episode_id", "id of the episode in the recording")
    file.add_trial_column("shift", "timesteps between the episode's own and those of this file")
    file.add_trial_column("status", "how the episode ended")
    file.add_trial_column("success", "what the program said of it, or unknown")
    file.add_trial_column("summary", "what the program gave at its end: a document of flightrec's format")
    for part in placed:
        start, stop = times(np.array([part.start, part.stop]), dt).tolist()
        row = recording.get_episode_summary(part.episode.episode_id)
        facts = part.episode.get_metadata()
        success = facts.get("success")
        file.add_trial(
            start_time=start,
            stop_time=stop,
            episode_id=part.episode.episode_id,
            shift=part.shift,
            status=str(facts.get("status")),
            success="unknown" if success is None else str(bool(success)).lower(),
            summary=dumps(row).decode("ascii"),
        )
