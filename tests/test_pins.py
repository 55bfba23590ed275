"""constraints.txt pins what pyproject.toml asks for, and hashes.txt says which files these versions are."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tiny_wheels import write_wheel

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^(\S+)==(\S+)(.*)$", flags=re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    found = [(canonicalize_name(name), version) for name, version, _ in PIN.findall(path.read_text())]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_hashes_and_constraints_pin_the_same_versions_and_only_torch_has_no_hash() -> None:
    pinned = pins(ROOT / "constraints.txt")
    del pinned["torch"]
    assert pins(ROOT / "hashes.txt") == pinned, "constraints.txt was changed: make hashes"


def test_every_version_has_the_hash_of_a_file() -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / "hashes.txt").read_text().strip())[1:]
    assert len(entries) > 100
    for entry in entries:
        assert re.fullmatch(r"\S+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+", entry), entry


def test_everything_that_pyproject_names_has_a_pin_that_it_accepts() -> None:
    pinned = pins(ROOT / "constraints.txt")
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = whole["project"]
    lines = project["dependencies"] + whole["build-system"]["requires"]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    for need in map(Requirement, lines):
        if need.name != project["name"]:
            assert need.specifier.contains(pinned[canonicalize_name(need.name)]), need


def test_make_refuses_a_wheel_with_other_content_than_its_hash_says(tmp_path: Path) -> None:
    commands = subprocess.run(
        ["make", "-n", "VENV=none", "none/.ready"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.replace("\\\n", " ")
    (line,) = (line for line in commands.splitlines() if "--require-hashes" in line)
    program, *words = shlex.split(line.partition("||")[0])
    assert program == "none/bin/python"
    wheel = write_wheel(tmp_path / "index", "tiny")
    known = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "hashes.txt").write_text(f"tiny==1.0 \\\n    --hash=sha256:{known}\n")
    environment = {
        **os.environ,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheel.parent),
    }

    def install(folder: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words, "--target", folder]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = install("good")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "good" / "tiny").exists()
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny/more.py", "print('changed')\n")
    done = install("changed")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert known in done.stderr
    assert not (tmp_path / "changed").exists()
