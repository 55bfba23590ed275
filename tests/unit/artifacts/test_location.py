"""Directories, hub ids, and what happens without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import COMMIT, REPO, serve
from transcoder_formats import FORMATS, random_weights, write_plt, write_yaml

from distributed_tracer.artifacts.location import HubFolder, LocalFolder, fetch_uri, locate, read_config
from distributed_tracer.errors import TranscoderError
from distributed_tracer.transcoder.load import load_transcoders

ROOT = Path(__file__).parents[3]
WEIGHTS = random_weights()


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("user/repo", HubFolder("user/repo")),
        ("user/repo@v1.0", HubFolder("user/repo", revision="v1.0")),
        ("user/repo@refs/pr/1", HubFolder("user/repo", revision="refs/pr/1")),
        ("some-user/re.po_1/a folder/width=16k", HubFolder("some-user/re.po_1", "a folder/width=16k")),
        ("user/repo/sub/folder/@main", HubFolder("user/repo", "sub/folder", "main")),
        ("gemma", HubFolder("mwhanna/gemma-scope-transcoders")),
        ("llama", HubFolder("mntss/transcoder-Llama-3.2-1B")),
    ],
)
def test_a_hub_id_has_repository_folder_and_revision(source: str, folder: HubFolder) -> None:
    assert locate(source) == folder


@pytest.mark.parametrize(
    "source", ["", "repo", "/not/there", "./not/there", "a/b@", "a/b@c@d", "https://host/a/b", "~/no"]
)
def test_what_is_neither_directory_nor_hub_id_is_refused(source: str) -> None:
    with pytest.raises(TranscoderError, match="neither a directory nor user/repo"):
        locate(source)


def test_a_local_directory_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plt_in(tmp_path / "user" / "repo@v1")
    monkeypatch.chdir(tmp_path)
    assert locate("user/repo@v1") == LocalFolder(Path("user/repo@v1"))
    assert load_transcoders("user/repo@v1").shape.num_layers == 3
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/user/repo@v1") == LocalFolder(tmp_path / "user/repo@v1")


def write_plt_in(directory: Path) -> None:
    directory.mkdir(parents=True)
    write_plt(directory, WEIGHTS)


def test_a_config_that_is_not_one_object_is_refused(tmp_path: Path) -> None:
    for name, text in (("c.json", "[1]"), ("c.json", "{"), ("c.yaml", "a: b: c"), ("c.yaml", ""), ("c.json", "\udcff")):
        (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(TranscoderError, match=name):
            read_config(tmp_path / name)


@pytest.mark.parametrize(
    "uri", ["hf://user", "hf://user/repo", "hf:///user/repo/x", "file:///etc/passwd", "hf://u/r/x?rev=1"]
)
def test_a_malformed_address_is_refused(uri: str) -> None:
    with pytest.raises(TranscoderError, match=r"is not hf://user/repo/path"):
        fetch_uri(uri)


@pytest.mark.parametrize("name", ["../../secret.safetensors", "/etc/passwd", "a/../../b"])
def test_a_repository_cannot_name_files_outside_of_itself(name: str) -> None:
    with pytest.raises(TranscoderError, match="is not in the repository user/repo"):
        HubFolder("user/repo", "folder").fetch([name])


FETCH = """
import json, sys
from distributed_tracer.errors import TranscoderError
from distributed_tracer.artifacts.location import locate
for source in sys.argv[1:]:
    try:
        folder = locate(source)
        print(json.dumps([str(path) for path in folder.fetch(folder.files())]))
    except TranscoderError as error:
        print(json.dumps(str(error)))
"""
FILES = """
import json, sys
from distributed_tracer.artifacts.local_files import transcoder_files
for source in sys.argv[1:]:
    print(json.dumps(sorted(transcoder_files(source).digests or {})))
"""
LOAD = """
import json, sys
from distributed_tracer.transcoder.load import load_transcoders
for source in sys.argv[1:]:
    print(json.dumps(load_transcoders(source).decoder_bias(0).tolist()))
"""


def elsewhere(script: str, sources: list[str], cache: Path, endpoint: str, offline: bool = False) -> list[object]:
    """What another process says of each source: the hub's client reads the environment once, when imported."""
    environment = {
        **os.environ,
        "HF_HOME": str(cache),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": str(int(offline)),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", script, *sources]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_only_needed_files_are_downloaded_and_then_serve_without_network(tmp_path: Path) -> None:
    write_plt_in(tmp_path / "repo" / "sets" / "first")
    write_plt_in(tmp_path / "repo" / "sets" / "second")
    (tmp_path / "repo" / "sets" / "first" / "notes.bin").write_bytes(b"large")
    cache, bias = tmp_path / "cache", WEIGHTS[0].b_dec.tolist()
    first = f"{REPO}/sets/first"
    with serve(tmp_path / "repo") as (endpoint, downloaded):
        assert elsewhere(LOAD, [first, f"{first}@v2"], cache, endpoint) == [bias, bias]
        wanted = ["config.yaml", *(f"layer_{layer}.safetensors" for layer in range(3))]
        assert sorted(downloaded) == [f"sets/first/{name}" for name in wanted]
        (unknown,) = elsewhere(FETCH, [f"{first}@v3"], cache, endpoint)
        assert str(unknown).startswith(f"{first}@v3: no such directory here")
    assert elsewhere(FILES, [first], cache, endpoint) == [wanted]  # though the cache lacks the rest of the repository
    revisions = [f"{first}{revision}" for revision in ("", "@v2", f"@{COMMIT}")]
    assert elsewhere(LOAD, revisions, cache, endpoint, offline=True) == [bias, bias, bias]
    (paths,) = elsewhere(FETCH, [first], cache, endpoint)  # not told to be offline, but the hub does not answer
    assert [Path(path).name for path in paths] == wanted


@pytest.mark.slow
def test_of_gated_transcoders_the_licence_and_the_login_are_named(tmp_path: Path) -> None:
    write_plt_in(tmp_path / "repo")
    with serve(tmp_path / "repo", gated=True) as (endpoint, _):
        (refused,) = elsewhere(FETCH, [REPO], tmp_path / "cache", endpoint)
    assert f"accept its licence at {endpoint}/{REPO}, then log in on every machine with `hf auth login`" in str(refused)


@pytest.mark.slow
def test_without_network_the_error_says_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    write_plt_in(tmp_path / "repo")
    cache, nowhere = tmp_path / "cache", "http://127.0.0.1:9"
    for offline in (True, False):
        plain, with_revision = elsewhere(FETCH, [REPO, f"{REPO}@v2"], cache, nowhere, offline)
        assert str(plain).startswith(f"{REPO}: no such directory here, and the list of files cannot be had from {REPO}")
        assert f"`hf download {REPO}`" in str(plain)
        assert f"`hf download {REPO} --revision v2`" in str(with_revision)
    with serve(tmp_path / "repo") as (endpoint, _):
        elsewhere(FETCH, [REPO], cache, endpoint)
    for found in cache.rglob("layer_1.safetensors"):
        found.unlink()
    (paths,) = elsewhere(FETCH, [REPO], cache, nowhere, offline=True)
    assert [Path(path).name for path in paths] == ["config.yaml", "layer_0.safetensors", "layer_2.safetensors"]
    code = FETCH.replace("folder.files()", "['config.yaml', 'layer_1.safetensors']")
    (missing,) = elsewhere(code, [REPO], cache, nowhere, offline=True)
    assert "layer_1.safetensors" in str(missing)
    assert "`hf download" in str(missing)


@pytest.mark.slow
def test_a_config_may_name_files_on_the_hub(tmp_path: Path) -> None:
    FORMATS["gemma-scope"].save(tmp_path / "repo", WEIGHTS)
    names = [path.relative_to(tmp_path / "repo").as_posix() for path in sorted((tmp_path / "repo").rglob("*.npz"))]
    (tmp_path / "here").mkdir()
    write_yaml(tmp_path / "here", transcoders=[f"hf://{REPO}/{name}?revision=v2" for name in names])
    with serve(tmp_path / "repo") as (endpoint, downloaded):
        answer = elsewhere(LOAD, [str(tmp_path / "here")], tmp_path / "cache", endpoint)
        assert answer == [WEIGHTS[0].b_dec.tolist()]
        assert sorted(downloaded) == names
