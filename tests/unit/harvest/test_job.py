"""Profiles of texts: against brute force, interrupted and continued, and all that is refused before any work."""

from __future__ import annotations

import builtins
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jobs_of_cases import CASES, plain_rows, write_prompts
from profile_jobs import contents, profile_job
from rounding import nearly

from distributed_tracer.config import TraceConfig
from distributed_tracer.errors import ConfigError, CorpusError, TracerError
from distributed_tracer.harvest import recorder as recorder_module
from distributed_tracer.harvest.job import plan_profile, run_profile
from distributed_tracer.harvest.recorder import ProfileSummary
from distributed_tracer.harvest.settings import ProfileJob
from distributed_tracer.harvest.units import PIECE_TOKENS
from distributed_tracer.model.load import load_model
from distributed_tracer.model.tokenize import tokenize
from distributed_tracer.profile import work_folder as work_folder_module
from distributed_tracer.profile.reader import open_profile
from distributed_tracer.prompt import Prompt
from distributed_tracer.trace.attribute import run_and_encode
from distributed_tracer.transcoder.load import load_transcoders

ROWS = plain_rows(7)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> ProfileSummary:
    """The profile of ROWS, made without interruption."""
    return run_profile(profile_job(tmp_path_factory.mktemp("expected"), ROWS))


def brute_force(
    case: str, tokens_of: dict[str, tuple[int, ...]]
) -> dict[tuple[int, int], dict[tuple[str, int], float]]:
    """Activation of every active feature at every prompt and position, as tracing finds it."""
    model = load_model(str(CASES / case / "model"))
    transcoders = load_transcoders(str(CASES / case / "transcoders"))
    found: dict[tuple[int, int], dict[tuple[str, int], float]] = defaultdict(dict)
    for id_, tokens in tokens_of.items():
        _, features = run_and_encode(Prompt(id_, tokens=tokens), model, transcoders, TraceConfig())
        active = features.table()
        columns = (active.layer_A, active.position_A, active.feature_A, active.activation_A)
        for layer, position, feature, activation in zip(*(column.tolist() for column in columns), strict=True):
            found[layer, feature][id_, position] = activation
    return found


def tokens_of_rows(case: str, rows: list[dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    model = load_model(str(CASES / case / "model"))
    prompts = (tokenize(Prompt(row["id"], row["text"]), model.tokenizer, model.shape) for row in rows)
    return {prompt.id: prompt.tokens or () for prompt in prompts}


@pytest.mark.parametrize("case", ["llama_relu_plt", "llama_relu_clt", "qwen3_topk_skip_tied"])
def test_every_activation_is_counted_as_tracing_finds_it(case: str, tmp_path: Path) -> None:
    tokens = tokens_of_rows(case, ROWS)
    expected = brute_force(case, tokens)
    done = run_profile(profile_job(tmp_path, ROWS, case=case))
    assert (done.exit_code, done.num_features) == (0, len(expected))
    profile = open_profile(done.folder)
    assert [(found.layer, found.feature) for found in profile] == sorted(expected)
    for found in profile:
        activations = expected[found.layer, found.feature]
        assert found.num_active_tokens == len(activations)
        assert found.num_active_prompts == len({id_ for id_, _ in activations})
        assert found.density == len(activations) / sum(len(ids) - 1 for ids in tokens.values())
        assert (found.min_activation, found.max_activation) == (min(activations.values()), max(activations.values()))
        assert found.mean_activation == nearly(np.mean(list(activations.values())), len(activations), torch.float32)
        assert found.contexts[0].quantile == 0
        for context in found.contexts:
            positions = range(context.start, context.start + len(context.tokens))
            assert context.activations == tuple(activations.get((context.prompt, p), 0.0) for p in positions)
            assert activations[context.prompt, context.position] != 0
            assert len(positions) == min(5, len(tokens[context.prompt]) - context.start, context.position + 3)


def test_long_texts_are_read_in_windows_that_begin_as_the_text_does(tmp_path: Path) -> None:
    (long,) = tokens_of_rows("llama_relu_plt", [{"id": "long", "text": "the capital of the state of Dallas is " * 4}])
    tokens = tokens_of_rows("llama_relu_plt", [{"id": "long", "text": "the capital of the state of Dallas is " * 4}])[
        long
    ]
    job = profile_job(
        tmp_path, [{"id": "long", "text": "the capital of the state of Dallas is " * 4}], context_length=8
    )
    run_profile(job)
    windows = {f"{first}": (tokens[0], *tokens[first : first + 7]) for first in range(1, len(tokens), 7)}
    expected = brute_force("llama_relu_plt", windows)
    profile = open_profile(job.out)
    assert [(found.layer, found.feature) for found in profile] == sorted(expected)
    for found in profile:
        moved = {int(first) + position - 1: a for (first, position), a in expected[found.layer, found.feature].items()}
        assert found.num_active_tokens == len(moved)
        assert found.num_active_prompts == 1
        for context in found.contexts:
            assert moved[context.position] == context.activations[context.position - context.start]
            in_window = {(p - 1) // 7 for p in range(max(1, context.start), context.start + len(context.tokens))}
            assert len(in_window) == 1


def test_pieces_of_a_very_long_text_are_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": "long", "text": "the capital of the state of Dallas is " * 4}, *ROWS[:2]]
    whole = run_profile(profile_job(tmp_path, rows, context_length=8, out="whole"))
    assert PIECE_TOKENS > 1_000
    monkeypatch.setattr("distributed_tracer.harvest.units.PIECE_TOKENS", 15)  # two windows of 7 new tokens
    apart = run_profile(profile_job(tmp_path, rows, context_length=8, out="apart"))
    assert apart.num_done > whole.num_done
    assert open_profile(apart.folder).info["num_prompts"] > open_profile(whole.folder).info["num_prompts"]
    for one, other in zip(open_profile(apart.folder), open_profile(whole.folder), strict=True):
        assert one.num_active_prompts >= other.num_active_prompts
        assert replace(one, num_prompts=3, num_active_prompts=0) == replace(other, num_active_prompts=0)


def test_a_killed_job_goes_on_and_ends_with_the_same_files(
    expected: ProfileSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, commits = recorder_module.commit_part, []

    def killed(folder: Path, name: str) -> None:
        commits.append(name)
        if len(commits) == 3:
            raise KeyboardInterrupt
        commit(folder, name)

    job = profile_job(tmp_path, ROWS, part_seconds=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(recorder_module, "commit_part", killed)
        with pytest.raises(KeyboardInterrupt):
            run_profile(job)
    assert not (tmp_path / "profile" / "profile.json").exists()
    done = run_profile(replace(job, part_seconds=300))
    assert (done.num_skipped, done.num_done) == (2, 5)
    assert contents(done.folder) == contents(expected.folder)
    again = run_profile(job)
    assert (again.num_done, again.num_features) == (0, expected.num_features)


def test_a_run_that_is_killed_while_it_merges_goes_on(
    expected: ProfileSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("distributed_tracer.harvest.write_profile.write_prompts", killed)
        with pytest.raises(KeyboardInterrupt):
            run_profile(profile_job(tmp_path, ROWS))
    done = run_profile(profile_job(tmp_path, ROWS))
    assert (done.num_done, done.exit_code) == (0, 0)
    assert contents(done.folder) == contents(expected.folder)


def test_no_bit_depends_on_parts_or_on_the_order_of_texts(expected: ProfileSummary, tmp_path: Path) -> None:
    parts = run_profile(profile_job(tmp_path, ROWS, out="parts", part_seconds=1e-9, memory_gb=0.1))
    assert contents(parts.folder) == contents(expected.folder)
    turned = run_profile(profile_job(tmp_path, ROWS[::-1], out="turned"))
    assert list(open_profile(turned.folder)) == list(open_profile(expected.folder))
    seeded = run_profile(profile_job(tmp_path, ROWS, out="seeded", seed=1))
    assert list(open_profile(seeded.folder)) != list(open_profile(expected.folder))


def test_bad_texts_are_reported_and_the_others_are_profiled(expected: ProfileSummary, tmp_path: Path) -> None:
    bad = [{"id": "none"}, {"id": "unknown", "tokens": [1, 10**6]}, {"id": "nothing", "tokens": [1]}]
    done = run_profile(profile_job(tmp_path, [*ROWS[:3], *bad, *ROWS[3:]]))
    assert (done.exit_code, {outcome.prompt_id for outcome in done.failed}) == (3, {"none", "unknown", "nothing"})
    assert list(open_profile(done.folder)) == list(open_profile(expected.folder))
    assert "no tokens after its special ones" in open_profile(done.folder).info["failed"]["nothing"]


def test_a_text_that_fails_in_the_model_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed_tracer.harvest import worker

    expected = run_profile(profile_job(tmp_path, [row for row in ROWS if row["id"] != "p3"], out="expected"))
    cut = worker.cut

    def failing(tokens: tuple[int, ...], *arguments: Any) -> Any:
        yield from cut(tokens, *arguments)
        if tokens == tokens_of_rows("llama_relu_plt", [ROWS[3]])["p3"]:
            raise RuntimeError("a bug")

    monkeypatch.setattr(worker, "cut", failing)
    done = run_profile(profile_job(tmp_path, ROWS))
    assert [(outcome.prompt_id, outcome.phase) for outcome in done.failed] == [("p3", "trace")]
    assert list(open_profile(done.folder)) == list(open_profile(expected.folder))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> ProfileJob:
    """A job over one text that was run."""
    job = profile_job(tmp_path_factory.mktemp("finished"), ROWS[:1])
    run_profile(job)
    return job


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: the profile has 0, this run 1"),
        ({"context_length": 9}, "context_length: the profile has 128, this run 9"),
        ({"contexts": 3}, "contexts: the profile has 2, this run 3"),
        ({"forward_dtype": "float64"}, 'forward_dtype: the profile has "float32", this run "float64"'),
        ({"model": str(CASES / "llama_relu_clt" / "model")}, "content.model: the profile has"),
    ],
)
def test_other_settings_are_refused_by_name(finished: ProfileJob, change: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match="has a profile that was made otherwise") as error:
        run_profile(replace(finished, **change))
    assert named in str(error.value)


def test_other_texts_are_refused_and_a_moved_model_is_not(finished: ProfileJob, tmp_path: Path) -> None:
    (tmp_path / "moved").symlink_to(CASES / "llama_relu_plt")
    assert run_profile(replace(finished, model=str(tmp_path / "moved" / "model"))).exit_code == 0
    with pytest.raises(ConfigError, match="prompts: the profile has"):
        run_profile(replace(finished, prompts=str(write_prompts(tmp_path / "other.jsonl", ROWS[1:2]))))


def refused(job: Callable[[], ProfileJob], error: type[TracerError], match: str) -> None:
    with pytest.raises(error, match=match):
        run_profile(job())


def test_folders_that_are_not_for_a_profile_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    refused(lambda: profile_job(tmp_path, ROWS, out="full"), ConfigError, "has files and is no profile")
    refused(lambda: profile_job(tmp_path, ROWS, out="absent/profile"), ConfigError, "there is no directory")
    refused(lambda: profile_job(tmp_path, ROWS, out="texts.jsonl"), ConfigError, "is no directory")


def test_two_runs_do_not_work_in_one_folder(tmp_path: Path) -> None:
    again = work_folder_module.work_folder(tmp_path / "p", {"seed": 0})
    with (
        work_folder_module.work_folder(tmp_path / "p", {"seed": 0}),
        pytest.raises(ConfigError, match="another run is making the profile"),
        again,
    ):
        pass


def test_a_corpus_without_a_text_is_refused(tmp_path: Path) -> None:
    refused(lambda: profile_job(tmp_path, []), CorpusError, "found no texts, expected at least one")
    refused(lambda: profile_job(tmp_path, [{"id": "x"}]), CorpusError, "found 1 texts, none of which can be read")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"out": "s3://bucket/p"}, "a profile is a folder that all workers see, not an address: s3://bucket/p"),
        ({"contexts": 0}, "contexts must be from 1 to 127, not 0"),
        ({"quantiles": 101}, "quantiles must be from 1 to 100, not 101"),
        ({"around": -1}, "around must be from 0 to 10,000, not -1"),
        ({"seed": -1}, "seed must be from 0"),
        ({"context_length": 7}, "context_length must be at least 8, not 7"),
        ({"context_length": 129}, "context_length is 129; the model takes at most 128 tokens"),
        ({"memory_gb": 0.0}, "memory_gb must be at least 0.1, not 0"),
        ({"part_seconds": 0.0}, "part_seconds must be positive, not 0"),
        ({"store": "s"}, r"give texts \(--prompts\) .* or a store"),
        ({"model": None}, "texts are read by a model"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        run_profile(replace(profile_job(tmp_path, ROWS[:1]), **options))
    assert not (tmp_path / "profile").exists()


def test_a_missing_pyarrow_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_arrow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    monkeypatch.setattr(builtins, "__import__", without_arrow)
    refused(lambda: profile_job(tmp_path, ROWS), ConfigError, r"a profile needs pyarrow: pip install")


def test_the_plan_says_tokens_seconds_and_bytes(tmp_path: Path) -> None:
    job = profile_job(tmp_path, ROWS)
    announced: list[str] = []
    plan = plan_profile(job)
    assert not (tmp_path / "profile").exists()
    tokens = sum(len(tokens) - 1 for tokens in tokens_of_rows("llama_relu_plt", ROWS).values())
    assert (plan.num_texts, plan.num_tokens) == (7, tokens)
    run_profile(job, announced.append)
    assert announced == [plan.describe()]
    assert announced[0].startswith(f"to examine: {tokens} tokens of 7 texts, in about ")
