"""Prompts on disk: what goes in comes out, in order, until it is done."""

from __future__ import annotations

import subprocess
import sys

from distributed_tracer.plan.prompt_queue import PromptQueue
from distributed_tracer.prompt import Prompt, TargetSpec

EVERYTHING = Prompt(
    "a 'quoted' id\x1b[31m 🧪",
    "text of é",
    (1, 2, 3),
    (
        TargetSpec(token=0, weight=0.5, label="x"),
        TargetSpec(token="A", minus="B"),
        TargetSpec(feature=(1, -1, 7), position=2),
        TargetSpec(direction=(0.1, -2.0)),
    ),
    {"hops": 2, "nested": {"list": [1, None, True]}},
    "prompts.jsonl:7",
)


def prompt(id_: str, length: int = 3) -> Prompt:
    return Prompt(id_, tokens=(1, *range(2, length + 1)))


def test_a_prompt_comes_out_as_it_went_in() -> None:
    (found,) = PromptQueue([EVERYTHING])
    assert found == EVERYTHING
    assert found.where == EVERYTHING.where
    assert found.content_hash == EVERYTHING.content_hash


def test_prompts_come_in_the_order_of_the_corpus_and_by_length() -> None:
    queue = PromptQueue([prompt("b", 5), prompt("a", 3), prompt("c", 5)])
    assert [p.id for p in queue] == ["b", "a", "c"]
    assert list(queue.lengths().items()) == [(5, 2), (3, 1)], "the longest first"
    assert [p.id for p in queue.with_length(5)] == ["b", "c"]


def test_an_id_is_claimed_once() -> None:
    queue = PromptQueue()
    assert queue.register(EVERYTHING) is None
    assert queue.register(EVERYTHING) == ("prompts.jsonl:7", True)
    assert queue.register(prompt(EVERYTHING.id)) == ("prompts.jsonl:7", False)
    assert (len(queue), list(queue)) == (0, []), "claimed, but not added"


def test_what_is_done_is_left_out_and_what_was_asked_otherwise_is_known() -> None:
    queue = PromptQueue([prompt("done"), prompt("old"), prompt("changed"), prompt("left")])
    asked = prompt("done").content_hash
    queue.mark_done([("done", asked), ("old", ""), ("changed", "else"), ("changed", asked), ("stranger", "x")])
    assert [p.id for p in queue] == ["left"]
    assert [p.id for p in queue.changed()] == ["changed"], "the first commit that names a prompt holds its graph"
    assert (queue.num_done, len(queue), queue.lengths()) == (2, 4, {3: 1})


def test_memory_does_not_grow_with_the_number_of_prompts() -> None:
    program = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from distributed_tracer.plan.prompt_queue import PromptQueue
from distributed_tracer.prompt import Prompt
spool = PromptQueue()
def fill(first, end):
    for n in range(first, end):
        prompt = Prompt(f"prompt {{n}}", "a text of some length " * 4, tuple(range(1000, 1030)))
        spool.register(prompt)
        spool.put(prompt)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
few = fill(0, 5_000)
print(fill(5_000, 30_000) - few)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    grown_kib = int(answer.stdout) / (1024 if sys.platform == "darwin" else 1)
    assert grown_kib < 25_000 * 0.2, "0.2 KiB a prompt; as objects they take 2"
