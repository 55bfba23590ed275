"""Which wheels fit a machine, and which requirements hold there."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement
from packaging.tags import platform_tags

from distributed_tracer.errors import ConfigError
from distributed_tracer.ops.bundle.wheel_target import Target

X86 = Target("3.12", ("manylinux_2_28_x86_64",))


def test_a_newer_glibc_runs_what_was_built_for_an_older_one() -> None:
    tags = X86.tags
    assert tags[0] == "manylinux_2_28_x86_64"
    assert "manylinux_2_29_x86_64" not in tags
    old = ["manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    assert [tag for tag in tags if tag in old] == old


def test_the_tags_of_a_glibc_are_those_that_the_packaging_library_gives_for_this_machine() -> None:
    here = list(platform_tags())
    newest = next(tag for tag in here if tag.startswith("manylinux_2_"))
    target = Target("3.11", (newest,))
    assert set(target.tags) == set(here)
    assert [tag for tag in target.tags if tag.startswith("many")] == [tag for tag in here if tag.startswith("many")]
    assert f"linux_{target.machine}" in here


def test_markers_are_judged_for_the_target_and_not_for_this_python() -> None:
    for marker, holds in (
        ("python_version >= '3.12'", True),
        ("python_version < '3.12'", False),
        ("python_full_version < '3.12.4'", True),
        ("python_full_version >= '3.12.4'", True),
        ("sys_platform == 'win32'", False),
        ("platform_machine == 'x86_64' and platform_system == 'Linux'", True),
        ("platform_machine == 'aarch64'", False),
        ("extra == 'plots'", False),
    ):
        assert X86.wants(Requirement(f"a; {marker}"), frozenset()) is holds, marker
    assert X86.wants(Requirement("a; extra == 'plots'"), frozenset({"plots"}))


@pytest.mark.parametrize(
    ("python", "platforms", "message"),
    [
        ("3", ("manylinux_2_28_x86_64",), "--python is a version like 3.11, not '3'"),
        ("3.11.2", ("manylinux_2_28_x86_64",), "--python is a version like 3.11"),
        ("3.11", ("win_amd64",), "--platform is a Linux tag of wheels like manylinux_2_28_x86_64, not 'win_amd64'"),
        ("3.11", (), "give --platform"),
        ("3.11", ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64"), "one kind of machine"),
    ],
)
def test_what_is_no_target_is_refused(python: str, platforms: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Target(python, platforms)
