"""Everything that README and docs tell people to type, typed: against the demo, in one folder, in this process.

A command runs unless NOT_RUN says why not; then its program, flags and files are looked up. Anything new does one or
the other, or fails here. A question that finds nothing shows nothing, and fails too.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
import pytest
import tyro
from documents import DOCUMENTS, ROOT, Snippet, inline_code, snippets, words
from ray.scripts.scripts import cli as ray_cli
from test_public_names import OF_ANNOTATIONS, OF_LABELS, OF_MINE, OPTIONS

from distributed_tracer.cli.app import app, registry
from distributed_tracer.cli.main import main

PROMPTS = (
    *("two-hop-amarillo", "two-hop-dallas", "two-hop-houston", "state-capital-texas", "contrast-dallas"),
    *("two-hop-oakland", "two-hop-san-jose", "two-hop-stockton", "opposite-fr-cold", "opposite-fr-hot"),
)
"""Of the demo's corpus, those that are traced here: few, as this is about what is typed."""

SUBSTITUTIONS = {
    r"--model M\b": "--model demo/model",
    r"--transcoders T\b": "--transcoders demo/transcoders/plt",
    r"--prompts F\b": "--prompts prompts.jsonl",
    r"--store S\b": "--store graphs",
    r"\bSTORE\b": "graphs",
    r"\bID\b": "two-hop-dallas",
    r"\bOTHER\b": "two-hop-houston",
    r"\bLAYER:INDEX\b": "2:46",
    r'"\.\.\."': '"Fact: the capital of the state containing Dallas is"',
    r"s3://bucket/graphs": "copied",
    r"(?<=trace )(.*) --workers 2": r"\1 --local --no-progress",
    r"(certify .*) --workers 2": r"\1 --local --no-progress",
    r"((?:verify-edges|faithfulness) graphs[^#]*?)( --workers 2)?(?= --out| *#|$)": r"\1 --local --no-progress",
}
"""What stands for something of the reader's own. Ray workers are left out: they store the same, as other tests show."""

NOT_RUN = {
    r"make (demo|test|check|format)\b": "minutes, and an environment of its own",
    r"pip install ": "fetches packages",
    r"python3 -m venv ": "fetches packages",
    r"python benchmarks/": "minutes",
    r"python examples/interventions/success_rates\.py": "minutes; tests/unit/examples hold its parts",
    r"python examples/interventions/shared_name\.py": "needs the whole demo; tests/unit/examples hold its parts",
    r"python examples/smollm2/corpus\.py": "tests/unit/test_smollm2_corpus.py runs it",
    r"python examples/smollm2/": "needs a package of 100 MB with the weights",
    r"printf .* > out/prompts\.txt": "for the commands after it, which need that package",
    r"distributed-tracer .*out/smollm2": "needs that package",
    r"distributed-tracer (doctor|trace) --ray-address auto": "needs a cluster; tests/end_to_end/test_doctor.py has one",
    r"distributed-tracer submit ": "needs a cluster; tests/end_to_end/test_submitted_job.py has one",
    r"distributed-tracer bundle ": "fetches packages; tests/end_to_end/test_offline.py runs it",
    r"bash /shared/bundle/install_offline\.sh": "needs a bundle; tests/end_to_end/test_offline.py runs it",
    r"distributed-tracer annotations undo STORE NAME": "needs a name; tests/unit/cli/test_annotate.py undoes one",
    r"distributed-tracer serve ": "runs until it is stopped; the Python in docs/serve.md starts one and stops it",
    r"distributed-tracer .*--profile P": "needs a profile; tests/unit/labels and tests/unit/query hold its parts",
    r"cd examples/format_reader|(npm|node) ": "needs packages of Node; tests/end_to_end/test_format_reader.py runs it",
    r"(ray|export|\.) ": "needs a cluster",
    r"(sbatch|kubectl|docker) ": "needs a cluster; tests/test_cluster_files.py reads what they are given",
}
TEXT = {
    "README.md": "prompts ─▶ plan ─▶",
    "docs/engine.md": "g [B, P, D]",
    "docs/labels.md": "feature   2:46 in ",
    "jobs/README.md": "run      17 of 40 prompts done",
}
"""Blocks that nobody types: pictures, and a sample of what is printed, whose form the tests of status hold."""

COMMANDS = OPTIONS | OF_LABELS | OF_ANNOTATIONS | OF_MINE
"""Options of every command, those of groups included."""
FOREIGN_FLAGS = {
    "--nodes": "sbatch",
    "--gpus-per-node": "sbatch",
    "--ntasks-per-node": "srun",
    "--working-dir": "ray job submit",
    "--time": "sbatch",
    "--batch": "scancel",
    "--signal": "scancel",
    "--strict": "mypy",
    "--call-ms": "benchmarks/scheduler.py",
    "--commit-ms": "benchmarks/scheduler.py",
}
ALL = [snippet for document in DOCUMENTS for snippet in snippets(document)]
RUN = [s for s in ALL if s.kind in ("command", "python", "json") and not any(re.match(p, s.text) for p in NOT_RUN)]


@dataclass(frozen=True)
class Ran:
    """What came of a snippet."""

    code: int
    output: str


def substituted(command: str) -> str:
    for pattern, replacement in SUBSTITUTIONS.items():
        command = re.sub(pattern, replacement, command)
    return command


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Every snippet that runs, in the order of the documents."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "demo").symlink_to(ROOT / "demo")
    corpus = (ROOT / "demo" / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = [line for line in corpus if json.loads(line)["id"] in PROMPTS]
    (folder / "prompts.jsonl").write_text("".join(chosen), encoding="utf-8")
    (folder / "out" / "demo").mkdir(parents=True)
    (folder / "out" / "demo" / "store").symlink_to(folder / "graphs")
    names: dict[str, dict[str, Any]] = {document: {} for document in DOCUMENTS}
    found = {}
    with contextlib.chdir(folder):
        for snippet in RUN:
            work = {"command": _command, "python": partial(_python, names[snippet.document]), "json": _prompt}
            found[snippet.name] = _run(work[snippet.kind], snippet.text)
    return found


def _run(work: Callable[[str], int], text: str) -> Ran:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = work(text)
        except Exception:
            said.write(traceback.format_exc())
            code = -1
    return Ran(code, said.getvalue())


def _command(text: str) -> int:
    program, *arguments = words(substituted(text))
    assert program == "distributed-tracer", f"{program} neither runs nor is in NOT_RUN"
    return main(arguments)


def _prompt(text: str) -> int:
    Path("one.jsonl").write_text(text + "\n", encoding="utf-8")
    return _command("distributed-tracer plan --model M --transcoders T --prompts one.jsonl")


def _python(names: dict[str, Any], text: str) -> int:
    """Run a block; an expression with a comment `# -> value` gives that, numbers to the digits shown."""
    lines = text.split("\n")
    for statement in ast.parse(text).body:
        source = ast.get_source_segment(text, statement)
        assert source is not None
        _, arrow, shown = lines[(statement.end_lineno or 0) - 1].partition("# -> ")
        if arrow:
            value = eval(source, names)
            assert matches(value, ast.literal_eval(shown)), f"{source} is {value!r}, not {shown}"
        else:
            exec(compile(source, "<document>", "exec"), names)
    empty = [name for name, value in names.items() if isinstance(value, (list, tuple, dict, str)) and not value]
    assert not empty, f"nothing is in {empty}"
    return 0


def matches(value: Any, shown: Any) -> bool:
    """Whether a value is what a document shows of it."""
    if isinstance(shown, (list, tuple)):
        return len(value) == len(shown) and all(map(matches, value, shown))
    if isinstance(shown, float):
        digits = len(repr(shown).partition(".")[2])
        return abs(value - shown) <= 0.6 * 10.0**-digits
    return bool(value == shown)


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first runs all of them
@pytest.mark.parametrize("snippet", RUN, ids=lambda snippet: snippet.name)
def test_what_a_document_says_runs(snippet: Snippet, ran: dict[str, Ran]) -> None:
    found = ran[snippet.name]
    assert found.code == 0, f"{snippet.text}\n{found.output}"
    if "query" in words(snippet.text):
        assert not re.search(r"^0 ", found.output, flags=re.MULTILINE), found.output


@pytest.mark.parametrize("snippet", [s for s in ALL if s not in RUN], ids=lambda snippet: snippet.name)
def test_what_is_not_run_is_known_to_who_would_run_it(snippet: Snippet) -> None:
    if snippet.kind == "text":
        assert snippet.text.startswith(TEXT[snippet.document]), "a block that is neither run nor listed"
        return
    program, *arguments = words(substituted(snippet.text))
    if program == "distributed-tracer":
        parse(arguments)
    elif program == "python" and arguments[0].endswith(".py"):
        script = (ROOT / arguments[0]).read_text(encoding="utf-8")
        for flag in filter(lambda word: word.startswith("--"), arguments):
            assert f'"{flag}"' in script, f"{arguments[0]} has no {flag}"
    elif program == "ray":
        parse_ray(ray_cli, arguments)
    elif program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for word in arguments:
        file = word.rpartition("=")[2]
        if re.fullmatch(r"(cluster|jobs|examples|benchmarks)/\S+|\w+\.(yaml|txt)", file):
            assert (ROOT / file).exists(), f"there is no {file}"


def parse(arguments: list[str]) -> None:
    """Flags as the command line reads them; those that `submit` would send, too."""
    config = (tyro.conf.OmitArgPrefixes,)
    app.cli(prog="distributed-tracer", args=arguments, registry=registry, config=config)
    if arguments[0] == "submit" and "--" in arguments:
        parse(["trace", *arguments[arguments.index("--") + 1 :]])


def parse_ray(command: click.Command, arguments: list[str]) -> None:
    """Likewise by Ray's own parser. Nothing runs."""
    if isinstance(command, click.Group):
        inner = command.commands.get(arguments[0])
        assert inner is not None, f"ray has no {arguments[0]}"
        parse_ray(inner, arguments[1:])
    else:
        command.make_context("ray", list(arguments))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_flags_within_lines_exist(document: str) -> None:
    for line, code in inline_code(document):
        program, *rest = code.split() or [""]
        flags = {word.partition("=")[0] for word in code.split() if word.startswith("--") and len(word) > 2}
        if program == "distributed-tracer" and rest:
            name = " ".join(rest[:2]) if " ".join(rest[:2]) in COMMANDS else rest[0]
            assert name in COMMANDS, f"{document}:{line}: there is no {name}"
            known = COMMANDS[name]
        elif program == "python" and rest and rest[0].startswith("benchmarks/"):
            known = {*re.findall(r'"(--[a-z-]+)"', (ROOT / rest[0]).read_text(encoding="utf-8"))}
        else:
            known = set().union(*COMMANDS.values(), FOREIGN_FLAGS, ray_flags())
        assert flags <= known, f"{document}:{line}: {code}"


@cache
def ray_flags() -> frozenset[str]:
    """All options of `ray start`."""
    return frozenset(option for parameter in ray_cli.commands["start"].params for option in parameter.opts)


def test_nothing_listed_is_gone() -> None:
    """A substitution, or a reason not to run, that stands for nothing any more goes."""
    commands = [snippet.text for snippet in ALL if snippet.kind == "command"]
    for pattern in SUBSTITUTIONS:
        assert any(re.search(pattern, command) for command in commands), pattern
    for pattern in NOT_RUN:
        assert any(re.match(pattern, command) for command in commands), pattern
    assert {snippet.document for snippet in ALL if snippet.kind == "text"} == set(TEXT)


def test_a_wrong_number_a_wrong_flag_and_a_new_program_would_be_noticed() -> None:
    assert matches([(" is", 0.5788), (" Austin", 0.0950)], [(" is", 0.58), (" Austin", 0.10)])
    assert not matches([(" is", 0.5688)], [(" is", 0.58)])
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        parse(["status", "graphs", "--wach", "10"])
    with pytest.raises(click.NoSuchOption):
        parse_ray(ray_cli, ["start", "--haed"])
    with pytest.raises(AssertionError, match="NOT_RUN"):
        _command("curl https://example.org")


WRAPPED = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "distributed_tracer/store/FORMAT.md"]


@pytest.mark.parametrize("path", WRAPPED, ids=lambda path: path.name)
def test_lines_of_prose_have_at_most_120_characters(path: Path) -> None:
    """Tables and code, which cannot be wrapped, may be longer, and so may a single link."""
    lines = enumerate(path.read_text("utf-8").split("\n"), 1)
    prose = [(number, line) for number, line in lines if not line.startswith(("|", "    "))]
    assert [(number, line) for number, line in prose if len(line) > 120 and " " in line.strip()] == []
