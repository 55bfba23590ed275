"""A letter at the end of a tensor's name has one meaning: that of the legend in `distributed_tracer/shapes.py`."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from distributed_tracer import shapes

ROOT = Path(__file__).parent.parent
FOLDERS = ("distributed_tracer", "benchmarks", "demo", "examples", "jobs")
LEGEND = {
    letter: text.partition(":")[0] for letter, text in re.findall(r"^    ([A-Z])  (.+)$", shapes.__doc__ or "", re.M)
}
"""The meaning of each letter."""
LOCAL = {"I", "X", "Y"}
"""Letters of axes that are described where they are used."""
OLDER_NAMES = {"path_length_H"}
"""Names in tables and reports that end in a former letter."""
NAME = re.compile(r"^\w*[a-z]\w*_([A-Z0-9]*[A-Z][A-Z0-9]*)$")
SHAPE = re.compile(r"\[((?:[A-Z0-9](?:_in|_out)?)(?:, [A-Z0-9](?:_in|_out)?)*)\]")
AXES = re.compile(r"\bAxes: (.*?)\.(?:\s|$)")


@dataclass(frozen=True)
class Source:
    """The names and the strings, docstrings included, of one file."""

    names: frozenset[str]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> Source:
        names, texts = set(), []
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                    names.add(name)
                case ast.keyword(arg=str(name)):
                    names.add(name)
                case ast.Constant(value=str(text)):
                    texts.append(text)
        return cls(frozenset(names), tuple(texts))

    def letters(self) -> dict[str, str]:
        """The letters of a file's axes, each with a name or shape that has it. Names in strings count as names."""
        found = {}
        for name in (self.names | known_names() & set(self.texts)) - OLDER_NAMES:
            if match := NAME.match(name):
                found |= dict.fromkeys(re.sub(r"\d", "", match[1]), name)
        for shape in (shape for text in self.texts for shape in SHAPE.findall(text)):
            found |= dict.fromkeys(re.findall("[A-Z]", shape), f"[{shape}]")
        return found

    def legend(self) -> list[tuple[str, str]]:
        """The letters that the docstrings of a file explain, and what they say."""
        sentences = [sentence for text in self.texts for sentence in AXES.findall(" ".join(text.split()))]
        return [(entry[0], entry[1:].strip()) for text in sentences for entry in re.split(r"[,;] (?=[A-Z] )", text)]


@cache
def sources() -> dict[str, Source]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): Source.of(path) for path in files}


@cache
def known_names() -> frozenset[str]:
    return frozenset().union(*(source.names for source in sources().values()))


def test_the_legend_gives_each_letter_one_meaning_and_has_no_letter_that_is_not_used() -> None:
    used = {
        letter: f"{file}: {name}" for file, source in sources().items() for letter, name in source.letters().items()
    }
    assert len(LEGEND) == len(re.findall(r"^    [A-Z]  ", shapes.__doc__ or "", re.M)) == len(set(LEGEND.values()))
    assert not [place for letter, place in used.items() if letter not in LEGEND]
    assert not LEGEND.keys() - used


def test_a_module_explains_its_letters_in_the_words_of_the_legend() -> None:
    wrong = [
        f"{file}: {letter} is {text!r} here and {LEGEND.get(letter)!r} in the legend"
        for file, source in sources().items()
        for letter, text in source.legend()
        if not (text if letter in LOCAL else f"{text} ".startswith(f"{LEGEND.get(letter)} "))
    ]
    assert not wrong, "\n".join(sorted(wrong))


def test_a_module_that_explains_letters_explains_all_and_one_with_local_axes_explains_them() -> None:
    missing = []
    for file, source in sources().items():
        used, of_folder = source.letters(), sources().get(str(Path(file).parent / "__init__.py"), source)
        explained = {letter for letter, _ in source.legend() or of_folder.legend()}
        missing += [
            f"{file}: {letter} in {used[letter]} is not explained"
            for letter in used.keys() - explained & (used.keys() if explained else LOCAL)
        ]
    assert not missing, "\n".join(sorted(missing))


def test_no_docstring_explains_letters_outside_a_sentence_that_begins_with_axes() -> None:
    meanings = "|".join(sorted(set(LEGEND.values()), key=len, reverse=True))
    stray = [
        f"{file}: {match[0]!r}"
        for file, source in sources().items()
        for text in ([] if file == "distributed_tracer/shapes.py" else source.texts)
        for match in re.finditer(rf"\b[A-Z] ({meanings})\b[,.;]", AXES.sub("", " ".join(text.split())))
    ]
    assert not stray, "\n".join(sorted(stray))


def test_names_with_a_former_letter_still_exist_and_the_legend_names_them() -> None:
    assert known_names() >= OLDER_NAMES
    assert all(f"`{name}`" in (shapes.__doc__ or "") for name in OLDER_NAMES)
