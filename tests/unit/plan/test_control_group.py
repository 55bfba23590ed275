"""Files laid out as the kernel does for both versions of control groups, and as containers show them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from distributed_tracer.plan import machine
from distributed_tracer.plan.control_group import Kills, MemoryLimit, memory_limits, num_processors

V2 = "31 23 0:28 {shown} /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"
V1 = (
    "35 31 0:32 {shown} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 31 0:29 {shown} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
NONE = 9223372036854771712


def machine_of(root: Path, mounts: str, own: str, files: Mapping[str, str | int], shown: str = "/") -> Path:
    """A root with what /proc says of this process, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("22 1 0:1 / /proc rw - proc proc rw\n" + mounts.format(shown=shown))
    (root / "proc/self/cgroup").write_text(own)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def found(root: Path) -> list[tuple[int, int]]:
    return sorted((one.limit, one.free) for one in memory_limits(root))


SLURM = {  # the step has no limit of its own, the job above has
    "slurm/job_7/step_0/memory.max": "max",
    "slurm/job_7/step_0/memory.current": 10,
    "slurm/job_7/step_0/memory.stat": "anon 6\nactive_file 3\ninactive_file 1",
    "slurm/job_7/memory.max": 4000,
    "slurm/job_7/memory.high": 3000,
    "slurm/job_7/memory.current": 1500,
    "slurm/job_7/memory.stat": "anon 900\nactive_file 100\ninactive_file 400\nshmem 100",
    "slurm/memory.max": 9000,
    "slurm/memory.current": 8999,
    "slurm/job_7/step_0/cpu.max": "max 100000",
    "slurm/job_7/cpu.max": "150000 100000",
    "slurm/job_7/step_0/memory.events": "low 0\nmax 12\noom 3\noom_kill 2",
}


def test_of_version_2_all_groups_above_count_and_cached_files_do_not(tmp_path: Path) -> None:
    root = machine_of(tmp_path, V2, "0::/slurm/job_7/step_0\n", SLURM)
    assert found(root) == [(3000, 2000), (4000, 3000), (9000, 1)]
    assert num_processors(root) == 1.5


def test_of_version_1_a_limit_further_up_counts_though_its_group_is_not_seen(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": NONE,
        "memory/memory.usage_in_bytes": 1000,
        "memory/memory.stat": "active_file 1\nhierarchical_memory_limit 5000\ntotal_active_file 300\n"
        "total_inactive_file 100",
        "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1",
        "cpu,cpuacct/cpu.cfs_quota_us": 50000,
        "cpu,cpuacct/cpu.cfs_period_us": 100000,
    }
    own = "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n"
    root = machine_of(tmp_path, V1, own, files, shown="/docker/abc")
    assert found(root) == [(5000, 4400)]
    assert num_processors(root) == 0.5


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        ("0::/\n", "/"),  # a namespace of its own
        ("0::/docker/abc\n", "/docker/abc"),  # the machine's paths, of which its own is mounted
        ("0::/docker/abc\n", "/"),  # the machine's path, which is not there
        ("0::/../elsewhere\n", "/"),  # outside of the namespace
    ],
)
def test_a_container_finds_its_group_however_it_is_told_of_it(own: str, shown: str, tmp_path: Path) -> None:
    root = machine_of(tmp_path, V2, own, {"memory.max": 700, "memory.current": 900}, shown)
    assert found(root) == [(700, 0)], "more may be in use for a moment"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"memory.max": "max", "memory.current": 5, "cpu.max": "max 100000"},
        {"memory.max": "", "memory.current": 5, "cpu.max": ""},
        {"memory/memory.limit_in_bytes": NONE, "memory/memory.usage_in_bytes": 1, "cpu,cpuacct/cpu.cfs_quota_us": -1},
    ],
)
def test_without_limits_there_are_none(files: Mapping[str, str | int], tmp_path: Path) -> None:
    root = machine_of(tmp_path, V1 + V2, "4:memory:/\n2:cpu,cpuacct:/\n0::/\n", files)
    assert (memory_limits(root), num_processors(root), Kills.here(root)) == ([], None, None)
    assert memory_limits(tmp_path / "no kernel") == []


def test_the_kernels_kills_are_counted_from_when_a_process_began(tmp_path: Path) -> None:
    kills = Kills.here(machine_of(tmp_path, V2, "0::/slurm/job_7/step_0\n", SLURM))
    assert kills is not None
    assert (kills.count, kills.limit, kills.more()) == (2, 3000, 0)
    kills.file.write_text("oom_kill 4\n")
    assert kills.more() == 2
    kills.file.unlink()
    assert kills.more() == 0, "the group has gone"


def test_free_memory_and_cores_are_what_the_lowest_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    without, cores = machine.free_cpu_bytes(), machine.num_cores()
    limits = [MemoryLimit(2**60, 0, Path("/a")), MemoryLimit(2**26, 2**25, Path("/a/b"))]
    monkeypatch.setattr(machine, "memory_limits", lambda: limits)
    assert machine.free_cpu_bytes() == 2**25 < without
    for quota, expected in ((0.2, 1), (1.9, 1), (1000.0, cores), (None, cores)):
        monkeypatch.setattr(machine, "num_processors", lambda quota=quota: quota)
        assert machine.num_cores() == expected
