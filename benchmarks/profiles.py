"""Speed of a profile against the forward pass alone, stage by stage, on one process.

    python benchmarks/profiles.py --model DIR --transcoders DIR [--tokens 20000] [--context-length 512] [--json FILE]

The texts are this repository's documents and sources. First the model alone reads all windows, as the library's own
forward pass. Then a whole profile is made, with a clock around each of its stages: the forward pass with hooks,
encoding, counting (with the choice of contexts), writing parts, merging them, and the decoders' effects. The last
column divides the seconds by those of the forward pass alone. Seconds are those of all processors together, so that
other programs on the machine change little.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from distributed_tracer.config import RunConfig
from distributed_tracer.harvest import job as job_module
from distributed_tracer.harvest import worker as worker_module
from distributed_tracer.harvest.settings import ProfileJob
from distributed_tracer.harvest.units import load_harvest_inputs
from distributed_tracer.harvest.windows import cut
from distributed_tracer.model.load import load_model, load_tokenizer
from distributed_tracer.profile.accumulator import Accumulator
from distributed_tracer.transcoder.loaded import LoadedTranscoders

ROOT = Path(__file__).parents[1]


def write_texts(path: Path, model: str, num_tokens: int) -> None:
    """Write files of this repository, one a line, until they have `num_tokens` tokens."""
    tokenizer = load_tokenizer(model)
    with path.open("w", encoding="utf-8") as file:
        for source in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("distributed_tracer/**/*.py")]):
            text = source.read_text("utf-8")
            ids = tokenizer(text, add_special_tokens=False)["input_ids"][:num_tokens]
            if not ids:
                break
            row = {"id": source.relative_to(ROOT).as_posix(), "tokens": [tokenizer.all_special_ids[0], *ids]}
            file.write(json.dumps(row) + "\n")
            num_tokens -= len(ids)


def seconds_of_forward_alone(job: ProfileJob) -> float:
    """Return how long the library's forward pass takes over all windows."""
    inputs = load_harvest_inputs(job.config(), job.context_length)
    model = load_model(str(job.model))
    windows = [span.tokens for piece in inputs.pieces() for span in cut(piece.tokens or (), inputs.context_length, 1)]
    with torch.no_grad():
        model.hf(input_ids=torch.tensor([windows[0]]), use_cache=False, logits_to_keep=1)  # compiles kernels
        start = time.process_time()
        for window in windows:
            model.hf(input_ids=torch.tensor([window]), use_cache=False, logits_to_keep=1)
    return time.process_time() - start


def timed(seconds: Counter[str], stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its seconds added to those of a stage."""

    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds[stage] += time.process_time() - start

    return run


def stages(job: ProfileJob) -> tuple[Counter[str], int]:
    """Make the profile; return the seconds of each stage, and the number of tokens."""
    seconds: Counter[str] = Counter()
    places: Iterator[tuple[Any, str, str]] = iter(
        [
            (worker_module.HarvestWorker, "_active", "forward"),
            (LoadedTranscoders, "encode", "encode"),
            (Accumulator, "add", "count"),
            (Accumulator, "states", "count"),
            (worker_module, "write_part", "write parts"),
            (worker_module, "write_decoder_effects", "decoders"),
            (job_module, "write_profile_of_texts", "merge"),
        ]
    )
    with ExitStack() as stack:
        for owner, name, stage in places:
            stack.enter_context(mock.patch.object(owner, name, timed(seconds, stage, getattr(owner, name))))
        job_module.run_profile(job)
    seconds["forward"] -= seconds["encode"]  # encoding happens in a hook
    return seconds, int(job_module.open_profile(job.folder).info["num_tokens"])


def main() -> None:
    """Print a table of the stages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--transcoders", required=True)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--context-length", type=int, default=512)
    parser.add_argument("--top-tokens", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder, "texts.jsonl"), options.model, options.tokens)
        job = ProfileJob(
            f"{folder}/profile",
            options.model,
            options.transcoders,
            f"{folder}/texts.jsonl",
            context_length=options.context_length,
            top_tokens=options.top_tokens,
            neighbours=5 if options.top_tokens else 0,
            run=RunConfig(local=True, threads=options.threads, progress=False),
        )
        alone = seconds_of_forward_alone(job)
        seconds, num_tokens = stages(job)
        num_bytes = sum(path.stat().st_size for path in job.folder.rglob("*") if path.is_file())
    print(f"{num_tokens:,} tokens, {options.threads} thread(s), {num_bytes / 1e6:,.0f} MB on disk")
    print(f"{'stage':<22}{'seconds':>10}{'tokens/s':>12}{'of forward':>12}")
    for stage, taken in {
        "forward pass alone": alone,
        **seconds,
        "encode and count": seconds["encode"] + seconds["count"],
    }.items():
        print(f"{stage:<22}{taken:>10.1f}{num_tokens / taken:>12,.0f}{taken / alone:>12.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.1f} GB")
    if options.json:
        results = {"tokens": num_tokens, "alone": alone, "peak_gb": peak, "bytes": num_bytes, **seconds}
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
