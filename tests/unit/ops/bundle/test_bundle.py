"""What gets into a bundle, what a second run keeps, and what is refused. Wheels have tests of their own."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hub_server import COMMIT, REPO, serve
from jobs_of_cases import CASE, plain_rows, write_prompts
from tiny_wheels import write_wheel

from distributed_tracer.artifacts.checkpoint_files import damaged
from distributed_tracer.errors import BundleError, ModelError, TranscoderError
from distributed_tracer.ops.bundle.bundle import BundleRequest, make_bundle, remove_stale_wheels
from distributed_tracer.ops.bundle.manifest import Manifest, read_manifest, verify
from distributed_tracer.ops.bundle.sources import model_source, transcoder_source
from distributed_tracer.transcoder.load import transcoder_shape

ROOT = Path(__file__).parents[4]
TRANSCODERS = ["config.yaml", *(f"layer_{layer}.safetensors" for layer in range(4))]


def make(out: Path, **wanted: str) -> list[str]:
    """What was said of the making."""
    said: list[str] = []
    make_bundle(out, BundleRequest(**wanted), said.append)
    return said


@pytest.fixture
def without_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of copying: a dry run is a process that imports everything, and others test it."""
    monkeypatch.setattr("distributed_tracer.ops.bundle.bundle._dry_run", lambda out, manifest, say: None)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model with files that no run reads, transcoders, and a compressed corpus of two prompts."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(CASE / "model", folder / "my model")
    (folder / "my model" / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "my model" / "original").mkdir()
    (folder / "my model" / "original" / "w.safetensors").write_bytes(b"again")
    shutil.copytree(CASE / "transcoders", folder / "transcoders")
    (folder / "transcoders" / "features").mkdir()
    (folder / "transcoders" / "features" / "layer_0.bin").write_bytes(b"large")
    prompts = write_prompts(folder / "facts.jsonl", plain_rows(2))
    packed = folder / "facts.jsonl.gz"
    packed.write_bytes(gzip.compress(prompts.read_bytes()))
    return {"model": str(folder / "my model"), "transcoders": str(folder / "transcoders"), "prompts": str(packed)}


@pytest.fixture(scope="module")
def made(sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "bundle"
    said = make(out, **sources)
    assert said[-1] == "dry run: llama of 4 layers, 2 prompts"
    return out


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.slow
def test_a_bundle_has_what_a_run_reads_and_says_where_it_came_from(bundle: Path, sources: dict[str, str]) -> None:
    manifest = verify(bundle)
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert files == manifest.files.keys() | {"manifest.json"}
    model = {path.name for path in (CASE / "model").iterdir()}
    assert {name.removeprefix("model/") for name in files if name.startswith("model/")} == model
    assert {name.removeprefix("transcoders/") for name in files if name.startswith("transcoders/")} == {*TRANSCODERS}
    assert (bundle / "prompts.jsonl.gz").read_bytes() == Path(sources["prompts"]).read_bytes()
    assert manifest.parts == {
        "model": {"path": "model", "origin": "my model", "revision": None},
        "transcoders": {"path": "transcoders", "origin": "transcoders", "revision": None},
        "prompts": {"path": "prompts.jsonl.gz", "origin": "facts.jsonl.gz", "revision": None},
    }
    assert str(ROOT) not in (bundle / "manifest.json").read_text()


@pytest.mark.usefixtures("without_dry_run")
def test_a_second_run_mends_what_is_damaged_and_copies_nothing_else(bundle: Path, sources: dict[str, str]) -> None:
    manifest = read_manifest(bundle)
    (bundle / "model" / "model.safetensors").write_bytes(b"torn")
    (bundle / "transcoders" / "layer_3.safetensors").unlink()
    said = make(bundle, **sources)
    copied = [line for line in said if line.startswith("copying")]
    assert copied == ["copying model/model.safetensors", "copying transcoders/layer_3.safetensors"]
    assert verify(bundle) == manifest


@pytest.mark.usefixtures("without_dry_run")
def test_a_run_that_was_killed_leaves_an_unfinished_bundle_that_the_next_completes(
    tmp_path: Path, sources: dict[str, str]
) -> None:
    out = tmp_path / "bundle"

    def killed(line: str) -> None:
        if line == "copying transcoders/layer_1.safetensors":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_bundle(out, BundleRequest(**sources), killed)
    with pytest.raises(BundleError, match="is not finished"):
        verify(out)
    copied = [line for line in make(out, **sources) if line.startswith("copying")]
    assert copied[0] == "copying transcoders/layer_1.safetensors"
    assert verify(out).complete


@pytest.mark.usefixtures("without_dry_run")
def test_another_source_replaces_its_part_and_leaves_the_others(bundle: Path, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "more.ndjson", plain_rows(3))
    make(bundle, prompts=str(prompts))
    manifest = verify(bundle)
    assert manifest.parts["prompts"]["path"] == "prompts.ndjson"
    assert not (bundle / "prompts.jsonl.gz").exists()
    assert "model/config.json" in manifest.files


@pytest.mark.slow
def test_what_a_run_would_refuse_is_refused_before_it_travels(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(CASE / "transcoders", other)
    (other / "layer_3.safetensors").unlink()
    with pytest.raises(BundleError, match=r"cannot be run: these transcoders do not fit .* is 3 in the transcoders"):
        make(bundle, transcoders=str(other))
    with pytest.raises(BundleError, match="is not finished"):
        verify(bundle)


def test_a_directory_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BundleError, match="exists and is no bundle; give a directory that is new or empty"):
        make(tmp_path)
    with pytest.raises(BundleError, match="exists and is no bundle"):
        make(tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_prompts_come_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not from standard input"):
        make(tmp_path / "bundle", prompts="-")


def test_a_model_without_its_weights_is_refused(tmp_path: Path) -> None:
    shutil.copytree(CASE / "model", tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "model-1.safetensors")
    with pytest.raises(ModelError, match=r"lacks model\.safetensors; weights are read from safetensors only"):
        model_source(str(tmp_path / "m"))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "m" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks model-2\.safetensors;"):
        model_source(str(tmp_path / "m"))


def test_transcoders_that_a_config_names_elsewhere_on_this_machine_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"transcoders": ["/somewhere/layer_0.safetensors"]}))
    with pytest.raises(
        TranscoderError, match=r"'/somewhere/layer_0\.safetensors', which is not among the files beside"
    ):
        transcoder_source(str(tmp_path))


def test_a_wheel_left_by_an_older_version_goes(tmp_path: Path) -> None:
    manifest, wheels = Manifest(), tmp_path / "wheels"
    kept = write_wheel(wheels, "kept", "1.0+cpu")
    for wheel in (kept, write_wheel(wheels, "old"), write_wheel(wheels, "torn"), write_wheel(wheels, "new-here")):
        manifest.record(f"wheels/{wheel.name}", wheel)
    write_wheel(wheels, "torn", needs=["more"])
    write_wheel(wheels, "unknown")
    remove_stale_wheels(tmp_path, manifest, {"kept": "1.0", "old": "2.0", "torn": "1.0"})
    assert sorted(path.name[:5] for path in wheels.iterdir()) == ["kept-", "new_h"]
    remove_stale_wheels(tmp_path, manifest, None)
    assert list(wheels.iterdir()) == []


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "distributed_tracer", "bundle", "--no-wheels", *args]


@pytest.mark.slow
def test_what_comes_from_the_hub_is_there_without_it(tmp_path: Path) -> None:
    repository, here = tmp_path / "repo", tmp_path / "here"
    shutil.copytree(CASE / "model", repository)
    shutil.copytree(CASE / "transcoders", repository / "sets" / "first")
    (repository / "pytorch_model.bin").write_bytes(b"pickled")
    here.mkdir()
    config = yaml.safe_load((CASE / "transcoders" / "config.yaml").read_text())
    config["transcoders"] = [f"hf://{REPO}/sets/first/layer_{n}.safetensors?revision=v2" for n in range(4)]
    (here / "config.yaml").write_text(yaml.safe_dump(config))
    settings = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    with serve(repository) as (endpoint, downloaded):
        environment = {**os.environ, **settings, "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"}
        for name, transcoders in (("a", f"{REPO}/sets/first@v2"), ("b", str(here))):
            args = ["--out", str(tmp_path / name), "--model", f"{REPO}@v2", "--transcoders", transcoders]
            done = subprocess.run(
                command(*args), env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
            )
            assert done.returncode == 0, done.stderr
    assert "pytorch_model.bin" not in downloaded
    parts = verify(tmp_path / "a").parts
    assert parts["model"] == {"path": "model", "origin": f"{REPO}@v2", "revision": COMMIT}
    assert parts["transcoders"]["revision"] == COMMIT
    names = [yaml.safe_load((tmp_path / "b/transcoders/config.yaml").read_text())["transcoders"][3]]
    assert names == ["user--tiny--v2/sets/first/layer_3.safetensors"]
    shapes = {transcoder_shape(str(tmp_path / name / "transcoders")) for name in "ab"}
    assert shapes == {transcoder_shape(str(CASE / "transcoders"))}


@pytest.mark.slow
def test_a_disk_without_room_is_noticed_before_copying(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=64k none '{tmp_path}'"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let its users mount in a namespace")
    program = " ".join(f"'{word}'" for word in command("--out", f"{tmp_path}/b", "--model", str(CASE / "model")))
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mount} && exec {program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "MB more are needed in" in done.stderr
    assert "0.1 MB are free" in done.stderr
    assert "copying" not in done.stderr


@pytest.mark.usefixtures("without_dry_run")
@pytest.mark.parametrize("name", ["../victim.txt", "prompts/../../victim.txt", "{outside}/victim.txt"])
def test_a_manifest_that_names_files_elsewhere_removes_none_of_them(tmp_path: Path, name: str) -> None:
    victim, out = tmp_path / "victim.txt", tmp_path / "bundle"
    victim.write_text("mine")
    out.mkdir()
    manifest = Manifest(parts={"prompts": {"path": "..", "origin": "x", "revision": None}})
    manifest.files[name.format(outside=tmp_path)] = {"sha256": "0" * 64, "bytes": 4}
    manifest.write(out)
    with pytest.raises(BundleError, match="which may be outside the bundle"):
        make(out, prompts=str(write_prompts(tmp_path / "p.jsonl", plain_rows(1))))
    assert victim.read_text() == "mine"


@pytest.mark.usefixtures("without_dry_run")
def test_symbolic_links_in_a_bundle_lead_no_writing_or_removing_out_of_it(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "bundle"
    outside.mkdir()
    (outside / "victim.txt").write_text("mine")
    out.mkdir()
    (out / "prompts").symlink_to(outside)
    manifest = Manifest(parts={"prompts": {"path": "prompts", "origin": "x", "revision": None}})
    manifest.files["prompts/victim.txt"] = {"sha256": "0" * 64, "bytes": 4}
    manifest.write(out)
    prompts = write_prompts(tmp_path / "p.jsonl", plain_rows(1))
    (out / "prompts.jsonl.part").symlink_to(outside / "victim.txt")
    (out / "manifest.json.part").symlink_to(outside / "victim.txt")
    with pytest.raises(BundleError, match="behind a symbolic link"):
        make(out, prompts=str(prompts))
    assert (outside / "victim.txt").read_text() == "mine"
    (out / "wheels").symlink_to(outside)
    with pytest.raises(BundleError, match="behind a symbolic link"):
        remove_stale_wheels(out, read_manifest(out), None)
    assert [path.name for path in outside.iterdir()] == ["victim.txt"]


@pytest.mark.parametrize("name", ["../w.safetensors", "/w.safetensors", "..\\w.safetensors"])
def test_weights_that_an_index_names_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    shutil.copytree(CASE / "model", tmp_path / "m")
    shutil.copy(tmp_path / "m/model.safetensors", tmp_path / "w.safetensors")
    index = tmp_path / "m/model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(
        ModelError, match=r"model '.*m': model.safetensors.index.json names .* which may be outside its directory"
    ):
        model_source(str(tmp_path / "m"))
    (damage,) = damaged(tmp_path / "m", ["model.safetensors", index.name])
    assert "which may be outside its directory" in damage
    index.write_text('{"weight_map": [1]}')
    with pytest.raises(ModelError, match="expected a weight_map"):
        model_source(str(tmp_path / "m"))


def test_transcoders_that_a_config_names_outside_its_directory_are_refused(tmp_path: Path) -> None:
    shutil.copytree(CASE / "transcoders", tmp_path / "t")
    config = tmp_path / "t/config.yaml"
    said = yaml.safe_load(config.read_text())
    for name in ("../t/layer_0.safetensors", str(tmp_path / "t/layer_0.safetensors"), "a\\layer_0.safetensors"):
        config.write_text(yaml.safe_dump({**said, "transcoders": [name] * 4}))
        with pytest.raises(TranscoderError, match="may be outside this directory"):
            transcoder_shape(str(tmp_path / "t"))


def test_the_installer_refuses_a_manifest_that_names_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    said = {"format": 1, "complete": True, "packages": None, "files": {"../x": {"sha256": "", "bytes": 0}}}
    (bundle / "manifest.json").write_text(json.dumps(said))
    script = ROOT / "distributed_tracer/ops/bundle/install_offline.sh"
    command = ["bash", str(script), str(bundle)]
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "names '../x', which is not in the bundle" in done.stderr
