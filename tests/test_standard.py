"""The plain exporter keeps the contract of all exporters."""

import h5py
import numpy as np
import pytest

from recorder.standard import StandardDataExporter
from tests.contracts.exporter_contract import ExporterContract, record

__all__ = ["record"]


@pytest.fixture
def make_exporter(tmp_path):
    def make(experiment_name="run", **options):
        return StandardDataExporter(experiment_name, **{"output_base_dir": tmp_path, **options})

    return make


class TestStandard(ExporterContract):
    """See the contract."""


def test_everything_is_in_the_file_when_a_call_returns(make_exporter):
    with make_exporter() as exporter:
        exporter.start_episode()
        for step in range(5):
            exporter.log(step, spikes=np.array([True]), behavior={"x": 1.0})
            group = exporter.h5_file["episodes/episode_0000"]
            assert group["behavior/x"].shape == group["spikes/rows"].shape == (step + 1,)


def test_marks_itself(make_exporter):
    with make_exporter() as exporter:
        pass
    with h5py.File(exporter.h5_path, "r") as file:
        assert file.attrs["exporter"] == "standard"
