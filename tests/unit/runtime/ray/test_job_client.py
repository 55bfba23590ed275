"""What is sent to a job server, and what never is."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import job, plain_rows

from distributed_tracer.config import CorpusConfig, JobConfig, ModelConfig, StoreConfig
from distributed_tracer.errors import ConfigError
from distributed_tracer.runtime.ray.job_client import of_file, of_flags


@pytest.fixture
def config(tmp_path: Path) -> JobConfig:
    return job(tmp_path, plain_rows(1))


def test_a_job_file_goes_with_its_folder_and_its_arguments(tmp_path: Path) -> None:
    file = tmp_path / "a job.py"
    file.touch()
    sent = of_file(str(file), ["--store", "it's; rm -r /"], "python3.12")
    assert sent.folder == tmp_path
    assert shlex.split(sent.entrypoint) == ["python3.12", "a job.py", "--store", "it's; rm -r /"]


def test_flags_go_as_they_are_quoted_for_a_shell(config: JobConfig) -> None:
    flags = ["--store", "$(id)", "--max-targets", "3"]
    sent = of_flags(flags, config, "python")
    assert sent.folder is None
    assert shlex.split(sent.entrypoint) == ["python", "-m", "distributed_tracer", "trace", *flags]
    assert "'$(id)'" in sent.entrypoint


@pytest.mark.parametrize("inside", [".", "below"])
def test_a_job_file_in_or_above_the_home_folder_is_refused(
    tmp_path: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / inside))
    (tmp_path / "job.py").touch()
    with pytest.raises(ConfigError, match="keep job files in a folder of their own"):
        of_file(str(tmp_path / "job.py"), [], "python")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no job file nothing\.py"):
        of_file("nothing.py", [], "python")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (CorpusConfig("-"), "standard input, which stays on this machine"),
        (CorpusConfig("prompts.jsonl"), "--prompts prompts.jsonl is a place on this machine"),
        (CorpusConfig("https://me:pw@host/p.jsonl"), "--prompts is an address with a password"),
        (CorpusConfig("https://host/p.jsonl?signature=pw"), "--prompts is an address with a password"),
        (StoreConfig("graphs"), "--store graphs is a place on this machine"),
        (StoreConfig("~/graphs"), "--store ~/graphs is a place on this machine"),
        (ModelConfig("."), "--model . is a place on this machine"),
    ],
)
def test_what_means_nothing_elsewhere_or_shows_a_password_is_refused(
    config: JobConfig, section: CorpusConfig | StoreConfig | ModelConfig, message: str
) -> None:
    name = {CorpusConfig: "corpus", StoreConfig: "store", ModelConfig: "model"}[type(section)]
    with pytest.raises(ConfigError, match=message) as found:
        of_flags([], replace(config, **{name: section}), "python")
    assert "pw" not in str(found.value)


def test_a_hub_id_is_no_place(config: JobConfig) -> None:
    of_flags([], replace(config, model=ModelConfig("org/name@main")), "python")
