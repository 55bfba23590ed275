"""Which prompts go in, and why others do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from jobs_of_cases import job, plain_rows
from tiny import save_transcoders

from distributed_tracer.config import TranscoderConfig
from distributed_tracer.errors import CorpusError, ShapeMismatch
from distributed_tracer.job.inputs import load_inputs
from distributed_tracer.pipeline import run_job

SAME, OTHER = {"id": "a", "text": "Dallas"}, {"id": "a", "text": "Texas"}


def test_prompts_come_tokenized_in_the_order_of_the_corpus(tmp_path: Path) -> None:
    inputs = load_inputs(job(tmp_path, plain_rows(3)))
    assert [prompt.id for prompt in inputs.prompts] == ["p0", "p1", "p2"]
    assert all(prompt.tokens and prompt.tokens[0] == 1 for prompt in inputs.prompts)
    assert list(inputs.rejected) == []
    assert (inputs.model.num_layers, inputs.transcoders.num_layers) == (4, 4)


def test_a_prompt_given_twice_is_traced_once(tmp_path: Path) -> None:
    inputs = load_inputs(job(tmp_path, [SAME, {"id": "b", "text": "x"}, SAME]))
    assert [prompt.id for prompt in inputs.prompts] == ["a", "b"]


def test_one_id_with_two_contents_is_an_error_that_names_both_lines(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"store\.jsonl:3: id 'a' was given at .*store\.jsonl:1 .* id of its own"):
        load_inputs(job(tmp_path, [SAME, {"id": "b", "text": "x"}, OTHER]))


def test_the_same_text_with_other_metadata_is_other_content(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="other content"):
        load_inputs(job(tmp_path, [SAME, {**SAME, "topic": "cities"}]))


def test_the_second_content_of_an_id_is_recorded_if_bad_prompts_are(tmp_path: Path) -> None:
    inputs = load_inputs(job(tmp_path, [SAME, OTHER], on_bad_prompt="record"))
    assert [prompt.text for prompt in inputs.prompts] == ["Dallas"]
    (rejected,) = inputs.rejected
    assert rejected.prompt_id.endswith("store.jsonl:2"), "its own id is the first one's"
    assert (rejected.status, rejected.phase) == ("failed", "read")


def test_a_malformed_line_stops_or_is_recorded(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "x"}, {"id": "b", "text": 7}]
    with pytest.raises(CorpusError, match=r"store\.jsonl:2"):
        load_inputs(job(tmp_path, rows))
    (rejected,) = load_inputs(job(tmp_path, rows, on_bad_prompt="record")).rejected
    assert (rejected.prompt_id, rejected.phase) == ("b", "read")
    assert "store.jsonl:2" in str(rejected.reason)


@pytest.mark.parametrize(
    ("row", "reason"), [({"tokens": [5, 77777]}, "77777"), ({"text": "Dallas " * 5000}, "takes at most")]
)
def test_a_prompt_that_the_model_cannot_take_is_rejected_whatever_the_configuration(
    tmp_path: Path, row: dict[str, object], reason: str
) -> None:
    inputs = load_inputs(job(tmp_path, [{"id": "bad", **row}, {"id": "good", "text": "x"}]))
    (rejected,) = inputs.rejected
    assert (rejected.prompt_id, rejected.phase) == ("bad", "tokenize")
    assert reason in str(rejected.reason)
    assert [prompt.id for prompt in inputs.prompts] == ["good"]


def test_transcoders_of_another_model_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    config = job(tmp_path, plain_rows(1))
    other = TranscoderConfig(str(save_transcoders(tmp_path / "other")))
    Path(config.corpus.prompts).unlink()
    with pytest.raises(ShapeMismatch, match="d_model is"):
        load_inputs(replace(config, transcoders=other))


@pytest.mark.parametrize("on_bad_prompt", ["stop", "record"])
def test_a_file_without_prompts_is_an_error_before_a_store_is_made(tmp_path: Path, on_bad_prompt: str) -> None:
    config = job(tmp_path, [], on_bad_prompt=on_bad_prompt)
    with pytest.raises(CorpusError, match=r"store\.jsonl: found no prompts, expected at least one"):
        run_job(config)
    assert not Path(config.store.store).exists()


def test_messages_for_a_tokenizer_without_a_chat_template_are_rejected_one_by_one(tmp_path: Path) -> None:
    chat = {"id": "chat", "messages": [{"role": "user", "content": "Texas"}]}
    inputs = load_inputs(job(tmp_path, [chat, {"id": "good", "text": "x"}]))
    (rejected,) = inputs.rejected
    assert (rejected.prompt_id, rejected.phase) == ("chat", "tokenize")
    assert "no chat template" in str(rejected.reason)
    assert [prompt.id for prompt in inputs.prompts] == ["good"]
