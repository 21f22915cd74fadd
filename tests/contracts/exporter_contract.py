"""What every exporter promises; a test class subclasses this and provides ``make_exporter``.

``make_exporter(**options)`` opens a new recording in a folder of the test's own. The module that
subclasses imports the fixture ``record`` too.
"""

import h5py
import pytest

from tests.contracts.life_contract import LifeContract
from tests.contracts.spike_contract import SpikeContract
from tests.contracts.stream_contract import StreamContract
from tests.contracts.table_contract import TableContract


@pytest.fixture
def record(make_exporter):
    """Run ``body(exporter)`` within one episode; returns the file's first episode and the file."""
    files = []

    def run(body, **options):
        with make_exporter(**options) as exporter:
            exporter.start_episode()
            body(exporter)
            exporter.end_episode(success=True)
        files.append(h5py.File(exporter.h5_path, "r"))
        return files[-1]["episodes/episode_0000"]

    yield run
    for file in files:
        file.close()


class ExporterContract(LifeContract, StreamContract, SpikeContract, TableContract):
    """All of it."""
