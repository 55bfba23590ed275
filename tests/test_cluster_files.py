"""Files for clusters are accepted by those who read them: Ray's own parsers, KubeRay's schemas, ShellCheck."""

from __future__ import annotations

import ast
import copy
import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start as ray_start

ROOT = Path(__file__).parent.parent
RAY_UP = ["ray_config.yaml", "cluster/ray_config_aws.yaml"]
MANIFESTS = {"RayCluster": "kuberay-raycluster.yaml", "RayJob": "kuberay-rayjob.yaml"}


def load_yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def ray_start_options(command: str) -> dict[str, Any]:
    """What Ray makes of the arguments after `ray start`. Unknown options raise."""
    words = shlex.split(command)
    arguments = words[words.index("start") + 1 :]
    return dict(ray_start.make_context("ray start", arguments).params)


# ---- ray up


@pytest.mark.parametrize("file", RAY_UP)
def test_ray_up_accepts_the_cluster_config(file: str) -> None:
    validate_config(prepare_config(load_yaml(file)))


@pytest.mark.parametrize("file", RAY_UP)
def test_ray_up_would_refuse_a_misspelt_key(file: str) -> None:
    config = load_yaml(file)
    config["max_wrokers"] = 2
    with pytest.raises(jsonschema.ValidationError, match="max_wrokers"):
        validate_config(prepare_config(config))


def test_all_listed_machines_join_from_the_start() -> None:
    config = load_yaml("ray_config.yaml")
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])


@pytest.mark.parametrize("file", RAY_UP)
@pytest.mark.parametrize("kind", ["head", "worker"])
def test_every_machine_starts_ray_with_options_it_knows_and_with_a_token(file: str, kind: str) -> None:
    commands = load_yaml(file)[f"{kind}_start_ray_commands"]
    (start,) = (command for command in commands if "ray start" in command)
    assert "RAY_AUTH_MODE=token" in start
    assert "HF_HUB_OFFLINE=1" in start
    options = ray_start_options(start)
    assert options["head"] == (kind == "head")
    assert options["dashboard_host"] in ("127.0.0.1", "localhost", None)


@pytest.mark.parametrize("file", RAY_UP)
def test_what_ray_up_copies_is_there(file: str) -> None:
    mounts = load_yaml(file)["file_mounts"]
    assert all((ROOT / local).exists() for local in mounts.values() if not local.startswith("~"))


# ---- Slurm


def slurm_script() -> str:
    return (ROOT / "cluster" / "slurm.sbatch").read_text(encoding="utf-8")


@pytest.mark.parametrize("where", ["head", "address"])
def test_slurm_nodes_start_ray_with_options_it_knows_and_tokens(where: str) -> None:
    script = slurm_script()
    assert "export RAY_AUTH_MODE=token" in script
    chosen = re.search(rf"where=\((--{where}.*?)\)", script)
    common = re.search(r"\" (ray start .*) </dev/null", script)
    assert chosen is not None
    assert common is not None
    command = common[1].replace('"${where[@]}"', chosen[1]).replace('"${SLURM_GPUS_ON_NODE:-0}"', "1")
    options = ray_start_options(command.replace("$1", "10.0.0.1"))
    assert (options["head"], options["block"], options["num_gpus"]) == (where == "head", False, 1)
    if where == "head":
        assert options["dashboard_host"] == "127.0.0.1"
    else:
        assert options["address"] == "10.0.0.1:6379"


def test_slurm_warns_the_batch_script_before_the_time_is_over_and_nodes_are_its_own() -> None:
    lines = slurm_script().splitlines()
    assert {"#SBATCH --signal=B:TERM@300", "#SBATCH --exclusive", "#SBATCH --requeue"} <= set(lines)


INSTALLERS = ("cluster/install_offline.sh", "distributed_tracer/ops/bundle/install_offline.sh")


@pytest.mark.parametrize("script", ["cluster/slurm.sbatch", *INSTALLERS, ".ci/run"])
def test_shell_scripts_pass_shellcheck(script: str) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or "shellcheck"
    done = subprocess.run([shellcheck, str(ROOT / script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# ---- Kubernetes


def schema(kind: str) -> Any:
    return json.loads(gzip.decompress((ROOT / "tests" / "schemas" / f"{kind}.schema.json.gz").read_bytes()))


def cluster_spec(kind: str) -> Any:
    spec = load_yaml(f"cluster/{MANIFESTS[kind]}")["spec"]
    return spec["rayClusterSpec"] if kind == "RayJob" else spec


def pods(kind: str) -> Iterator[Any]:
    spec = cluster_spec(kind)
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        yield group["template"]["spec"]


@pytest.mark.parametrize("kind", MANIFESTS)
def test_kuberay_accepts_the_manifest(kind: str) -> None:
    manifest = load_yaml(f"cluster/{MANIFESTS[kind]}")
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", kind)
    jsonschema.validate(manifest, schema(kind))


@pytest.mark.parametrize("kind", MANIFESTS)
def test_kuberay_would_refuse_a_misspelt_key(kind: str) -> None:
    manifest = copy.deepcopy(load_yaml(f"cluster/{MANIFESTS[kind]}"))
    spec = manifest["spec"]["rayClusterSpec"] if kind == "RayJob" else manifest["spec"]
    spec["workerGroupSpecs"][0]["minReplica"] = 2
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        jsonschema.validate(manifest, schema(kind))


@pytest.mark.parametrize("kind", MANIFESTS)
def test_every_pod_is_locked_down_and_has_shared_memory(kind: str) -> None:
    assert cluster_spec(kind)["authOptions"] == {"mode": "token"}
    for pod in pods(kind):
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        (container,) = pod["containers"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert "/dev/shm" in {mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
        assert volumes["shm"]["emptyDir"]["medium"] == "Memory"


def test_both_manifests_describe_the_same_machines() -> None:
    cluster, job = cluster_spec("RayCluster"), copy.deepcopy(cluster_spec("RayJob"))
    head = job["headGroupSpec"]["template"]["spec"]  # a RayJob's head also has the job file
    head["volumes"] = [volume for volume in head["volumes"] if volume["name"] != "job"]
    head["containers"][0]["volumeMounts"].pop()
    assert cluster == job


def test_manifests_and_constraints_name_the_same_ray() -> None:
    pinned = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert pinned is not None
    assert cluster_spec("RayCluster")["rayVersion"] == pinned[1]


# ---- image, jobs, make


def test_what_the_image_copies_is_there_and_it_does_not_run_as_root() -> None:
    lines = (ROOT / "cluster" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]]
    assert "distributed_tracer" in copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000"]


JOBS = sorted((ROOT / "jobs").glob("*.py"))


@pytest.mark.parametrize("job", [path for path in JOBS if "def job(" in path.read_text()], ids=lambda path: path.name)
def test_every_job_file_gives_a_whole_configuration(job: Path) -> None:
    code = "import runpy, sys; print(type(runpy.run_path(sys.argv[1])['job']()).__name__)"
    done = subprocess.run([sys.executable, "-c", code, str(job)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "JobConfig", done.stderr
    assert "job" in {node.name for node in ast.parse(job.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    "target",
    [
        "demo",
        "test",
        "test-all",
        "test-thorough",
        "test-kernels",
        "test-minimum",
        "check",
        "format",
        "bench",
        "hashes",
        "audit",
        "clean",
        "help",
    ],
)
def test_make_knows_its_targets_and_help_lists_them(target: str) -> None:
    dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    assert re.search(rf"^{target} ", shown.stdout, flags=re.MULTILINE)
