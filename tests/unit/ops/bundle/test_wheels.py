"""pip itself downloads tiny wheels from a folder: what is there in the end, and what is said when one is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny_wheels import write_wheel

from distributed_tracer.errors import BundleError
from distributed_tracer.ops.bundle.wheel_target import Target, this_python
from distributed_tracer.ops.bundle.wheels import collect, extras_here, installed_versions

TARGET = Target("3.12", ("manylinux_2_28_x86_64",))
OWN = Requirement("own[plots]==1.0")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def fill(wheels: Path, pins: dict[str, str], torch_index: str | None = None) -> list[str]:
    """Names in the folder, and how often progress was saved after them."""
    saved: list[int] = []
    collect(wheels, OWN, TARGET, pins, torch_index, lambda line: None, lambda: saved.append(1))
    return [*sorted(path.name for path in wheels.iterdir()), str(len(saved))]


def test_all_that_is_needed_over_there_comes_in_the_versions_installed_here(index: Path, tmp_path: Path) -> None:
    needs = ["leaf>=1", "old; python_version < '3.12'", "plotter; extra == 'plots'", "dev-tool; extra == 'dev'"]
    wheels = tmp_path / "wheels"
    write_wheel(wheels, "own", needs=needs)
    for version in ("1.0", "1.1", "2.0"):
        write_wheel(index, "leaf", version, ["deeper[fast]; python_version >= '3.12'"])
    write_wheel(index, "deeper", needs=["quick<3; extra == 'fast'", "slow; extra == 'slow'", "leaf"])
    for version in ("2.5", "3.0"):
        write_wheel(index, "quick", version)  # not installed here: its limits alone count
    write_wheel(index, "plotter", tag="cp312-cp312-manylinux2014_x86_64")
    write_wheel(index, "plotter", tag="cp312-cp312-manylinux_2_31_x86_64")
    pins = {"leaf": "1.1", "deeper": "1.0", "plotter": "1.0"}
    wanted = [
        "deeper-1.0-py3-none-any.whl",
        "leaf-1.1-py3-none-any.whl",
        "own-1.0-py3-none-any.whl",
        "plotter-1.0-cp312-cp312-manylinux2014_x86_64.whl",
        "quick-2.5-py3-none-any.whl",
    ]
    assert fill(wheels, pins) == [*wanted, "4"]  # three rounds and the end
    write_wheel(wheels, "left-over")
    assert fill(wheels, pins) == [*wanted, "1"]


def test_a_wheel_that_the_platform_lacks_is_named(index: Path, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "own", needs=["leaf"])
    write_wheel(index, "leaf", "2.0", tag="cp312-cp312-manylinux_2_28_aarch64")
    write_wheel(index, "leaf", "1.0")
    with pytest.raises(BundleError, match=r"wheel of leaf==2\.0 for Python 3\.12 on manylinux_2_28_x86_64"):
        fill(tmp_path / "wheels", {"leaf": "2.0"})


def test_versions_that_do_not_go_together_are_told_before_the_bundle_travels(index: Path, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "own", needs=["leaf>=2"])
    write_wheel(index, "leaf", "1.0")
    with pytest.raises(BundleError, match=r"leaf>=2 is needed, but leaf 1\.0 is installed here"):
        fill(tmp_path / "wheels", {"leaf": "1.0"})


def test_a_version_that_pip_chose_and_a_later_package_refuses_is_not_blamed_on_this_environment(
    index: Path, tmp_path: Path
) -> None:
    write_wheel(tmp_path / "wheels", "own", needs=["first", "chosen"])
    write_wheel(index, "first", needs=["chosen<2"])
    write_wheel(index, "chosen", "2.5")
    with pytest.raises(
        BundleError, match=r"chosen<2 is needed, but pip chose chosen 2\.5, which is not installed here"
    ):
        fill(tmp_path / "wheels", {"first": "1.0"})


def test_a_requirement_with_an_address_is_downloaded_whatever_its_marker_says_of_this_python(
    index: Path, tmp_path: Path
) -> None:
    wheel = write_wheel(tmp_path / "elsewhere", "leaf")
    write_wheel(tmp_path / "wheels", "own", needs=[f"leaf @ {wheel.as_uri()} ; python_version == '{TARGET.python}'"])
    assert "leaf-1.0-py3-none-any.whl" in fill(tmp_path / "wheels", {})


@pytest.mark.skipif(this_python() == "3.14", reason="is the Python of the target")
def test_markers_of_indirect_requirements_hold_for_the_target(index: Path, tmp_path: Path) -> None:
    target = Target("3.14", ("manylinux_2_28_aarch64",))
    write_wheel(tmp_path / "wheels", "own", needs=["leaf"])
    write_wheel(index, "leaf", needs=["there; python_version == '3.14'", "here; python_version != '3.14'"])
    for name in ("there", "here"):
        write_wheel(index, name, tag="cp314-cp314-manylinux_2_17_aarch64")
    collect(tmp_path / "wheels", Requirement("own"), target, {}, None, lambda line: None, lambda: None)
    assert {path.name.partition("-")[0] for path in (tmp_path / "wheels").iterdir()} == {"own", "leaf", "there"}


def test_torch_comes_from_its_own_index_and_nothing_else_does(index: Path, tmp_path: Path) -> None:
    for package, version in (("torch", "2.13.0+cu999"), ("leaf", "1.0+cu999")):
        wheel = write_wheel(tmp_path / "torch-index" / package, package, version)
        wheel.with_name("index.html").write_text(f'<a href="{wheel.as_uri()}">{wheel.name}</a>')
    write_wheel(tmp_path / "wheels", "own", needs=["torch", "leaf"])
    write_wheel(index, "leaf")
    with pytest.MonkeyPatch.context() as settings:
        settings.delenv("PIP_NO_INDEX")
        settings.setenv("PIP_INDEX_URL", (tmp_path / "no-index").as_uri())
        names = fill(tmp_path / "wheels", {"torch": "2.13.0"}, (tmp_path / "torch-index").as_uri())
    assert names[:3] == ["leaf-1.0-py3-none-any.whl", "own-1.0-py3-none-any.whl", "torch-2.13.0+cu999-py3-none-any.whl"]


def test_an_index_that_refuses_is_named_and_its_password_is_neither_shown_nor_asked_for(
    refusing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", refusing)
    write_wheel(tmp_path / "wheels", "own", needs=["leaf"])
    said: list[str] = []
    with pytest.raises(BundleError, match=r"wheel of leaf for .* pip: Looking in .*//\.\.\.@127") as caught:
        collect(tmp_path / "wheels", Requirement("own"), TARGET, {}, None, said.append, lambda: None)
    assert "open-sesame" not in "".join([str(caught.value), *said])
    assert "somebody" not in "".join([str(caught.value), *said])


def test_a_local_build_is_asked_for_without_its_label(index: Path, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "own", needs=["torch>=2"])
    write_wheel(index, "torch", "2.13.0+cpu")
    assert "torch-2.13.0+cpu-py3-none-any.whl" in fill(tmp_path / "wheels", {"torch": "2.13.0"})


def test_no_version_installed_here_has_a_label() -> None:
    versions = installed_versions()
    assert versions["torch"].split(".")[0] >= "2"
    assert [version for version in versions.values() if "+" in version] == []


def test_extras_whose_packages_are_here_are_bundled_too(tmp_path: Path) -> None:
    needs = [
        "leaf",
        "draw; extra == 'plots'",
        "pack; python_version >= '3' and extra == 'zstd'",
        "lint; extra == 'dev'",
    ]
    own = write_wheel(tmp_path, "own", needs=needs, extras=["plots", "zstd", "dev"])
    assert extras_here(own, {"leaf": "1", "pack": "1", "lint": "1"}) == ["zstd"]
    assert extras_here(own, {"draw": "1", "pack": "1"}) == ["plots", "zstd"]
