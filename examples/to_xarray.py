"""A recording as an xarray DataTree: selected by time and neuron before anything is read, then a netCDF file.

Needs `python -m pip install "flightrec[xarray]"`.
"""

import numpy as np
import xarray as xr

from loaders import ExperimentLoader
from recorder import DataExporter

rng = np.random.default_rng(0)
with DataExporter("for_xarray", neural_sampling_rate=1) as exporter:
    exporter.start_episode()
    for step in range(500):
        exporter.log(step, {"v": rng.normal(-65, 5, 10)}, rng.random(10) < 0.1, {"x": step * 0.5})
    exporter.end_episode()

with ExperimentLoader(exporter.output_dir) as experiment:
    tree = experiment.get_episode(0).to_xarray(dt=0.001, units={"neural_states/v": "mV"})
    v = tree["neural_states/v"].sel(timestep=slice(100, 200), neuron=3)  # nothing is read yet
    print(v.mean().values, v.attrs["units"], v.time.values[[0, -1]])
    print(tree["spikes/spikes"].sum("timestep").values)
    tree.to_netcdf(exporter.output_dir / "episode.nc", engine="h5netcdf")

with xr.open_datatree(exporter.output_dir / "episode.nc", engine="h5netcdf") as tree:
    print(tree)
