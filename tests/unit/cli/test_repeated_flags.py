"""Every flag of every command, given twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from test_public_names import OF_ANNOTATIONS, OF_LABELS, OF_MINE, OPTIONS

from distributed_tracer.cli import annotate, labels, mine
from distributed_tracer.cli.main import COMMANDS, main
from distributed_tracer.cli.repeated_flags import SEVERAL, SEVERAL_OF, settled
from distributed_tracer.errors import ConfigError

FLAGS = OPTIONS | OF_LABELS | OF_ANNOTATIONS | OF_MINE


def test_values_of_a_repeated_list_follow_one_another() -> None:
    given = ["query", "S", "--where", "a=1", "b=2", "--json", "--where=c=3", "--where", "d=4", "--", "--where", "x"]
    joined = ["query", "S", "--where", "a=1", "b=2", "c=3", "d=4", "--json", "--", "--where", "x"]
    assert settled(given) == joined
    assert settled(["query", "--where", "a=1", "--where", "b=2", "S"]) == ["query", "--where", "a=1", "b=2", "S"]


@pytest.mark.parametrize(
    "given",
    [
        ["--limit", "3", "--limit", "3"],
        ["--limit=3", "--limit=4"],
        ["--json", "--json"],
        ["--json", "--no-json"],
        ["--max-feature-nodes", "3", "--max_feature_nodes", "4"],
    ],
)
def test_any_other_flag_given_twice_is_refused(given: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^--[a-z-]+ is given twice, as --.* and as --.*: give it once$"):
        settled(["query", *given])


def test_a_list_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="--where needs at least one value"):
        settled(["query", "S", "--where", "--json"])


def test_the_flags_that_take_several_values_are_those_of_tuples() -> None:
    found, functions = dict[str, set[str]](), {_name_of(function): function for function in COMMANDS}
    functions |= {f"labels {name}": function for name, function in labels.OF_LABELS.items()}
    functions |= {f"annotations {name}": function for name, function in annotate.OF_ANNOTATIONS.items()}
    functions |= {f"mine {name}": function for name, function in mine.OF_MINE.items()}
    assert functions.keys() == FLAGS.keys() - {"labels", "annotations", "mine"}
    for command, function in functions.items():
        parameters = inspect.signature(function, eval_str=True).parameters
        hints = {f"--{name.replace('_', '-')}": str(one.annotation) for name, one in parameters.items()}
        found[command] = {flag for flag, hint in hints.items() if "tuple[" in hint and "Positional" not in hint}
    assert {flag for flags in found.values() for flag in flags} - {"--prompt"} == SEVERAL
    for command, flags in found.items():
        assert flags & FLAGS[command] - SEVERAL == SEVERAL_OF.get(command, set()), command


def _name_of(function: Callable[..., int]) -> str:
    return function.__name__.strip("_").replace("_", "-")


@pytest.mark.parametrize("command", FLAGS)
def test_every_flag_of_every_command_given_twice_adds_up_or_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag in FLAGS[command]:
        given = [*command.split(), flag, "1", flag, "2"]
        if flag in SEVERAL | SEVERAL_OF.get(command, set()):
            assert settled(given) == [*command.split(), flag, "1", "2"]
        else:
            assert main(given) == 1
            name = f"--{flag.removeprefix('--no-')}" if flag.startswith("--no-") else flag
            assert f"error: {name} is given twice" in capsys.readouterr().err


def test_a_mistyped_command_is_answered_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shwo", "S"]) == 1
    assert capsys.readouterr().err.rstrip().endswith(". Did you mean 'show'?")
