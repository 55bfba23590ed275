"""The other side: a bundle is checked and installed, and runs where there is no network at all."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jobs_of_cases import plain_rows, write_prompts
from tiny_wheels import write_wheel

from distributed_tracer.cli.main import main
from distributed_tracer.ops.bundle.bundle import INSTALLER, BundleRequest, make_bundle
from distributed_tracer.ops.bundle.manifest import Manifest, read_manifest
from distributed_tracer.ops.bundle.wheel_target import PLATFORM, this_python
from distributed_tracer.store.reader import open_store

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo"
SETTINGS = {"TRANSFORMERS_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
# A network namespace has its own loopback, which is down, and no other device.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", 0x41))  # SIOCSIFFLAGS: up and running
devices = [line.split(":")[0].strip() for line in open("/proc/self/net/dev").readlines()[2:]]
routes = open("/proc/self/net/route").readlines()[1:]
assert (devices, routes) == (["lo"], []), (devices, routes)
os.execv(sys.argv[1], sys.argv[1:])
"""


def alone(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """distributed-tracer where there is no network."""
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let its users make network namespaces (unshare -rn)")
    command = ["unshare", "-rn", sys.executable, "-c", ALONE, sys.executable, "-m", "distributed_tracer", *args]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280, check=False
    )


def inputs(bundle: Path, model: str = "", transcoders: str = "") -> list[str]:
    """Flags for what is in the bundle, or for another model or other transcoders."""
    return [
        *("--model", model or str(bundle / "model"), "--transcoders", transcoders or str(bundle / "transcoders")),
        *("--prompts", str(bundle / "prompts.jsonl"), "--max-feature-nodes", "256", "--threads", "1"),
    ]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's model, transcoders and six of its prompts."""
    folder = tmp_path_factory.mktemp("offline")
    prompts = folder / "six.jsonl"
    prompts.write_text("".join((DEMO / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[::61][:6]))
    wanted = BundleRequest(str(DEMO / "model"), str(DEMO / "transcoders" / "plt"), str(prompts))
    make_bundle(folder / "bundle", wanted, lambda line: None)
    return folder / "bundle"


@pytest.fixture(scope="module")
def digest_with_network(bundle: Path) -> str:
    store = str(bundle.with_name("with-network"))
    assert main(["trace", *inputs(bundle), "--store", store, "--local"]) == 0
    return open_store(store).digest()


@pytest.mark.slow
def test_without_network_this_process_stores_the_same(bundle: Path, digest_with_network: str, tmp_path: Path) -> None:
    done = alone("trace", *inputs(bundle), "--store", str(tmp_path / "store"), "--local")  # nor told to be offline
    assert done.returncode == 0, done.stderr
    assert "6 done" in done.stdout
    assert "Retrying" not in done.stderr
    assert open_store(str(tmp_path / "store")).digest() == digest_with_network


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.thorough
def test_without_network_two_workers_store_the_same(bundle: Path, digest_with_network: str, tmp_path: Path) -> None:
    ray = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short: sockets in it may have 107 characters
    try:
        options = ["--store", str(tmp_path / "store"), "--workers", "2"]
        done = alone("trace", *inputs(bundle), *options, RAY_TMPDIR=ray, HF_HUB_OFFLINE="1", **SETTINGS)
    finally:
        shutil.rmtree(ray, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert "6 done" in done.stdout
    assert open_store(str(tmp_path / "store")).digest() == digest_with_network


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "offline"),
    [
        ("demo/modle", "1"),
        ("gpt-two@v1", "0"),
        pytest.param("demo/modle", "0", marks=pytest.mark.thorough),
        pytest.param("gpt-two@v1", "1", marks=pytest.mark.thorough),
    ],
)
def test_a_mistyped_model_fails_at_once_and_says_what_to_do(bundle: Path, model: str, offline: str) -> None:
    done = alone("plan", *inputs(bundle, model), HF_HUB_OFFLINE=offline, HF_HOME=str(bundle / "none"))
    assert done.returncode == 1
    assert f"cannot read config.json of model {model.partition('@')[0]!r} (no such directory" in done.stderr
    assert "`distributed-tracer bundle`" in done.stderr
    assert len(done.stderr.splitlines()) == 1, "each retry of the hub's client is a line"


@pytest.mark.slow
@pytest.mark.parametrize("offline", ["0", pytest.param("1", marks=pytest.mark.thorough)])
def test_mistyped_transcoders_fail_at_once_and_say_what_to_do(bundle: Path, offline: str) -> None:
    wanted = inputs(bundle, transcoders="demo/transcoders/ptl")
    done = alone("plan", *wanted, HF_HUB_OFFLINE=offline, HF_HOME=str(bundle / "none"))
    assert done.returncode == 1
    assert "demo/transcoders/ptl: no such directory here, and the list of files cannot be had" in done.stderr
    assert "`distributed-tracer bundle`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@contextmanager
def silence() -> Iterator[str]:
    """The address of a hub that takes connections and never answers, as behind a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
def test_a_hub_that_never_answers_costs_seconds(bundle: Path) -> None:
    with silence() as endpoint:
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(bundle / "none"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-m", "distributed_tracer", "plan"]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        asking = {  # both wait at once
            name: subprocess.Popen([*command, *wanted], cwd=ROOT, env=environment, **pipes)
            for name, wanted in {
                "model": inputs(bundle, model="org/name"),
                "transcoders": inputs(bundle, transcoders="org/name"),
            }.items()
        }
        # 120 seconds: 10 of waiting, and what imports take on a busy machine
        errors = {name: process.communicate(timeout=120)[1] for name, process in asking.items()}
    for name, process in asking.items():
        assert process.returncode == 1, name
        assert "no such directory" in errors[name]


# ---- install_offline.sh


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    """A bundle for this machine whose one package does nothing."""
    folder = tmp_path / "my bundle"
    wheel = write_wheel(folder / "wheels", "nothing-much")
    shutil.copy(ROOT / "distributed_tracer" / "ops" / "bundle" / INSTALLER, folder)
    write_prompts(folder / "prompts.jsonl", plain_rows(1))
    tag = PLATFORM.replace("x86_64", platform.machine())
    packages = {"python": this_python(), "platforms": [tag], "install": "nothing-much==1.0", "torch_index": None}
    manifest = Manifest(complete=True, packages=packages)
    for path in (wheel, folder / INSTALLER, folder / "prompts.jsonl"):
        manifest.record(path.relative_to(folder).as_posix(), path)
    manifest.write(folder)
    return folder


def install(
    bundle: Path, *args: str, scripts: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str((scripts or bundle) / INSTALLER), str(bundle), *args],
        cwd=bundle.parent,
        env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_an_undamaged_bundle_is_installed_and_the_next_command_is_printed(arrived: Path) -> None:
    venv = arrived.parent / "an env"
    for _ in range(2):  # completing an environment is allowed
        done = install(arrived, str(venv), PIP_USER="1")  # as pip is often set on shared machines; refused in venvs
        assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout.partition("Next:")[2].replace("\\\n", ""))
    assert words[:4] == [
        *("HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "RAY_USAGE_STATS_ENABLED=0"),
        str(venv / "bin" / "distributed-tracer"),
    ]
    assert words[words.index("--prompts") + 1] == str(arrived / "prompts.jsonl")
    assert words[words.index("--model") + 1] == "MODEL"
    code = "import nothing_much; print(nothing_much.version)"
    here = subprocess.run([venv / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    assert here.stdout == "1.0\n"


def change(bundle: Path, **entries: object) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["packages"].update({key: value for key, value in entries.items() if key in manifest["packages"]})
    manifest.update({key: value for key, value in entries.items() if key in manifest})
    path.write_text(json.dumps(manifest))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


WHEEL = "wheels/nothing_much-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: flip(b / WHEEL), f"{WHEEL} is damaged"),
        (lambda b: (b / WHEEL).unlink(), f"{WHEEL} is missing"),
        (lambda b: (b / "prompts.jsonl").write_text(""), "prompts.jsonl is damaged (0 bytes"),
        (lambda b: write_wheel(b / "wheels", "nothing-much", "1.1"), "1.1-py3-none-any.whl is not in the manifest"),
        (lambda b: (b / "manifest.json").unlink(), "is no bundle"),
        (lambda b: change(b, complete=False), "is not finished"),
        (lambda b: change(b, format=2), "was made by another version"),
        (lambda b: change(b, python="3.99"), "the bundle is for CPython 3.99, and"),
        (lambda b: change(b, platforms=["manylinux_2_28_s390x"]), "the bundle is for manylinux_2_28_s390x, and this"),
        (
            lambda b: change(b, platforms=[f"manylinux_2_99_{platform.machine()}"]),
            "bundle again with another --platform",
        ),
        (lambda b: (b.parent / "env").mkdir(), "env exists and is no virtual environment"),
    ],
)
def test_nothing_is_installed_where_something_is_wrong(arrived: Path, damage: object, message: str) -> None:
    assert callable(damage)
    damage(arrived)
    done = install(arrived, "env")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (arrived.parent / "env" / "bin").exists()


def test_a_bundle_without_wheels_is_checked_all_the_same(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    assert read_manifest(copy).packages is None
    done = install(copy)
    assert done.returncode == 0, done.stderr
    assert f"--model {copy}/model --transcoders {copy}/transcoders --prompts {copy}/prompts.jsonl" in done.stdout
    assert install(copy, scripts=ROOT / "cluster").stdout == done.stdout, "the same from a checkout"
    assert main(["verify-bundle", str(copy)]) == 0
    flip(copy / "model" / "model.safetensors")
    assert "model/model.safetensors is damaged" in install(copy).stderr
    assert main(["verify-bundle", str(copy)]) == 1
