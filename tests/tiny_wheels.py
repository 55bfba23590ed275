"""Wheels of packages that do nothing, for tests of downloading and installing."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path


def write_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    needs: Sequence[str] = (),
    tag: str = "py3-none-any",
    extras: Sequence[str] = (),
) -> Path:
    """Write a wheel with one module of that name, and with a vendored package's metadata, as setuptools has."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Requires-Dist: {need}\n" for need in needs] + [f"Provides-Extra: {extra}\n" for extra in extras]
    module = name.replace("-", "_")
    files = {
        f"{module}/__init__.py": f"version = {version!r}\n",
        f"{module}/_vendor/other-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1\n",
        f"{stem}.dist-info/METADATA": "".join(metadata),
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{stem}.dist-info/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in {**files, f"{stem}.dist-info/RECORD": record}.items():
            archive.writestr(file, content)
    return path
