"""Importing files into a store: many at once, again, by several commands; and the questions that the store answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_graphs import assert_same, random_graph, with_edges_upwards
from random_stores import make_store
from viewer_documents import document

from distributed_tracer.cli.main import main
from distributed_tracer.errors import ConfigError, StoreMismatch
from distributed_tracer.export.formats import export_graph
from distributed_tracer.graph.context import Group, NodeKey
from distributed_tracer.graph.labels import Label
from distributed_tracer.graph.prune import prune
from distributed_tracer.importers.circuit_tracer import read_circuit_tracer
from distributed_tracer.importers.import_graphs import import_graphs
from distributed_tracer.plot.corpus import draw_corpus
from distributed_tracer.plot.graph import draw_graph
from distributed_tracer.query.cooccurrence import cooccurring
from distributed_tracer.query.dark_matter import dark_matter
from distributed_tracer.query.feature_counts import feature_counts
from distributed_tracer.query.feature_edges import edges_into
from distributed_tracer.query.recurring_edges import recurring_edges
from distributed_tracer.report.status import status_of, status_text
from distributed_tracer.store.format.failure import read_failures
from distributed_tracer.store.maintenance.compact import compact
from distributed_tracer.store.maintenance.merge import merge_stores
from distributed_tracer.store.maintenance.split import split_store
from distributed_tracer.store.reader import open_store

GROUPS = [['x, "y"', "2_7_1", "1_err"], ["", "0_2_1"], ["", "2_7_1"]]


def viewer_file(path: Path, slug: str, **metadata: object) -> Path:
    found = document(qParams={"supernodes": GROUPS, "pinnedIds": "2_7_1"})
    found["metadata"] |= {"slug": slug, **metadata}
    found["nodes"][1]["clerp"] = f"says {slug}"
    path.write_text(json.dumps(found))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three graphs of one model, a list of graphs, a damaged file and files of other kinds."""
    folder = tmp_path / "files"
    folder.mkdir()
    for slug in "abc":
        viewer_file(folder / f"{slug}.json", f"graph {slug}", more=slug)
    (folder / "graph-metadata.json").write_text('{"graphs": []}')
    (folder / "notes.txt").write_text("")
    (folder / "damaged.json").write_text('{"nodes": [], "links": [], "metadata": 3}')
    return folder


def test_a_bad_file_stops_no_other_and_a_second_call_skips_what_is_there(folder: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    seen: list[tuple[int, int]] = []
    done = import_graphs(folder, url, show=lambda *counts: seen.append(counts))
    assert (done.num_imported, done.num_there, done.exit_code) == (3, 0, 3)
    assert list(done.failed) == [str(folder / "damaged.json")]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "1 failed" in done.describe()
    assert "damaged.json: its metadata is no object" in done.describe()
    (failure,) = read_failures(open_store(url).root)
    assert (failure.prompt_id, failure.phase) == ("damaged", "import")
    assert failure.reason == "damaged.json: its metadata is no object, but 3", "no path of this machine"
    assert list(open_store(url)) == ["graph a", "graph b", "graph c"]
    again = import_graphs([folder / "a.json", str(folder / "[bc].json")], url)
    assert (again.num_imported, again.num_there, again.exit_code) == (0, 3, 0)
    run = status_of(url)["run"]
    assert (run["num_prompts"], run["num_done"], run["num_left"]) == (3, 3, 0)
    assert len(open_store(url).manifests) == 1


def test_an_import_that_is_stopped_keeps_what_it_has_and_goes_on(folder: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "store")

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_graphs([folder / f"{name}.json" for name in "abc"], url, show=stop)
    assert list(open_store(url)) == ["graph a", "graph b"]
    assert status_of(url)["run"]["end"]["how"] == "stopped"
    done = import_graphs([folder / f"{name}.json" for name in "abc"], url)
    assert (done.num_imported, done.num_there) == (1, 2)
    store = open_store(url)
    assert all(len(store.context(prompt_id).groups) == 3 for prompt_id in store)


def test_processes_read_files_with_the_same_result(folder: Path, tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    import_graphs(folder, one)
    done = import_graphs(folder, two, processes=2)
    assert (done.num_imported, len(done.failed)) == (3, 1)
    assert open_store(one).digest() == open_store(two).digest()


def test_two_files_with_one_id_are_told_by_name(folder: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    viewer_file(folder / "d.json", "graph a", more="other content")
    shutil.copy(folder / "b.json", folder / "e.json")
    done = import_graphs([folder / "a.json", folder / "b.json", folder / "d.json", folder / "e.json"], url)
    assert (done.num_imported, done.num_there) == (2, 1), "the same content is there, under another name"
    ((path, reason),) = done.failed.items()
    assert Path(path).name == "d.json"
    assert "under the id 'graph a'" in reason
    assert "--prefix" in reason
    assert import_graphs(folder / "d.json", url, prefix="other/").num_imported == 1
    assert "other/graph a" in open_store(url)


def test_graphs_say_that_they_are_imported_and_keep_groups_and_labels(folder: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    import_graphs(folder, url)
    store = open_store(url)
    assert store.info["identity"] == {"imported": True}
    graph = store.graph("graph a")
    assert graph.metadata == {
        "imported_from": "a.json",
        "imported_format": "viewer",
        "imported_influence": "shares",
        "imported_model": "m",
    }
    context = store.context("graph b")
    sites = NodeKey("feature", 2, 1, 7), NodeKey("error", 1, 1, -1), NodeKey("feature", 0, 1, 2)
    assert context.groups == (Group('x, "y"', sites[:2]), Group("", sites[2:]), Group("", sites[:1]))
    assert context.pins == sites[:1]
    assert context.model == "m"
    labels = store.context("graph a").labels.get(2, 7)
    assert labels == tuple(Label(f"says graph {slug}", "m/clerps") for slug in "abc")
    export_graph(graph, tmp_path / "again.json", "viewer", store.context("graph a"))
    done = import_graphs(tmp_path / "again.json", str(tmp_path / "other"))
    assert open_store(done.store).context("graph a").groups == context.groups


def test_graphs_are_stored_as_they_were_read(files: Path, tmp_path: Path) -> None:
    import_graphs(files / "llama_relu_plt.pt", str(tmp_path / "store"))
    store = open_store(str(tmp_path / "store"))
    expected = read_circuit_tracer(files / "llama_relu_plt.pt").graph
    stored = store.graph("llama_relu_plt")
    assert_same(replace(stored, prompt_id="", metadata={}), expected)
    assert len(stored.active) == 453


def test_tokens_are_named_by_a_tokenizer(files: Path, tmp_path: Path) -> None:
    model = Path(__file__).parents[2] / "cases" / "llama_relu_plt" / "model"
    import_graphs(files / "early.pt", str(tmp_path / "store"), tokenizer=str(model))
    graph = open_store(str(tmp_path / "store")).graph("early")
    assert graph.token_strings[:4] == ("<bos>", "F", "ac", "t")
    assert not any(target.label.startswith("<token") for target in graph.targets)


def test_traced_and_imported_graphs_do_not_mix_and_neither_do_models(folder: Path, tmp_path: Path) -> None:
    make_store(str(tmp_path / "traced"), [random_graph()])
    with pytest.raises(StoreMismatch, match="holds graphs that were traced: import into another store"):
        import_graphs(folder, str(tmp_path / "traced"))
    url = str(tmp_path / "store")
    import_graphs(folder / "a.json", url)
    export_graph(with_edges_upwards(random_graph("other", num_layers=5)), tmp_path / "other.npz")
    ((_, reason),) = import_graphs(tmp_path / "other.npz", url).failed.items()
    assert "its model has 5 layers, and that of the store 3" in reason


@pytest.mark.parametrize("given", ["none.json", "none/*.json", "."])
def test_arguments_without_files_are_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        import_graphs(tmp_path / given, str(tmp_path / "store"))
    with pytest.raises(ConfigError, match="at least one file"):
        import_graphs([], str(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.fixture(scope="module")
def url(files: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of graphs from every format: some with scores and influence, some without."""
    folder = tmp_path_factory.mktemp("mixed")
    url = str(folder / "store")
    graph = read_circuit_tracer(files / "llama_relu_plt.pt").graph
    export_graph(replace(graph, prompt_id="linked"), folder / "linked.json", "json")
    export_graph(graph, folder / "matrix.npz")
    bare = json.loads((files / "llama_relu_plt.json").read_text())
    for node in bare["nodes"]:
        node |= {"influence": None, "token_prob": None}
    bare["metadata"]["slug"] = "bare"
    (folder / "bare.json").write_text(json.dumps(bare))
    names = ["linked.json", "matrix.npz", "bare.json"]
    import_graphs([files / "llama_relu_plt.pt", *(folder / name for name in names)], url)
    import_graphs(files / "llama_relu_plt.json", url, prefix="viewer/")
    return url


def test_every_question_is_answered_of_what_is_known(url: str) -> None:
    store = open_store(url)
    assert list(store) == ["bare", "linked", "llama_relu_plt", "matrix", "viewer/llama_relu_plt"]
    counts = feature_counts(store)
    assert counts["prompts"].max() == 5
    layer, feature = int(counts["layer"][0]), int(counts["feature"][0])
    assert set(store.occurrences(layer, feature)["prompt"]) == set(store)
    assert len(edges_into(store, layer, feature))
    assert len(cooccurring(store, layer, feature))
    assert recurring_edges(store)["prompts"].max() == 5
    dark = dark_matter(store)
    assert dark["prompts"].tolist() == [2] * 4, "the .pt file and the document that has its scores"
    assert np.isfinite(dark["mean_error_share"]).all()
    assert store.select(min_replacement=0.1) == ["linked", "llama_relu_plt"]
    assert store.select({"imported_format": "viewer"}) == ["bare", "viewer/llama_relu_plt"]
    assert store.nodes(where={"kind": "feature"}).to_arrow().num_rows > 24
    assert "model    that of each imported graph" in status_text(status_of(url))
    assert "of various models (imported)" in repr(store)


def test_stores_of_imported_graphs_are_compacted_merged_split_and_verified(url: str, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy")
    merge_stores(copy, url)
    digest = open_store(url).digest()
    assert open_store(copy).digest() == digest
    compact(copy)
    assert open_store(copy).digest() == digest
    assert open_store(copy).verify() > 0
    assert len(open_store(copy).graph("matrix").active) == 453
    split_store(open_store(copy), str(tmp_path / "split"), ["bare"])
    assert list(open_store(str(tmp_path / "split"))) == ["bare"]


def test_pictures_say_what_is_not_known(url: str) -> None:
    store = open_store(url)
    for prompt_id in store:
        title = draw_graph(store.graph(prompt_id)).texts[0].get_text()
        assert "nan" not in title
        assert ("replacement" in title) == (prompt_id in ("linked", "llama_relu_plt"))
    texts = [text.get_text() for text in draw_corpus(store).texts]
    assert any("the scores of 3 imported graphs are not known" in text for text in texts)


def test_what_needs_unknown_numbers_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    bare = open_store(url).graph("bare")
    with pytest.raises(ConfigError, match=r"cannot be pruned, because .*: the influence of 44 nodes"):
        prune(bare)
    assert len(prune(open_store(url).graph("viewer/llama_relu_plt"), 0.5, 0.9).nodes) < len(bare.nodes)
    for command in (["verify-edges", url], ["faithfulness", url]):
        assert main([*command, "--local"]) == 1
        assert "nothing says them of imported graphs" in capsys.readouterr().err
    assert main(["show", url, "--prompt", "bare"]) == 0
    assert main(["info", url]) == 0


def test_the_command_says_what_came_of_the_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["import", str(folder), "--store", str(tmp_path / "store")])
    out = capsys.readouterr().out
    assert code == 3
    assert "3 graphs imported into " in out
    assert "failed: " in out
    assert main(["import", str(tmp_path / "none"), "--store", str(tmp_path / "store")]) == 1
    assert "is no file" in capsys.readouterr().err
