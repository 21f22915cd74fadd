"""The examples of the adapters run as they stand."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    run("to_tables.py", tmp_path, monkeypatch)
    assert "episode" in capsys.readouterr().out


def test_xarray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    run("to_xarray.py", tmp_path, monkeypatch)
    assert "time" in capsys.readouterr().out


def test_nwb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pynwb")
    run("to_nwb.py", tmp_path, monkeypatch)
    assert "spikes in trial 1" in capsys.readouterr().out


def test_neo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("neo")
    pytest.importorskip("elephant")
    run("to_neo.py", tmp_path, monkeypatch)
    assert "Hz" in capsys.readouterr().out


def test_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    run("to_torch.py", tmp_path, monkeypatch)
    assert "torch.Size([16, 20, 10])" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    for _ in range(2):
        run("to_minari.py", tmp_path, monkeypatch)
        assert "3 episodes" in capsys.readouterr().out


def test_sonata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("libsonata")
    run("to_sonata.py", tmp_path, monkeypatch)
    assert "mV" in capsys.readouterr().out
