"""What Neuronpedia would refuse is refused here, before anything is sent: against its own schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from random_graphs import AWKWARD, finite, random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError
from distributed_tracer.export import upload_rules
from distributed_tracer.export.upload import upload_format
from distributed_tracer.export.upload_rules import schema_problems, upload_problems
from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.labels import Label, Labels

SCHEMA = Path(__file__).parents[2] / "schemas" / "neuronpedia_graph.schema.json"
GRAPHS = {name: finite(graph) for name, graph in AWKWARD.items() if name != "wide"}
CONTEXT = GraphContext(
    model="org/Tiny-Model",
    node_threshold=0.8,
    edge_threshold=0.98,
    labels=Labels.of(
        [(layer, feature, Label(f"{layer}:{feature}", "x")) for layer in range(3) for feature in range(999)]
    ),
    groups=(Group('a, "b"', (NodeKey("target", 3, 4, 0),)),),
)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "g.json"
    upload_format().write(GRAPHS["plain"], path, CONTEXT)
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("case", sorted(set(GRAPHS) - {"without targets, given as tokens"}))
def test_what_is_written_is_valid_by_neuronpedias_own_schema(case: str, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    path = tmp_path / "graph-of-a-prompt.json"
    assert upload_format().write(GRAPHS[case], path, CONTEXT) is not None
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(json.loads(path.read_bytes()))
    assert upload_problems(path) == []


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a document something stands: of a list, only the first item."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    return [before, *(path for key, item in items for path in paths(item, (*before, key)))]


def changed(document: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    copy = deepcopy(document)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return copy


def test_the_rules_refuse_exactly_what_the_schema_refuses(document: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    schema["properties"]["metadata"]["properties"].pop("info")  # ours is fixed; its fields are not stated again
    validator = jsonschema.Draft7Validator(schema)
    document |= {"nodes": document["nodes"][:2], "links": document["links"][:1]}
    assert [*schema_problems(document)] == []
    refused = num_checked = 0
    for path in paths(document)[1:]:
        if "info" in path or "distributed_tracer" in path or path[1:2] == ("pruning_settings",):
            continue
        values: list[Any] = [None, True, 7, 0.5, "text", [], ["text"], {}, [7]]
        variants = [
            changed(document, path, lambda holder, key, value=value: holder.__setitem__(key, value)) for value in values
        ]
        if isinstance(path[-1], str):
            variants.append(changed(document, path, lambda holder, key: holder.pop(key)))
        for variant in variants:
            ours = [*schema_problems(variant)]
            assert (ours == []) == validator.is_valid(variant), (path, ours)
            assert all("export it again" in problem for problem in ours)
            refused, num_checked = refused + bool(ours), num_checked + 1
    assert refused > 100
    assert num_checked - refused > 30


def spoilt(document: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> list[str]:
    change(document)
    path = tmp_path / "spoilt.json"
    path.write_text(json.dumps(document))
    return upload_problems(path)


RULES: dict[str, Callable[[dict[str, Any]], object]] = {
    r"the slug 'a b' is not made of": lambda d: d["metadata"].update(slug="a b"),
    r"the scan '' is not made of .*--scan": lambda d: d["metadata"].update(scan=""),
    r"has no schema_version 1": lambda d: d["metadata"].pop("schema_version"),
    r"NUL or half a surrogate": lambda d: d["metadata"].update(prompt="\x00"),
    r"1 links begin or end at no node": lambda d: d["links"][0].update(source="nobody"),
    r"several nodes have the same id": lambda d: d["nodes"][0].update(node_id=d["nodes"][1]["node_id"]),
    r"a group is not a list": lambda d: d["qParams"].update(supernodes=["a"]),
    r"a pin or a group names a node": lambda d: d["qParams"].update(pinnedIds=["nobody"]),
    r"there is no target": lambda d: d.update(nodes=[n for n in d["nodes"] if n["feature_type"] != "logit"]),
    r"a target's label lacks \(p=": lambda d: d["nodes"][-1].update(clerp="Austin"),
    r"all features and errors are in layer 0": lambda d: [n.update(layer="0") for n in d["nodes"]],
}


@pytest.mark.parametrize("message", RULES)
def test_each_rule_beside_the_schema_is_checked(message: str, document: dict[str, Any], tmp_path: Path) -> None:
    problems = spoilt(document, tmp_path, RULES[message])
    assert any(re.search(message, problem) for problem in problems), problems
    assert all(": " in problem for problem in problems), "each has a remedy"


def test_a_file_of_the_wrong_size_name_or_form_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.txt"
    path.write_text(f"{{{' ' * 2000}")
    ending, form = upload_problems(path)
    assert "does not end in .json" in ending
    assert "is not JSON" in form
    path.write_text('{"a": NaN}' + " " * 2000)
    assert "NaN is no number of JSON" in upload_problems(path)[1]
    path.write_text("[]" + " " * 2000)
    assert "is no JSON object" in upload_problems(path)[1]
    path.write_text("{}")
    assert upload_problems(path) == [
        "the file has 2 bytes, and 1,024 to 104,857,600 are accepted: trace a longer prompt"
    ]
    monkeypatch.setattr(upload_rules, "MAX_BYTES", 1030)
    path.write_text(" " * 1031)
    assert "trace with smaller --node-threshold" in upload_problems(path)[0]


def test_a_refused_graph_leaves_no_file(tmp_path: Path) -> None:
    flat = finite(random_graph(num_layers=1))
    with pytest.raises(ConfigError, match="Neuronpedia would refuse it: all features and errors are in layer 0"):
        upload_format().write(flat, tmp_path / "g.json", CONTEXT)
    assert not any(tmp_path.iterdir())


def test_the_command_writes_what_would_be_accepted_and_names_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs = [replace(GRAPHS["plain"], prompt_id="good one"), finite(random_graph("flat", num_layers=1))]
    store, out = make_store(str(tmp_path / "store"), graphs), tmp_path / "out"
    asked = ["prepare-upload", store.url, "--out", str(out)]
    assert main([*asked, "--prompt", "good one", "--prompt", "flat"]) == 3
    said = capsys.readouterr()
    assert "wrote 1 graph into" in said.out
    assert "whether it has a model 'tiny'" in said.out
    assert "Nothing was sent" in said.out
    assert "flat: Neuronpedia would refuse it" in said.err
    (found,) = out.glob("*.json")
    assert upload_problems(found) == []
    assert main(asked) == 1
    assert "say which graphs: --prompt ID, or --where" in capsys.readouterr().err
