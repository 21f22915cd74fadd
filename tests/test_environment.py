"""What is recorded about a run, and above all what is not."""

import subprocess
import sys

import git
import pytest

from recorder import environment
from recorder.environment import git_info, runtime_info
from recorder.errors import InputError
from recorder.secrets import allowed_environment, mask_command, strip_url
from recorder.snapshot import read_sources


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", "hunter2"],
        ["--token=hunter2"],
        ["--password=my hunter2 phrase"],
        ["--PASSWORD", "hunter2"],
        ["--db-password", "hunter2"],
        ["--api-key", "-hunter2"],
        ["--openaiApiKey=hunter2"],
        ["--key", "hunter2"],
        ["API_KEY=hunter2"],
        ["model.api_key=hunter2"],
        ["AWS_SECRET_ACCESS_KEY=hunter2"],
        ["bash", "-c", "export DB_PASSWORD=hunter2; run"],
        ['{"password": "a hunter2"}'],
        ["password: 'a hunter2'"],
        ["-H", "Authorization: Bearer hunter2"],
        ["-H", "X-Auth: Bearer hunter2"],
        ["https://me:hunter2@host/path"],
        ["https://hunter2@host"],
        ["https://host/x?a=1&access_token=hunter2"],
        ["--url=postgres://me:hunter2@host/db"],
        ["ghp_hunter2"],
        ["--push", "github_pat_hunter2"],
        ["sk-hunter2abc"],
        ["hf_hunter2abc"],
        ["xoxb-hunter2"],
    ],
)
def test_secrets_are_masked(arguments):
    line = mask_command(["run.py", *arguments, "--steps", "10"])
    assert "hunter2" not in line
    assert "***" in line
    assert line.startswith("run.py ")
    assert line.endswith(" --steps 10")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--max-tokens", "5"],
        ["--tokenizer", "gpt"],
        ["--author", "me"],
        ["--sort-key", "x"],
        ["--monkey", "george"],
        ["disk-layer-size", "3"],
        ["https://host/path"],
        ["lr=0.1", "a b", "--n=3", ""],
        ["--token"],
    ],
)
def test_other_arguments_stay(arguments):
    assert "***" not in mask_command(arguments)


def test_quoting_is_the_shells():
    assert mask_command(["a b", "c"]) == "'a b' c"


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://user:hunter2@github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://hunter2@github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://u:p@hunter2@host/x", "https://host/x"),
        ("https://host/a?token=hunter2", "https://host/a"),
        ("https://host/a?private=hunter2#hunter2", "https://host/a"),
        ("https://host/ghp_hunter2/x", "https://host/***/x"),
        ("ssh://git@host/a", "ssh://host/a"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("me:hunter2@host:a/b", "me@host:a/b"),
        ("/local/path", "/local/path"),
        ("../path", "../path"),
    ],
)
def test_urls(url, stripped):
    assert strip_url(url) == stripped


def test_only_listed_variables():
    given = {"OMP_NUM_THREADS": "4", "MY_TOKEN": "hunter2", "HOME": "/x", "SLURM_JOB_ID": "7"}
    assert allowed_environment(given) == {"OMP_NUM_THREADS": "4", "SLURM_JOB_ID": "7"}


def test_runtime_info(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["run.py", "--token", "hunter2"])
    monkeypatch.setenv("SOME_SECRET", "hunter2")
    info = runtime_info(tmp_path, {"h5py_version": "3"})
    assert info["output_directory"] == str(tmp_path)
    assert info["h5py_version"] == "3"
    assert info["command_line"] == "run.py --token ***"
    assert int(info["cpu_count"]) >= 1
    assert int(info["memory_bytes"]) > 0
    assert "hunter2" not in str(info)
    assert all(value is None or isinstance(value, str) for value in info.values())


def test_runtime_info_survives_a_lost_directory(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert runtime_info(tmp_path)["working_directory"] is None
    assert git_info() in ({}, None)


def test_jax_is_not_imported():
    code = (
        "import sys; from recorder.environment import runtime_info as r; r('.'); print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with git.Repo.init(tmp_path, initial_branch="trunk") as repository:
        with repository.config_writer() as config:
            config.set_value("user", "name", "n").set_value("user", "email", "e@example.org")
        yield repository


def test_git_states(repository, tmp_path):
    empty = git_info(tmp_path)
    assert empty == {"branch": "trunk", "dirty": False}
    (tmp_path / "a.py").write_text("1")
    repository.index.add(["a.py"])
    repository.index.commit("first")
    repository.create_remote("origin", "https://me:hunter2@host/r.git?token=hunter2")
    clean = git_info(tmp_path)
    assert clean == {
        "commit_hash": repository.head.commit.hexsha,
        "branch": "trunk",
        "dirty": False,
        "remote_url": "https://host/r.git",
    }
    (tmp_path / "a.py").write_text("2")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "new.py").write_text("")
    dirty = git_info(tmp_path / "sub")
    assert dirty["dirty"] is True
    assert dirty["uncommitted_files"] == [" M a.py", "?? sub/"]
    repository.git.checkout("--detach", "--force")
    assert git_info(tmp_path)["branch"] == "HEAD"


def test_outside_a_repository(tmp_path):
    assert git_info(tmp_path) == {}


@pytest.mark.usefixtures("repository")
def test_git_that_cannot_run(tmp_path, monkeypatch):
    monkeypatch.setattr(git.Git, "GIT_PYTHON_GIT_EXECUTABLE", "/no/such/git")
    assert git_info(tmp_path) is None
    monkeypatch.setitem(sys.modules, "git", None)
    assert environment.git_info(tmp_path) is None


def test_sources(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "model.py").write_text("x = 'ä'\n", encoding="utf-8")
    (tmp_path / "b" / "model.py").write_bytes("# -*- coding: latin-1 -*-\nx = 'ä'\n".encode("latin-1"))
    (tmp_path / "empty.py").write_bytes(b"")
    files = [tmp_path / "a" / "model.py", str(tmp_path / "b" / "model.py"), tmp_path / "empty.py"]
    sources = read_sources([*files, tmp_path / "a" / ".." / "a" / "model.py"])
    assert [source.name for source in sources] == ["model.py", "model_2.py", "empty.py"]
    assert sources[1].text.decode() == "# -*- coding: latin-1 -*-\nx = 'ä'\n"
    assert sources[2].text == b""


def test_refused_sources(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "binary.py").write_bytes(b"x = '\xff'")
    for name in ("notes.txt", "folder.py", "binary.py", "missing.py"):
        with pytest.raises(InputError):
            read_sources([tmp_path / name])
    for wrong in ("script.py", [3]):
        with pytest.raises(InputError):
            read_sources(wrong)


def test_the_running_script(monkeypatch, tmp_path):
    script = tmp_path / "run.py"
    script.write_text("print()")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    assert [source.path for source in read_sources()] == [script]
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    assert read_sources() == []
