"""What an NWB file says about the recording that it was made from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from loaders.interchange.facts import name_of
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
