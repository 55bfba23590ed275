"""Print the oldest versions that pyproject.toml accepts, as requirements with `==`: what `make test-minimum` installs.

python tests/minimum_versions.py [--without NAME ...] [--extras NAME ...]
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def oldest(requirements: Iterable[str], without: Iterable[str] = ()) -> Iterator[str]:
    """Yield the requirements pinned to their lower bounds. Raises ValueError for a requirement that has none."""
    for requirement in map(Requirement, requirements):
        if requirement.name in without or (requirement.marker is not None and not requirement.marker.evaluate()):
            continue
        bounds = [specifier.version for specifier in requirement.specifier if specifier.operator == ">="]
        if len(bounds) != 1:
            raise ValueError(f"{requirement} in pyproject.toml has no lower bound; give it one, name>=version")
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        yield f"{requirement.name}{extras}=={bounds[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="packages to leave out")
    parser.add_argument("--extras", nargs="*", default=[], metavar="NAME", help="optional dependencies to add")
    asked = parser.parse_args()
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    optional = [line for extra in asked.extras for line in project["optional-dependencies"][extra]]
    print("\n".join(oldest([*project["dependencies"], *optional], asked.without)))


if __name__ == "__main__":
    main()
