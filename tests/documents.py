"""Reads what README and docs tell people to type: blocks of commands, Python and JSON, and code within lines."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
_PATTERNS = ("README.md", "CONTRIBUTING.md", "docs/*.md", "[a-z]*/README.md", "examples/*/README.md")
DOCUMENTS = [str(path.relative_to(ROOT)) for pattern in _PATTERNS for path in sorted(ROOT.glob(pattern))]

Kind = Literal["command", "python", "json", "text"]
_PROGRAMS = {
    *("distributed-tracer", "python", "python3", "make", "pip", "ray", "bash", "sbatch", "srun"),
    *("docker", "kubectl", "export", "printf", "tar", ".", "cd", "npm", "node"),
}
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Snippet:
    """A command, a block of Python, an example in JSON, or text that is none of these."""

    document: str
    line: int
    kind: Kind
    text: str

    @property
    def name(self) -> str:
        return f"{self.document}:{self.line}"


def snippets(document: str) -> Iterator[Snippet]:
    """Yield every command of each block of commands, and all other blocks as a whole."""
    for line, block, _ in _pieces(document):
        if not block:
            continue
        kind = _kind(block)
        if kind == "command":
            yield from _commands(document, line, block)
        else:
            yield Snippet(document, line, kind, block.strip("\n"))


def inline_code(document: str) -> Iterator[tuple[int, str]]:
    """Yield text in backquotes within paragraphs, with the number of the paragraph's first line."""
    for line, _, prose in _pieces(document):
        yield from ((line, re.sub(r"\s+", " ", code)) for code in _CODE.findall(prose))


def _pieces(document: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, block and paragraph, one of which is empty.

    A block is fenced, or indented by four spaces after an empty line.
    """
    lines = (ROOT / document).read_text(encoding="utf-8").split("\n")
    since = 0
    while since < len(lines):
        end = since
        if lines[since].startswith("```"):
            end = next(n for n in range(since + 1, len(lines)) if lines[n].startswith("```"))
            yield since + 2, "\n".join(lines[since + 1 : end]), ""
            end += 1
        elif lines[since].startswith("    "):
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end]):
                end += 1
            yield since + 1, "\n".join(line.removeprefix("    ") for line in lines[since:end]), ""
        elif lines[since]:
            while end < len(lines) and lines[end] and not lines[end].startswith("```"):
                end += 1
            yield since + 1, "", "\n".join(lines[since:end])
        else:
            end += 1
        since = end


def words(command: str) -> list[str]:
    """Split a command as a shell would, without its comment and without what follows a pipe or `&&`."""
    found = shlex.split(command, comments=True)
    ends = [n for n, word in enumerate(found) if word in ("|", "&&", ">")]
    return found[: ends[0]] if ends else found


def _kind(block: str) -> Kind:
    first = block.split(maxsplit=1)[0]
    if first in _PROGRAMS:
        return "command"
    if block.lstrip().startswith("{"):
        return "json"
    try:
        ast.parse(block)
    except SyntaxError:
        return "text"
    return "python"


def _commands(document: str, line: int, block: str) -> Iterator[Snippet]:
    begun, since = "", line
    for number, piece in enumerate(block.split("\n"), start=line):
        since = since if begun else number
        begun += piece
        if begun.endswith("\\"):
            begun = begun[:-1]
        elif begun.strip():
            yield Snippet(document, since, "command", re.sub(r"  +", " ", begun.strip()))
            begun = ""
        else:
            begun = ""
