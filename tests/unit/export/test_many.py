"""Many graphs into one folder: hostile ids, damaged parts, interruptions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from random_graphs import finite, random_graph
from random_stores import make_store

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError, PromptNotFound
from distributed_tracer.export.formats import FORMATS
from distributed_tracer.export.many import export_many
from distributed_tracer.export.safe_names import safe_name
from distributed_tracer.graph.context import GraphContext, Group, NodeKey
from distributed_tracer.graph.labels import Label, Labels
from distributed_tracer.store.reader import Store, open_store

IDS = ("dallas", "Dallas", "../up", "/etc/passwd", "con", "a/b", "a:b", "index", "graph-metadata", "首都", "")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    graphs = [finite(random_graph(one, seed=i, metadata={"even": i % 2 == 0})) for i, one in enumerate(IDS)]
    return make_store(str(tmp_path / "store"), graphs)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["json", "parquet", "viewer"])
def test_every_prompt_has_a_file_of_its_own_inside_the_folder_whatever_its_id(
    name: str, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "safe").mkdir()
    out = tmp_path / "safe" / "out"
    done = export_many(store, store, out, FORMATS[name])
    assert done.failed == {}
    assert [entry.name for entry in (tmp_path / "safe").iterdir()] == ["out"]
    files = {str(line["prompt"]): str(line["file"]) for line in lines(out)}
    assert set(files) == set(IDS)
    assert files["Dallas"] == f"Dallas{FORMATS[name].ending}"
    assert len({file.lower() for file in files.values()}) == len(IDS), "also where file systems ignore case"
    others = {"index.jsonl", "index.csv", *(["graph-metadata.json"] if name == "viewer" else [])}
    assert {entry.name for entry in out.iterdir()} == {*files.values(), *others}
    assert not {*files.values()} & {*others, "graph-metadata.json"}
    if name == "json":
        assert all(json.loads((out / file).read_bytes())["graph"]["prompt"] == one for one, file in files.items())


def test_the_index_says_what_each_file_is(store: Store, tmp_path: Path) -> None:
    export_many(store, store, tmp_path / "out", FORMATS["npz"])
    with (tmp_path / "out" / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["prompt"]: row for row in csv.DictReader(file)}
    assert list(rows) == sorted(IDS)
    for line in lines(tmp_path / "out"):
        graph = store.graph(str(line["prompt"]))
        row = rows[graph.prompt_id]
        assert row["file"] == line["file"]
        assert row["text"] == line["text"] == graph.text
        assert int(row["num_edges"]) == line["num_edges"] == graph.num_edges
        assert float(row["replacement"]) == line["replacement"] == graph.scores.replacement
        assert line["num_bytes"] == (tmp_path / "out" / str(line["file"])).stat().st_size


def test_a_folder_of_viewer_files_is_one_that_circuit_tracers_server_can_serve(store: Store, tmp_path: Path) -> None:
    export_many(store, ["dallas", "a/b"], tmp_path / "out", FORMATS["viewer"])
    export_many(store, ["Dallas"], tmp_path / "out", FORMATS["viewer"])
    graphs = json.loads((tmp_path / "out" / "graph-metadata.json").read_bytes())["graphs"]
    assert {graph["distributed_tracer"]["prompt"] for graph in graphs} == {"dallas", "a/b", "Dallas"}
    for graph in graphs:
        assert json.loads((tmp_path / "out" / f"{graph['slug']}.json").read_bytes())["metadata"] == graph


def test_an_export_that_was_stopped_goes_on_and_writes_nothing_twice(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, read = tmp_path / "out", list[str]()

    def graph(self: Store, prompt_id: str) -> object:
        read.append(prompt_id)
        if len(read) == 4:
            raise KeyboardInterrupt
        return whole(self, prompt_id)

    whole = Store.graph
    monkeypatch.setattr(Store, "graph", graph)
    with pytest.raises(KeyboardInterrupt):
        export_many(store, store, out, FORMATS["json"])
    with (out / "index.jsonl").open("ab") as file:
        file.write(b'{"prompt": "con", "fi')  # a line that was not written whole
    first = {path.name: path.stat().st_mtime_ns for path in out.glob("*.json")}
    assert len(first) == 3
    done = export_many(store, store, out, FORMATS["json"])
    assert done.num_there == 3
    assert len(done.written) == len(IDS) - 3
    assert len(read) == len(IDS) + 1
    assert first.items() <= {path.name: path.stat().st_mtime_ns for path in out.glob("*.json")}.items()
    assert len(lines(out)) == len(IDS)


def test_a_file_is_written_again_if_labels_or_options_changed_or_it_was_removed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def num_written() -> int:
        return len(export_many(store, ["dallas", "con"], out, FORMATS["json"]).written)

    assert [num_written(), num_written()] == [2, 0]
    next(out.glob("dallas.json")).unlink()
    assert [num_written(), num_written()] == [1, 0]
    key, other = NodeKey("feature", 0, 1, 2), NodeKey("feature", 0, 1, 3)
    for context in (
        GraphContext(labels=Labels.of([(0, 1, Label("x", "y"))])),
        GraphContext(labels=Labels.of([(0, 1, Label("z", "y"))])),
        GraphContext(groups=(Group("a", (key,)),)),
        GraphContext(groups=(Group("b", (key,)),)),
        GraphContext(groups=(Group("b", (other,)),)),
        GraphContext(pins=(key,)),
        GraphContext(pins=(other,)),
    ):
        monkeypatch.setattr(Store, "context", lambda self, prompt_id, context=context: context)
        assert [num_written(), num_written()] == [2, 0], context


def test_a_file_that_somebody_changed_is_left_alone_and_named(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_many(store, ["dallas", "con"], out, FORMATS["viewer"])
    (out / "dallas.json").write_text("{}")
    done = export_many(store, ["dallas", "con"], out, "viewer")
    assert list(done.failed) == ["dallas"]
    assert "dallas.json was changed after its export and is left alone: remove it" in done.failed["dallas"]
    assert (out / "dallas.json").read_text() == "{}"


def test_a_folder_with_other_files_or_of_another_format_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match=r"mine has other files and no index\.jsonl"):
        export_many(store, store, tmp_path / "mine", FORMATS["json"])
    with pytest.raises(ConfigError, match="is a file: several graphs"):
        export_many(store, store, tmp_path / "mine" / "thesis.tex", FORMATS["json"])
    with pytest.raises(ConfigError, match="there is no directory"):
        export_many(store, store, tmp_path / "none" / "out", FORMATS["json"])
    export_many(store, ["con"], tmp_path / "out", FORMATS["json"])
    with pytest.raises(ConfigError, match="has graphs in the format json: name another folder for npz"):
        export_many(store, ["con"], tmp_path / "out", FORMATS["npz"])


HARMFUL = ("../victim.json", "/etc/passwd", "a/b.json", "..", ".", "", "x\\y", "\x00", 7, None)


@pytest.mark.parametrize("file", HARMFUL)
def test_an_index_that_names_a_file_elsewhere_is_not_followed(file: object, store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_many(store, ["con"], out, FORMATS["json"])
    (line,) = lines(out)
    (tmp_path / "victim.json").write_text("x")
    (out / "index.jsonl").write_text(json.dumps({**line, "file": file}) + "\n[[[\n\n7\n" + "[" * 100_000)
    assert len(export_many(store, ["con"], out, FORMATS["json"]).written) == 1
    assert (tmp_path / "victim.json").read_text() == "x"


def test_a_single_id_is_one_prompt_and_an_unknown_format_is_refused(store: Store, tmp_path: Path) -> None:
    assert [path.name for path in export_many(store, "con", tmp_path / "out", "json").written] == [
        f"{safe_name('con')}.json"
    ]
    with pytest.raises(ConfigError, match="no format 'jsn'"):
        export_many(store, store, tmp_path / "none", "jsn")


def test_an_unknown_prompt_is_refused_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PromptNotFound):
        export_many(store, ["dallas", "houston"], tmp_path / "out", FORMATS["json"])
    assert not (tmp_path / "out").exists()


def test_one_damaged_part_does_not_stop_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [[finite(random_graph(f"{part}{i}", seed=part)) for i in range(2)] for part in range(3)]
    store = make_store(str(tmp_path / "store"), *parts)
    broken = max(
        (path for path in (tmp_path / "store").rglob("*") if store.manifest(1).part in str(path) if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    broken.write_bytes(broken.read_bytes()[:-9] + b"\0" * 9)
    out = tmp_path / "out"
    assert main(["export", store.url, "--all", "--format", "npz", "--out", str(out)]) == 3
    said = capsys.readouterr()
    assert said.out.startswith(f"wrote 4 graphs into {out}")
    assert "error: 2 graphs not exported" in said.err
    assert sorted(str(line["prompt"]) for line in lines(out)) == ["00", "01", "20", "21"]
    assert main(["export", store.url, "--all", "--format", "npz", "--out", str(out)]) == 3
    assert "wrote 0 graphs" in capsys.readouterr().out


def test_the_command_exports_what_it_is_asked_for(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    asked = ["export", store.url, "--format", "viewer", "--out", out]
    assert main([*asked, "--prompt", "con", "--prompt", "a/b"]) == 0
    assert {str(line["prompt"]) for line in lines(tmp_path / "out")} == {"con", "a/b"}
    assert main([*asked, "--all", "--where", "even=true"]) == 0
    assert "wrote 5 graphs" in capsys.readouterr().out
    assert len(lines(tmp_path / "out")) == 7
    open_store(store.url)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "o"], "say which graphs: --prompt ID, or --all"),
        (["--out", "o", "--all", "--prompt", "con"], "say which graphs"),
        (["--out", "o", "--prompt", "con", "--where", "a=1"], "--where chooses among the prompts of --all"),
        (["--out", "o", "--all"], "several graphs need --format: npz, "),
        (["--out", "o", "--all", "--format", "vewer"], "no format 'vewer'"),
        (
            ["--out", "o.npz", "--prompt", "con", "--for", "neuronpedia"],
            "only the format viewer is written for a viewer",
        ),
        (["--out", "o", "--all", "--format", "json", "--where", "even=7"], "compares with numbers or text"),
    ],
)
def test_commands_that_contradict_themselves_are_refused(
    flags: list[str], message: str, store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    flags = [str(tmp_path / flag) if flag.startswith("o") else flag for flag in flags]
    assert main(["export", store.url, *flags]) == 1
    assert message in capsys.readouterr().err
