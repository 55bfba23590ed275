"""The command line as scripts use it: real processes, exit codes, files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobs_of_cases import CASE, LOCAL, job, plain_rows, write_prompts

from distributed_tracer import __version__
from distributed_tracer.cli.main import main
from distributed_tracer.graph.nodes import NodeKind
from distributed_tracer.pipeline import run_job
from distributed_tracer.store.reader import open_store

ROOT = Path(__file__).parents[2]
ROWS = [*plain_rows(2), {"id": "odd", "text": "the state\x1b[31m of", "topic": "states"}]
GRAPH = ["--max-feature-nodes", "40", "--round-size", "16", "--max-targets", "5", "--target-mass", "0.9"]


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "distributed_tracer", *args]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def inputs(prompts: Path) -> list[str]:
    return ["--model", str(CASE / "model"), "--transcoders", str(CASE / "transcoders"), "--prompts", str(prompts)]


def rows_of(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prompts(tmp_path_factory.mktemp("corpus") / "prompts.jsonl", ROWS)


@pytest.fixture(scope="module")
def traced(prompts: Path) -> tuple[str, subprocess.CompletedProcess[str]]:
    store = str(prompts.with_name("store"))
    return store, run("trace", *inputs(prompts), "--store", store, *GRAPH, "--local", "--threads", "1")


@pytest.fixture
def store(traced: tuple[str, subprocess.CompletedProcess[str]]) -> str:
    return traced[0]


def test_trace_stores_every_prompt_and_says_what_to_run_next(
    traced: tuple[str, subprocess.CompletedProcess[str]],
) -> None:
    store, done = traced
    assert done.returncode == 0, done.stderr
    assert "3 done, 0 skipped (done before), 0 failed" in done.stdout
    assert f"distributed-tracer status {store}" in done.stdout
    assert sorted(open_store(store)) == ["odd", "p0", "p1"]


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_store_the_same_as_this_process_and_keep_quiet(store: str, prompts: Path, tmp_path: Path) -> None:
    options = ["--store", str(tmp_path / "there"), *GRAPH, "--workers", "2", "--threads", "1"]
    done = run("trace", *inputs(prompts), *options)
    assert done.returncode == 0, done.stderr
    assert open_store(str(tmp_path / "there")).digest() == open_store(store).digest()
    progress = [line for line in done.stderr.splitlines() if " done, " not in line]
    assert progress == []
    assert len(done.stdout.splitlines()) == 6


def test_a_rerun_skips_everything(store: str, prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", *inputs(prompts), "--store", store, *GRAPH, "--local", "--threads", "1"]) == 0
    assert "0 done, 3 skipped (done before), 0 failed" in capsys.readouterr().out


def test_some_failed_prompts_are_exit_code_3_and_the_rest_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", [*plain_rows(1), {"id": "bad", "tokens": [77777]}])
    store = str(tmp_path / "store")
    flags = ["--max-feature-nodes", "none", "--local", "--threads", "1", "--keep-all"]
    assert main(["trace", *inputs(prompts), "--store", store, *flags]) == 3
    assert "failed in tokenize: 'bad'" in capsys.readouterr().out
    assert list(open_store(store)) == ["p0"]
    assert open_store(store).info["identity"]["trace"]["max_feature_nodes"] is None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Missing subcommand"),
        (["trace", "--model", "m"], "--transcoders"),
        (["trace", "--no-such-flag"], "no-such-flag"),
        (["show", "{store}"], "--prompt"),
        (["show", "{store}", "--prompt", "nobody"], "error: no prompt 'nobody'"),
        (["status", "{store}/nothing"], "error: there is no store at"),
        (["query", "{store}", "--feature", "12"], "error: --feature is LAYER:INDEX, as in 12:3045, not '12'"),
        (["query", "{store}", "--where", "topics=x"], "error: no metadata, score or size 'topics'; there are topic"),
        (["export", "{store}", "--prompt", "p0", "--out", "{store}/no/such/folder/x.npz"], "error: "),
        (["trace", "{inputs}", "--store", "x", "--local", "--workers", "2"], "error: --workers and --local exclude"),
        (["trace", "{inputs}", "--store", "x", "--local", "--workers=1"], "error: --workers and --local exclude"),
        (["trace", "{inputs}", "--store", "x", "--local", "--max-targets", "0"], "max_targets must be at least 1"),
        (["trace", "{inputs}", "--store", "x", "--workers", "3", "--slices", "2"], "a multiple of slices, 2, not 3"),
        (["trace", "{inputs}", "--store", "x", "--local", "--slices", "2"], "local has one slice, not 2"),
        (["trace", "{inputs}", "--store", "{store}", "--local"], "error: {store} was made with another configuration"),
        (["plan", "--model", "{store}", "--transcoders", "t", "--prompts", "p"], "error: "),
    ],
)
def test_mistakes_are_exit_code_1_with_a_message_and_no_traceback(
    store: str, prompts: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[str] = []
    for arg in args:
        given += inputs(prompts) if arg == "{inputs}" else [arg.replace("{store}", store)]
    assert main(given) == 1
    errors = capsys.readouterr().err
    assert message.replace("{store}", store) in " ".join(errors.split())
    assert "Traceback" not in errors


def test_a_compacted_store_answers_as_before(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = shutil.copytree(store, tmp_path / "copy")
    nodes = open_store(store).graph("p0").nodes
    node = int(nodes.where(NodeKind.FEATURE)[0])
    question = ["--feature", f"{nodes.layer_N[node]}:{nodes.feature_N[node]}"]

    def answers() -> list[str]:
        found = []
        for show in ("occurrences", "edges-into", "edges-out", "together"):
            assert main(["query", str(copied), *question, "--show", show]) == 0
            found.append(capsys.readouterr().out)
        return found

    before = answers()
    assert [
        next(words for words in ("occurrences in", "edges in", "other features") if words in text) for text in before
    ] == ["occurrences in", "edges in", "edges in", "other features"]
    assert main(["compact", str(copied)]) == 0
    assert "3 prompts in" in capsys.readouterr().out
    assert answers() == before
    assert open_store(str(copied)).digest() == open_store(store).digest()


def test_plan_prints_sizes_and_needs_no_store(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *inputs(prompts), *GRAPH, "--local"]) == 0
    text = capsys.readouterr().out
    assert "prompts      3; tokens min" in text
    assert "total        about" in text


def test_plan_says_what_cannot_be_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", [*plain_rows(1), {"id": "bad", "tokens": [77777]}])
    assert main(["plan", *inputs(prompts)]) == 3
    assert "cannot be traced: 'bad'" in capsys.readouterr().out


def test_status_counts_from_the_store_alone(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", store]) == 0
    assert "done     3 prompts" in capsys.readouterr().out
    assert main(["status", store, "--json"]) == 0
    status = rows_of(capsys)
    assert (status["done"], status["failed"], status["orphans"]) == (3, [], [])
    assert status["info"]["versions"]["distributed_tracer"] == __version__


def test_show_prints_a_graph_and_prompts_cannot_steer_the_terminal(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", store, "--prompt", "odd", "--top", "3"]) == 0
    text = capsys.readouterr().out
    assert r"text     the state\x1b[31m of" in text
    assert "\x1b" not in text
    assert "most influential features" in text
    assert main(["show", store, "--prompt", "odd", "--json"]) == 0
    shown = rows_of(capsys)
    assert shown["metadata"] == {"topic": "states"}
    assert shown["num_edges"] == open_store(store).graph("odd").num_edges


def test_query_lists_where_a_feature_acts(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", store, "--prompt", "p0", "--json"]) == 0
    best = rows_of(capsys)["top_features"][0]
    name = f"{best['layer']}:{best['feature']}"
    assert main(["query", store, "--feature", name, "--json"]) == 0
    rows = rows_of(capsys)
    named = {"prompt": "p0", **{k: best[k] for k in ("position", "activation", "influence")}}
    assert named in [{key: row[key] for key in named} for row in rows]
    assert main(["query", store, "--feature", name]) == 0
    assert f"{len(rows)} occurrences in" in capsys.readouterr().out
    assert main(["query", store, "--feature", "0:999999", "--json"]) == 1
    assert "999999" in capsys.readouterr().err


def test_query_lists_the_prompts_that_meet_conditions(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", store, "--where", "topic=states", "num_tokens>=1", "--layer", "0", "--json"]) == 0
    assert [row["id"] for row in rows_of(capsys)] == ["odd"]
    site = open_store(store).graph("p0").nodes
    feature = f"{site.layer_N[0]}:{site.feature_N[0]}"
    assert main(["query", store, "--feature", feature, "--token", str(site.feature_N[site.kind_N == 2][0])]) == 0
    text = capsys.readouterr().out
    assert text.startswith("id ")
    assert "p0" in text
    assert " of 3 prompts" in text


def test_export_writes_the_graph_as_a_dense_matrix(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "graph.npz"
    assert main(["export", store, "--prompt", "p0", "--format", "npz", "--out", str(out)]) == 0
    graph = open_store(store).graph("p0")
    with np.load(out) as arrays:
        assert np.array_equal(arrays["adjacency"], graph.adjacency())
        assert np.array_equal(arrays["tokens"], graph.tokens_P)
        assert len(arrays["target_ids"]) == len(arrays["target_probs"]) == len(graph.targets) == 5


@pytest.mark.parametrize("name", ["g.graphml", "g.json", "g.parquet"])
def test_export_takes_the_format_from_the_ending(
    store: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / name
    assert main(["export", store, "--prompt", "p0", "--out", str(out)]) == 0
    others = ".json is json here: --format viewer is another\n" if name == "g.json" else ""
    assert capsys.readouterr().out == f"wrote {out}\n{others}"
    files = [out] if out.is_file() else sorted(out.iterdir())
    assert all(file.stat().st_size > 1000 for file in files)
    assert main(["export", store, "--prompt", "p0", "--out", str(out), "--format", "npz"]) == 1
    assert "in the format npz ends in .npz, unlike" in capsys.readouterr().err
    assert main(["export", store, "--prompt", "p0", "--out", str(out), "--format", "gexf"]) == 1
    assert "no format 'gexf'; there are npz, graphml, parquet, json" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_is_no_mistake_and_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from distributed_tracer.cli.main import main; code = main(['trace', '--help']); "
        "sys.exit(code or 7 * bool({'torch', 'ray', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--max-feature-nodes" in done.stdout


def start_and_wait_for_a_part(directory: Path, count: int) -> tuple[subprocess.Popen[str], Path]:
    """A run that writes a part per prompt, caught after its first."""
    config = job(directory, plain_rows(count), part_prompts=1)
    store = Path(config.store.store)
    args = [*inputs(Path(config.corpus.prompts)), "--store", str(store), "--part-prompts", "1", "--local"]
    options = ["--max-feature-nodes", "40", "--round-size", "16", "--sweep-rows", "32", "--threads", "1"]
    process = subprocess.Popen(
        command("trace", *args, *options), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(store.glob("commits/*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process, store


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_cleanly_and_the_next_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    process, store = start_and_wait_for_a_part(tmp_path, 200)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "prompts left: run the same command again to go on" in out
    assert "Traceback" not in err
    done = len(open_store(str(store)))
    assert 0 < done < 200
    assert f"{done} done" in out


def test_status_watches_a_run_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process, store = start_and_wait_for_a_part(tmp_path, 12)
    assert main(["status", str(store), "--watch", "0.1"]) == 0
    process.communicate(timeout=60)
    reports = capsys.readouterr().out.split("store    ")[1:]
    assert "of 12 prompts done" in reports[0]
    assert ": running" in reports[0]
    assert [": complete" in report for report in reports] == [False] * (len(reports) - 1) + [True]


def test_a_run_killed_outright_goes_on_to_the_same_store(tmp_path: Path) -> None:
    process, store = start_and_wait_for_a_part(tmp_path, 12)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    summary = run_job(job(tmp_path, plain_rows(12), LOCAL))
    assert summary.num_skipped > 0
    assert summary.num_done + summary.num_skipped == 12
    undisturbed = job(tmp_path, plain_rows(12), LOCAL, store="undisturbed")
    run_job(undisturbed)
    assert open_store(str(store)).digest() == open_store(undisturbed.store.store).digest()
