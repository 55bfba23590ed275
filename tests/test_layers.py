"""Imports only go down the layers, and what an analyst's laptop or a login node needs never imports torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import distributed_tracer

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "distributed_tracer"
LAYERS = (
    ("errors", "shapes", "display", "redact"),
    ("documents",),
    ("given", "names", "control_group"),
    ("prompt", "config", "memory", "flags", "threads"),
    ("corpus", "model", "transcoder", "graph"),
    ("plan", "trace", "store", "content"),
    ("upkeep",),
    ("query", "export", "report", "intervene"),
    ("plot",),
    ("runtime",),
    ("intake", "provenance", "summary"),  # the steps of the pipeline
    ("pipeline", "validate", "doctor", "offline"),
    ("cli",),
    ("__init__", "__main__"),
)  # neighbours in a layer do not know each other
LAYER_OF = {part: number for number, parts in enumerate(LAYERS) for part in parts}
WITHOUT_TORCH = (
    "errors",
    "names",
    "display",
    "documents",
    "redact",
    "shapes",
    "given",
    "prompt",
    "config",
    "control_group",
    "memory",
    "flags",
    "corpus",
    "graph",
    "plan",
    "store",
    "upkeep",
    "content",
    "query",
    "export",
    "report",
    "plot",
    "doctor",
    "offline",
)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def part_of(path: Path) -> str:
    """The folder or file just below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path: Path) -> Iterator[str]:
    """Full dotted names of all that a file imports, also inside functions and under TYPE_CHECKING."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def upward_imports(path: Path) -> list[str]:
    here = part_of(path)
    wrong = []
    for name in imported_names(path):
        package, _, rest = name.partition(".")
        there = rest.partition(".")[0]
        if package != "distributed_tracer" or there in (here, "", "__version__"):
            continue
        if LAYER_OF.get(there, len(LAYERS)) >= LAYER_OF[here]:
            wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    return wrong


def test_every_part_of_the_package_has_a_layer() -> None:
    assert {part_of(path) for path in modules(PACKAGE)} <= set(LAYER_OF)


@pytest.mark.parametrize("part", LAYER_OF)
def test_imports_only_go_down(part: str) -> None:
    paths = modules(PACKAGE / part) or [PACKAGE / f"{part}.py"]
    assert [wrong for path in paths for wrong in upward_imports(path)] == []


def test_an_import_going_up_is_seen_wherever_it_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        from typing import TYPE_CHECKING
        from ..errors import StoreError
        from . import layout
        from .. import trace
        if TYPE_CHECKING:
            from ..query.edges import EdgeTable
        def late():
            import distributed_tracer.cli
    """
    path = tmp_path / "distributed_tracer" / "store" / "writer.py"
    path.parent.mkdir(parents=True)
    path.write_text(re.sub("^        ", "", source, flags=re.MULTILINE))
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "distributed_tracer")
    found = [wrong.split()[-1].removeprefix("distributed_tracer.") for wrong in upward_imports(path)]
    assert sorted(found) == ["cli", "query.edges.EdgeTable", "trace"]


@pytest.mark.parametrize("folder", ["jobs", "demo", "examples"])
def test_scripts_use_only_public_names_and_modules(folder: str) -> None:
    documented = set(re.findall(r"distributed_tracer(?:\.\w+)+", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    public = {f"distributed_tracer.{name}" for name in distributed_tracer.__all__}
    for path in modules(ROOT / folder):
        for name in imported_names(path):
            if name.startswith("distributed_tracer."):
                known = name in public or name in documented or name.rpartition(".")[0] in documented
                assert known, f"{path.relative_to(ROOT)} imports {name}, which CONTRIBUTING.md does not call public"


def imports_torch(code: str) -> bool:
    check = f"import sys\n{code}\nsys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode == 1


@pytest.mark.parametrize("part", ["__init__", *WITHOUT_TORCH])
def test_what_a_laptop_needs_does_not_import_torch(part: str) -> None:
    paths = modules(PACKAGE / part) or [PACKAGE / f"{part}.py"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    assert not imports_torch("\n".join(f"import {name}" for name in names))


def test_the_help_of_the_command_line_does_not_import_torch() -> None:
    run_help = "from distributed_tracer.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit as done:\n"
    assert not imports_torch(run_help + "    assert not done.code")


def test_an_import_of_torch_is_noticed() -> None:
    assert imports_torch("import torch")
