"""The project's own wheel, from what is installed and from the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from tiny_wheels import write_wheel

from distributed_tracer.errors import BundleError
from distributed_tracer.ops.bundle.project_wheel import project_wheel, repacked


def install(wheel: Path, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--no-index", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True, timeout=120)


def test_an_installed_package_becomes_a_wheel_that_pip_installs_alike(tmp_path: Path) -> None:
    install(write_wheel(tmp_path / "made", "some-name"), tmp_path / "first")
    (installed,) = distributions(path=[str(tmp_path / "first")])
    wheel = repacked(installed, tmp_path)
    assert wheel.name == "some_name-1.0-py3-none-any.whl"
    install(wheel, tmp_path / "second")
    for folder in ("some_name", "some_name-1.0.dist-info"):
        names = sorted(path.name for path in (tmp_path / "first" / folder).glob("*.*"))
        assert sorted(path.name for path in (tmp_path / "second" / folder).glob("*.*")) == names
    assert (tmp_path / "second" / "some_name" / "__init__.py").read_text() == "version = '1.0'\n"


@pytest.mark.slow
def test_a_checkout_becomes_a_wheel_with_its_data_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    before = sorted(path.name for path in root.iterdir())
    try:
        wheel = project_wheel(tmp_path)
    except BundleError as error:  # building needs setuptools
        if "No matching distribution found for setuptools" in str(error):
            pytest.skip("no package index can be reached, and setuptools comes from one")
        raise
    assert sorted(path.name for path in root.iterdir()) == before
    names = zipfile.ZipFile(wheel).namelist()
    for file in ("ops/bundle/install_offline.sh", "ops/bundle/bundle.py", "store/FORMAT.md", "py.typed"):
        assert f"distributed_tracer/{file}" in names


def test_a_build_that_fails_shows_no_password(refusing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", refusing)
    with pytest.raises(BundleError, match=r"pip cannot build a wheel of distributed-tracer: .*setuptools") as caught:
        project_wheel(tmp_path)
    assert "open-sesame" not in str(caught.value)
    assert "somebody" not in str(caught.value)
