"""A store is tried through its own code, on a directory and on a real S3 server, and left as it was."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
import s3fs
from s3 import S3Server

from distributed_tracer.ops.doctor.store_check import marker_object, try_store
from distributed_tracer.store.backend.open import open_backend


def probes(url: str) -> list[str]:
    """Probe objects there. SeaweedFS goes on to list a folder whose objects are gone."""
    return [name for name in open_backend(url).list_dir("") if name.startswith(".")]


def test_a_good_store_takes_an_object_once_and_is_left_empty(store_url: str) -> None:
    trial = try_store(store_url)
    assert (trial.error, trial.create_only, trial.shared, trial.left_over) == ("", True, None, "")
    assert probes(store_url) == []


def test_a_store_of_another_version_or_of_no_sense_cannot_be_used(tmp_path: Path) -> None:
    for text, why in (
        ('{"format_version": 99, "format": "?", "identity": {}}', "format version 99"),
        ("[", "does not"),
    ):
        (tmp_path / "run.json").write_text(text)
        assert why in try_store(str(tmp_path)).error
        assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_the_same_store_shows_the_beacon_and_another_does_not(store_url: str) -> None:
    with marker_object(store_url) as key:
        assert key is not None
        assert probes(store_url) == [key]
        assert try_store(store_url, key).shared is True
        assert try_store(f"{store_url}-other", key).shared is False
    assert probes(store_url) == []


def test_a_store_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = str(tmp_path / "file" / "store")
    trial = try_store(url)
    assert "NotADirectoryError" in trial.error
    assert not trial.create_only
    with marker_object(url) as key:
        assert key is None


def test_a_key_that_the_server_does_not_know_is_refused_and_not_repeated(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.make_bucket("refused") + "/store"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    s3fs.S3FileSystem.clear_instance_cache()
    trial = try_store(url)
    s3fs.S3FileSystem.clear_instance_cache()
    assert f"{url}/run.json" in trial.error
    assert "PermissionError" in trial.error
    assert "not-the-secret" not in trial.error


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    trial = try_store("s3://me:hunter2@bucket/store")
    assert "holds a user name, password" in trial.error
    assert "hunter2" not in f"{trial}"


def test_a_file_system_that_replaces_instead_of_refusing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    files = fsspec.filesystem("memory")
    pipe_file = type(files).pipe_file

    def replaces(self: object, path: str, value: bytes, mode: str = "overwrite") -> None:
        pipe_file(self, path, value)

    assert try_store("memory://refuses").create_only
    monkeypatch.setattr(type(files), "pipe_file", replaces)
    assert not try_store("memory://replaces").create_only


def test_an_object_that_cannot_be_removed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, path: str) -> None:
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "rm_file", refuse)
    trial = try_store("memory://kept")
    assert trial.create_only
    assert open_backend("memory://kept").list_dir("") == [trial.left_over]
