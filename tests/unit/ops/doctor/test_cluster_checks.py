"""What is said about made-up answers of nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distributed_tracer.artifacts.fingerprint import Files
from distributed_tracer.ops.doctor.cluster_checks import compare
from distributed_tracer.ops.doctor.node_checks import Finding, merge_findings
from distributed_tracer.ops.doctor.node_report import (
    ClusterReport,
    Driver,
    Gpu,
    NodeReport,
    StoreCheck,
    UnreachableNode,
)

VERSIONS = {"distributed_tracer": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6", "code": "aaaa"}
MODEL = Files("/shared/m", "/shared/m", digests={"config.json": "7:ab", "model.safetensors": "9:cd"}, num_bytes=16)
STORE = StoreCheck("/shared/store", create_only=True, shared=True)
A100 = Gpu("A100", "580.1", 80 * 2**30, 80 * 2**30)
GOOD = NodeReport(
    host="a",
    versions=VERSIONS,
    gpus=(),
    gpu_error="",
    num_cores=8,
    free_bytes=2**36,
    shm_bytes=2**35,
    temp_dir="/tmp/ray",
    temp_free_bytes=2**38,
    temp_bytes=2**39,
    offline=True,
    model=MODEL,
    store=STORE,
    node="a",
    address="10.0.0.1",
    ray_gpus=0.0,
    token_auth=True,
    clock_ahead_seconds=0.004,
    clock_error_seconds=0.002,
)


def findings(
    *answers: NodeReport, silences: tuple[UnreachableNode, ...] = (), driver: Driver | None = None
) -> list[Finding]:
    return [one for one in compare(ClusterReport(answers, silences, driver)) if one.severity != "info"]


def nodes(**changed: object) -> list[NodeReport]:
    """Three nodes, of which `c` is different."""
    return [GOOD, replace(GOOD, node="b"), replace(GOOD, node="c", **changed)]  # type: ignore[arg-type]


def test_of_nodes_that_are_alike_and_well_nothing_is_said() -> None:
    assert findings(*nodes(), driver=Driver(VERSIONS, replace(STORE, shared=None))) == []


@pytest.mark.parametrize(
    ("changed", "severity", "words"),
    [
        ({"versions": VERSIONS | {"torch": "2.6.0"}}, "problem", "torch differs: 2.13.0 on a, b; 2.6.0 on c"),
        ({"versions": VERSIONS | {"code": "bbbb"}}, "problem", "the code of distributed_tracer differs: aaaa on a, b"),
        ({"versions": VERSIONS | {"python": "3.11.2"}}, "warning", "python differs"),
        ({"versions": VERSIONS | {"torch": "absent"}}, "problem", "not installed: torch"),
        ({"model": replace(MODEL, digests={**MODEL.digests, "config.json": "7:ef"})}, "problem", "model (config.json)"),
        ({"model": replace(MODEL, digests={"config.json": "7:ab"})}, "problem", "model (model.safetensors) differs"),
        ({"model": replace(MODEL, damaged=("x has 1 bytes",))}, "problem", "model in /shared/m: x has 1 bytes"),
        ({"model": Files("/shared/m", None, "there is no directory")}, "problem", "there is no directory"),
        ({"model": Files("org/m", None, "not in the cache", on_hub=True)}, "problem", "not in the cache"),
        ({"model": replace(MODEL, num_bytes=2**37)}, "warning", "64.00 GiB of main memory are free"),
        ({"shm_bytes": 64 * 2**20}, "warning", "/dev/shm has 64.0 MiB"),
        ({"temp_free_bytes": 2**30}, "warning", "1.00 GiB of 512.00 GiB are free at /tmp/ray"),
        ({"temp_free_bytes": 2**35}, "warning", "32.00 GiB of 512.00 GiB are free"),
        ({"store": StoreCheck("/x", error="cannot create /x")}, "problem", "cannot be used: cannot create /x"),
        ({"store": replace(STORE, create_only=False)}, "problem", "lets a second creation replace the first"),
        ({"store": replace(STORE, shared=False)}, "problem", "is another one than the driver's"),
        (
            {"store": replace(STORE, left_over=".doctor-1")},
            "warning",
            ".doctor-1 in /shared/store could not be removed",
        ),
        ({"clock_ahead_seconds": 3.0}, "warning", "3.0 s (give or take 0.0) ahead of the driver's"),
        ({"clock_ahead_seconds": -1.5}, "warning", "behind the driver's"),
        ({"gpu_error": "nvidia-smi is installed and lists no GPU"}, "warning", "lists no GPU"),
        ({"ray_gpus": 2.0}, "warning", "Ray counts 2 GPUs, nvidia-smi 0"),
        ({"token_auth": False}, "warning", "asks for no token"),
        ({"offline": False}, "warning", "HF_HUB_OFFLINE differs: set on a, b; not set on c"),
    ],
)
def test_what_one_node_has_wrong_is_said_of_that_node(changed: dict[str, object], severity: str, words: str) -> None:
    said = [one for one in findings(*nodes(**changed)) if words in one.what]
    assert [(one.severity, one.nodes) for one in said] == [(severity, ("c",))]
    assert said[0].remedy


def test_a_skew_within_the_round_trip_is_none() -> None:
    assert findings(replace(GOOD, clock_ahead_seconds=2.5, clock_error_seconds=1.6)) == []


def test_a_cluster_on_loopback_needs_no_token() -> None:
    assert findings(replace(GOOD, token_auth=False, address="127.0.0.1")) == []


def test_a_silent_node_is_a_problem_with_its_reason() -> None:
    (found,) = findings(GOOD, silences=(UnreachableNode("b", "10.0.0.2", "no answer within 60 s"),))
    assert (found.severity, found.nodes, found.what) == ("problem", ("b",), "no answer within 60 s")


def test_the_driver_has_versions_and_a_store_too() -> None:
    driver = Driver(VERSIONS | {"numpy": "1.0"}, StoreCheck("/x", error="cannot create /x"))
    found = findings(GOOD, driver=driver)
    assert [one.nodes for one in found] == [("driver",)] * 2
    assert "numpy differs: 2.4.6 on a; 1.0 on driver" in found[1].what


def test_of_gpus_kind_memory_and_torch_are_looked_at() -> None:
    full = replace(A100, free_bytes=20 * 2**30)
    other = replace(GOOD, node="b", ray_gpus=1.0, gpus=(replace(A100, name="H100"),))
    found = findings(
        replace(GOOD, gpus=(A100, full), ray_gpus=2.0, versions=VERSIONS | {"torch": "2.13.0+cpu"}),
        replace(other, versions=VERSIONS | {"torch": "2.13.0+cpu"}),
        replace(GOOD, node="c", versions=VERSIONS | {"torch": "2.13.0+cpu"}),
    )
    said = {one.what: one.nodes for one in found}
    assert said["torch 2.13.0+cpu cannot use the GPUs"] == ("a", "b")
    assert said["GPU 1 has only 20.00 GiB of 80.00 GiB free"] == ("a",)
    assert said["the kind of GPU differs: A100 (driver 580.1) on a; H100 (driver 580.1) on b"] == ("b",)
    assert len(said) == 3


def test_the_same_said_of_many_nodes_is_one_finding_and_problems_come_first() -> None:
    many = [replace(GOOD, node=f"n{n}", shm_bytes=2**26) for n in range(50)]
    found = findings(replace(many[0], gpu_error="x"), *many[1:-1], replace(many[-1], store=StoreCheck("/x", "no")))
    assert [(one.severity, len(one.nodes)) for one in found] == [("problem", 1), ("warning", 1), ("warning", 50)]


def test_that_files_were_only_sampled_is_said() -> None:
    told = compare(ClusterReport((replace(GOOD, model=replace(MODEL, num_sampled=2)),)))
    assert any("2 large files are compared by size" in one.what and "--full-hash" in one.remedy for one in told)


def test_an_answer_goes_through_json_unchanged() -> None:
    answer = replace(GOOD, gpus=(A100,), transcoders=replace(MODEL, damaged=("cut",)))
    assert NodeReport.from_json(answer.to_json()) == answer
    with pytest.raises(TypeError, match="colour"):
        NodeReport.from_json(answer.to_json().replace('"host"', '"colour"'))


def test_what_each_kind_of_processor_can_is_said_once() -> None:
    answers = (GOOD, replace(GOOD, node="b", precision="slow"), replace(GOOD, node="c", precision="slow"))
    found = merge_findings(compare(ClusterReport(answers)))
    assert [finding for finding in found if finding.what == "slow"] == [Finding("info", ("b", "c"), "slow")]
