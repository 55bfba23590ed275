"""Processes that do one thing per line of standard input and answer with a line of JSON: both ends of the pipe.

This also runs in the peer's environment, so it imports nothing of ours. Linux only: peak memory is read from /proc.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from process_memory import held_bytes, peak_bytes, reset_peak


class Tracer(Protocol):
    """One tool with its weights loaded. What `attribute` and `prune` return is passed back to it unchanged."""

    about: dict[str, Any]

    def attribute(self, tokens: list[int]) -> Any: ...

    def prune(self, graph: Any) -> Any: ...

    def save(self, graph: Any, pruned: Any, folder: Path) -> None: ...

    def arrays(self, graph: Any) -> dict[str, Any]:
        """Return the whole graph as the arrays that `graph_difference` compares."""
        ...


def serve(open_tracer: Callable[[dict[str, Any]], Tracer]) -> None:
    """Trace prompts. The options hold the tokens of the prompt to `warm_up` with."""

    def warmed(options: dict[str, Any]) -> Tracer:
        tracer = open_tracer(options)
        with tempfile.TemporaryDirectory() as folder:
            measure(tracer, options["warm_up"], f"{folder}/warm-up")
        return tracer

    answer_lines(warmed, measure)


class Tool(Protocol):
    """Anything that is loaded once and called many times."""

    about: dict[str, Any]


T = TypeVar("T", bound=Tool)


def answer_lines(open_tool: Callable[[dict[str, Any]], T], answer: Callable[..., dict[str, Any]]) -> None:
    """Answer each line of input. The first one holds the options, `threads` among them.

    Every further line holds the named arguments of `answer`.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # everything that the tools print goes to the log
    options = json.loads(sys.stdin.readline())
    torch.set_num_threads(options["threads"])
    tool = open_tool(options)
    about: dict[str, Any] = {"torch": torch.__version__, "held_bytes": held_bytes(), **tool.about}
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(tool, **json.loads(line))), file=answers, flush=True)


def measure(tracer: Tracer, tokens: list[int], folder: str, arrays: str | None = None) -> dict[str, Any]:
    """Return seconds by phase, CPU seconds, peak memory and bytes saved for one graph.

    `arrays` names an .npz file for the whole graph.
    """
    reset_peak()
    seconds, cpu_started = {}, time.process_time()
    started = time.perf_counter()
    graph = tracer.attribute(tokens)
    seconds["attribute"] = time.perf_counter() - started
    pruned = tracer.prune(graph)
    seconds["prune"] = time.perf_counter() - started - seconds["attribute"]
    tracer.save(graph, pruned, Path(folder))
    total = time.perf_counter() - started
    seconds["save"] = total - seconds["attribute"] - seconds["prune"]
    answer = {
        "seconds": seconds,
        "total_seconds": total,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_bytes": peak_bytes(),
        "saved_bytes": sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()),
    }
    whole = tracer.arrays(graph)
    if arrays is not None:
        np.savez(arrays, allow_pickle=False, **whole)
    return {**answer, "active": len(whole["active_features"])}


class Worker:
    """The caller's end: one tool in its process, and the folder for its log and graphs.

    Raises SystemExit with the end of the log if the process dies.
    """

    def __init__(self, who: str, command: list[str], options: dict[str, Any], folder: Path) -> None:
        self.who, self._folder, self._log, self._number = who, folder, folder / "log.txt", 0
        folder.mkdir()
        threads = {name: str(options["threads"]) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **threads, **offline},
                text=True,
            )
        self.about = self.ask(options)

    def trace(self, tokens: list[int], arrays: Path | None = None) -> dict[str, Any]:
        """Return the result of `measure`; the graph itself goes to `arrays` if that is given."""
        self._number += 1
        graph = self._folder / str(self._number)
        return self.ask({"tokens": tokens, "folder": str(graph), "arrays": None if arrays is None else str(arrays)})

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send one line and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.close()
            raise SystemExit(f"{self.who} failed; the end of its log:\n{self._log.read_text(errors='replace')[-3000:]}")
        result: dict[str, Any] = json.loads(answer)
        return result

    def close(self) -> None:
        """Kill the process; it has nothing to finish."""
        self._process.kill()
        self._process.communicate()
