"""The names that programs rely on: taking one away, or adding one, is a decision and shows here."""

from __future__ import annotations

import inspect
from importlib.resources import files

import pytest

import loaders
import recorder
from recorder import errors

RECORDER = {
    "HOT_PATH",
    "SCHEMA_VERSION",
    "DataExporter",
    "Episode",
    "EpisodeData",
    "ExperimentLoader",
    "OptimizedDataExporter",
    "OptimizedEpisode",
    "RepairReport",
    "SchemaVersion",
    "SpikeIndices",
    "StandardDataExporter",
    "StandardEpisode",
    "__version__",
    "align_timesteps",
    "create_output_dir",
    "create_timestep_mapping",
    "ensure_numpy",
    "interpolate_sampled_data",
    "quick_load",
    "repair",
    "validate_network_structure",
    "validate_timestep_data",
    "validate_weight_change",
}
ERRORS = {
    name
    for name, thing in vars(errors).items()
    if inspect.isclass(thing) and thing.__module__ == errors.__name__
}
LOADERS = {
    "CacheReport",
    "create_hdf5_cache",
    "create_hdf5_from_pt_cache",
    "episode_sources",
    "BalancedSeizureDataset",
    "CacheStatus",
    "EEGWindowDataset",
    "TrainingStart",
    "cache_file_path",
    "check_cache_completeness",
    "compute_pos_weight",
    "extract_patient_id",
    "load_tusz_for_training",
    "parse_tusz_csv",
    "scan_existing_cache",
    "start_dataset",
    "start_training",
    "validate_manifest",
    "validate_patient_disjointness",
    "ClosedError",
    "DamagedError",
    "EpisodeData",
    "EpisodeSummary",
    "EpisodeTable",
    "ExperimentCollection",
    "ExperimentLoader",
    "ExportError",
    "ExportWarning",
    "LiveExperiment",
    "LiveStatus",
    "NotRunningError",
    "ReadError",
    "Run",
    "Samples",
    "StreamAccount",
    "StreamData",
    "TimestepError",
    "Update",
    "describe",
    "quick_load",
}
FOR_TORCH = {  # which imports it when one of them is asked for
    "HDF5SubjectPairDataset",
    "JASPERSteeringDataset",
    "NoiseInjection",
    "StdGaussianNoise",
    "SubjectPairDataset",
    "UniqueSubjectBatchSampler",
    "WindowExhaustiveBatchSampler",
    "WindowMEG_Dataset",
    "ZScore",
    "create_loader",
    "set_epoch",
    "validate_dataset",
    "validate_first_batch",
}
CONSTRUCTOR = {  # the documented arguments, in their order, with their defaults
    "experiment_name": inspect.Parameter.empty,
    "output_base_dir": "experiments",
    "neural_sampling_rate": 100,
    "validate_data": True,
    "compression": "gzip",
    "compression_level": 4,
    "chunk_size": 10_000,
    "enable_swmr": False,
}


def test_recorder_offers_these_names_and_no_others() -> None:
    assert set(recorder.__all__) == RECORDER | ERRORS
    assert all(hasattr(recorder, name) for name in recorder.__all__)


def test_loaders_offers_these_names_and_no_others() -> None:
    assert set(loaders.__all__) == LOADERS | FOR_TORCH
    assert all(hasattr(loaders, name) for name in LOADERS)


def test_loaders_offers_datasets_where_torch_is() -> None:
    pytest.importorskip("torch")
    assert all(hasattr(loaders, name) for name in FOR_TORCH)


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    for name in ERRORS:
        assert f" {name}" in (errors.__doc__ or "")
    assert all(issubclass(getattr(errors, name), errors.FlightrecError | UserWarning) for name in ERRORS)


def test_aliases_are_the_fast_pair() -> None:
    assert recorder.DataExporter is recorder.OptimizedDataExporter
    assert recorder.Episode is recorder.OptimizedEpisode
    assert recorder.StandardDataExporter is not recorder.DataExporter


def test_the_documented_arguments_keep_their_order_and_defaults() -> None:
    parameters = list(inspect.signature(recorder.DataExporter).parameters.items())
    given = {name: parameter.default for name, parameter in parameters[: len(CONSTRUCTOR)]}
    assert list(given.items()) == list(CONSTRUCTOR.items())
    assert parameters[len(CONSTRUCTOR)][0] == "async_write"


def test_type_hints_and_the_specification_ship() -> None:
    assert files("recorder").joinpath("py.typed").is_file()
    assert files("recorder").joinpath("format/README.md").is_file()
    assert files("loaders").joinpath("py.typed").is_file()
