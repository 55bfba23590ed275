"""Imports only go down the layers, and what an analyst's laptop or a login node needs never imports torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from notebooks import cells

import distributed_tracer

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "distributed_tracer"
LAYERS = (
    ("errors", "shapes", "text", "redact", "moved", "notebook"),
    ("documents",),
    ("plain_values", "names"),
    ("table",),
    ("table_stream",),
    ("prompt", "config", "threads"),
    ("artifacts", "corpus", "graph", "plan"),
    ("model", "transcoder"),
    ("store",),
    ("table_folder",),
    ("profile", "tasks"),
    ("trace",),
    ("query", "mine", "importers", "intervene"),
    ("report",),
    ("plot",),
    ("export",),
    ("labels", "result_page"),
    ("annotations",),
    ("runtime",),
    ("job",),
    ("evaluate", "harvest", "linear_errors", "pipeline"),
    ("discovery", "ops", "serve"),
    ("cli",),
    ("__init__", "__main__"),
)  # neighbours in a layer do not know each other
INNER = {
    "store": (
        ("object_names",),
        ("backend",),
        ("format",),
        (
            *("annotation_edits", "annotation_log", "annotation_record", "annotation_undo", "annotations"),
            *("arrays", "catalogue", "checked_objects", "commits", "evaluations", "index", "part"),
        ),
        ("read",),
        ("index_builder", "joined_part", "ledger", "reader", "writer"),
        ("maintenance",),
    ),
    "runtime": (
        ("telemetry",),
        (
            *("executor", "failures", "local", "overlapped_writer", "prompt_attempt", "reply", "schedule"),
            *("shared_rows", "signals", "task_attempts", "task_process", "task_processes", "worker"),
        ),
        ("ray",),
        ("execute", "task_runner"),
    ),
    "transcoder": (
        ("activation", "base", "fold", "shard", "sharded", "spec", "tensor_files", "loaded"),
        ("formats",),
        ("load",),
    ),
    "ops": (("bundle", "doctor"),),
}
"""Folders with folders in them: their rows, upon which those below build. Files of one row may know each other."""
MOST_LINES = 450
LAYER_OF = {part: number for number, parts in enumerate(LAYERS) for part in parts}
WITHOUT_TORCH = (
    *(
        "errors",
        "shapes",
        "text",
        "redact",
        "moved",
        "notebook",
        "documents",
        "plain_values",
        "names",
        "table",
        "prompt",
        "config",
    ),
    "table_stream",
    *("artifacts", "corpus", "graph", "plan", "store", "profile", "query", "export", "importers", "report", "plot"),
    *("mine", "labels", "annotations", "ops", "result_page", "table_folder", "tasks"),
)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def part_of(path: Path) -> str:
    """The folder or file just below the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path: Path) -> Iterator[str]:
    """Full dotted names of all that a file or a notebook imports, also inside functions and under TYPE_CHECKING."""
    package = path.relative_to(ROOT).parent.parts
    source = "\n".join(cell.source for cell in cells(path)) if path.suffix == ".ipynb" else path.read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
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


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_among_files() -> dict[str, set[str]]:
    """Which module imports which, lazy imports and those under TYPE_CHECKING included."""
    known = {module_name(path) for path in modules(PACKAGE)}
    graph = {}
    for path in modules(PACKAGE):
        names = (name if name in known else name.rpartition(".")[0] for name in imported_names(path))
        graph[module_name(path)] = {name for name in names if name in known} - {PACKAGE.name}
    return graph


def test_no_circle_of_imports_exists_among_files() -> None:
    try:
        tuple(TopologicalSorter(imports_among_files()).static_order())
    except CycleError as error:
        pytest.fail(f"imports go round: {' -> '.join(reversed(error.args[1]))}")


def row_of(folder: str, name: str) -> tuple[int, str]:
    """Row of INNER that a module below `folder` belongs to, and the entry of that row."""
    entry = name.split(".")[2]
    return next(number for number, row in enumerate(INNER[folder]) if entry in row), entry


@pytest.mark.parametrize("folder", INNER)
def test_imports_inside_a_folder_only_go_down_its_rows(folder: str) -> None:
    inside = f"{PACKAGE.name}.{folder}."
    for name, imported in imports_among_files().items():
        for other in imported if name.startswith(inside) else ():
            if other.startswith(inside):
                (here, mine), (there, its) = row_of(folder, name), row_of(folder, other)
                are_files = not any((PACKAGE / folder / entry).is_dir() for entry in (mine, its))
                assert there < here or mine == its or (there == here and are_files), f"{name} imports {other}"


def test_one_module_alone_speaks_to_the_hub() -> None:
    speakers = {name for path in modules(PACKAGE) for name in imported_names(path) if "huggingface_hub" in name}
    files = {path.name for path in modules(PACKAGE) if speakers & set(imported_names(path))}
    assert files == {"hub.py"}


def test_private_modules_of_libraries_are_imported_only_where_ray_has_no_option() -> None:
    private = re.compile(r"(?!distributed_tracer)\w.*\._|zarr\.core")
    files = {path.name for path in modules(PACKAGE) for name in imported_names(path) if private.match(name)}
    assert files == {"ask_nodes.py", "cluster.py", "local_cluster.py"}


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lines = {path: path.read_text("utf-8").count("\n") for path in modules(PACKAGE)}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


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
def test_scripts_use_only_the_names_that_the_package_itself_exports(folder: str) -> None:
    public = {f"distributed_tracer.{name}" for name in distributed_tracer.__all__}
    for path in [*modules(ROOT / folder), *(ROOT / folder).rglob("*.ipynb")]:
        found = {name for name in imported_names(path) if name.startswith("distributed_tracer.")}
        assert found <= public, f"{path.relative_to(ROOT)} imports {sorted(found - public)}"


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
