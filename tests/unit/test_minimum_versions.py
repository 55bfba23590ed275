"""What the environment of the oldest versions is made of."""

from __future__ import annotations

import tomllib

import pytest
from minimum_versions import PYPROJECT, oldest
from packaging.version import Version


def test_the_oldest_ray_that_is_accepted_has_tokens() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    (ray,) = (line for line in oldest(project["dependencies"]) if line.startswith("ray"))
    assert Version(ray.partition("==")[2]) >= Version("2.52")


def test_a_lower_bound_becomes_the_version_and_a_marker_decides() -> None:
    asked = ["torch>=2.6", "Ray[default]>=2.44,<3", "old>=1.0; python_version < '3.0'"]
    assert list(oldest(asked)) == ["torch==2.6", "Ray[default]==2.44"]
    assert list(oldest(asked, without=["torch"])) == ["Ray[default]==2.44"]


def test_a_requirement_without_a_lower_bound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pyyaml in pyproject\.toml has no lower bound"):
        list(oldest(["pyyaml"]))
