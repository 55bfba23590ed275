"""What counts as a change of files that are in use, and what is said then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jobs_of_cases import CASE

from distributed_tracer.artifacts.files_in_use import FilesInUse
from distributed_tracer.errors import FilesChanged, ModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With `model` and `transcoders` in it."""
    for name in ("model", "transcoders"):
        shutil.copytree(CASE / name, tmp_path / name)
    return tmp_path


def in_use(folder: Path, of: FilesInUse | None = None) -> FilesInUse:
    expected = None if of is None else of.content
    return FilesInUse(str(folder / "model"), str(folder / "transcoders"), expected)


def overwrite(path: Path) -> None:
    """In place, the last byte of its last tensor, and with the time that it had."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def rename_over(path: Path) -> None:
    """Another file of the same size and time takes its name."""
    other = path.with_suffix(".new")
    shutil.copy2(path, other)
    overwrite(other)
    other.rename(path)


def touch(path: Path) -> None:
    os.utime(path)


@pytest.mark.parametrize("change", [overwrite, rename_over, Path.unlink])
@pytest.mark.parametrize("name", ["model/model.safetensors", "transcoders/layer_2.safetensors"])
def test_weights_that_change_after_they_were_loaded_are_noticed(
    folder: Path, name: str, change: Callable[[Path], None]
) -> None:
    files = in_use(folder)
    files.loaded()
    files.check()
    change(folder / name)
    what, file = name.split("/")
    with pytest.raises(FilesChanged, match=rf"files of {what} '.*' changed during the run: {file} .*two (models|sets)"):
        files.check()


def test_weights_that_change_while_they_are_loaded_are_noticed(folder: Path) -> None:
    files = in_use(folder)
    overwrite(folder / "model" / "model.safetensors")
    with pytest.raises(FilesChanged):
        files.loaded()


def test_weights_that_change_explain_why_loading_failed_and_others_do_not_hide_it(folder: Path) -> None:
    with pytest.raises(ModelError, match="other logits"), in_use(folder).loading():
        raise ModelError("other logits")
    files = in_use(folder)
    overwrite(folder / "model" / "model.safetensors")
    with pytest.raises(FilesChanged), files.loading():
        raise ModelError("other logits")


def test_what_does_not_change_weights_is_no_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, weights = in_use(folder), folder / "model" / "model.safetensors"
    weights.chmod(0o600)
    touch(weights)
    os.link(weights, folder / "another name")
    (folder / "model" / "README.md").write_text("new")
    files.loaded()
    (folder / "model" / "tokenizer_config.json").write_text("{}")  # it is in memory
    files.check()
    monkeypatch.setattr("distributed_tracer.artifacts.files_in_use.digest_of", None)  # once looked at, they are known
    files.check()


def test_a_large_file_is_not_trusted_after_it_was_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of large ones only samples are compared, and these may be equal."""
    monkeypatch.setattr("distributed_tracer.artifacts.fingerprint.WHOLE_BYTES", 0)
    monkeypatch.setattr("distributed_tracer.artifacts.fingerprint._END_BYTES", 64)
    files, weights = in_use(folder), folder / "model" / "model.safetensors"
    weights.chmod(0o600)
    files.check()
    touch(weights)
    with pytest.raises(FilesChanged):
        files.check()


@pytest.mark.parametrize("name", ["model/model.safetensors", "model/tokenizer.json", "transcoders/layer_0.safetensors"])
def test_a_process_that_finds_other_files_than_the_run_began_with_refuses_them(folder: Path, name: str) -> None:
    began = in_use(folder)
    in_use(folder, began).loaded()
    rename_over(folder / name)
    with pytest.raises(FilesChanged, match=f"{name.split('/')[1]} holds something else than when it began"):
        in_use(folder, began)


def test_weights_in_other_files_are_refused_and_those_that_a_login_node_lacks_are_not(folder: Path) -> None:
    began = in_use(folder)
    (folder / "model" / "model.safetensors").rename(folder / "model" / "other.safetensors")
    with pytest.raises(FilesChanged, match=r"model.safetensors is not there, other than"):
        in_use(folder, began)
    (folder / "model" / "other.safetensors").unlink()
    login = in_use(folder)
    shutil.copy(CASE / "model" / "model.safetensors", folder / "model")
    in_use(folder, login).loaded()


def test_another_commit_of_the_hub_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded while it is loaded: a branch has moved since the run began."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--user--tiny"
    (repo / "refs").mkdir(parents=True)
    for commit in ("1" * 40, "2" * 40):
        (repo / "snapshots" / commit).mkdir(parents=True)
        shutil.copy(CASE / "model" / "config.json", repo / "snapshots" / commit)
    (repo / "refs" / "main").write_text("1" * 40)
    began = FilesInUse("user/tiny", str(CASE / "transcoders"))
    began.loaded()
    worker = FilesInUse("user/tiny", str(CASE / "transcoders"), began.content)
    worker.loaded()
    (repo / "refs" / "main").write_text("2" * 40)
    with pytest.raises(FilesChanged, match=f"this is commit {'2' * 40}, and the run began with {'1' * 40}"):
        worker.loaded()
