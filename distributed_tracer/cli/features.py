"""Commands about what features are: profile, export-features."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from ..config import Precision, RunConfig
from ..text import printable
from .app import DEFAULT_RUN, print_answer

ProfilePath = Annotated[Positional[str], tyro.conf.arg(metavar="PROFILE")]


def profile(
    out: str,
    model: str | None = None,
    transcoders: str | None = None,
    prompts: str | None = None,
    store: str | None = None,
    prompt_format: Literal["auto", "jsonl", "csv", "tsv", "parquet", "text"] = "auto",
    text_field: str = "text",
    forward_dtype: Precision = "float32",
    device_map: str = "auto",
    context_length: int | None = None,
    contexts: int = 4,
    quantiles: int = 4,
    around: int = 16,
    top_tokens: int = 10,
    neighbours: int = 5,
    seed: int = 0,
    memory_gb: float = 4.0,
    part_seconds: float = 300.0,
    dry_run: bool = False,
    run: RunConfig = DEFAULT_RUN,
    json: bool = False,
) -> int:
    """Profile features: where each is active in texts or in a store, how strongly, and what its decoder promotes.

    The same command goes on after an interruption. docs/profiles.md describes the files and every rule.

    Args:
        out: Folder of the profile: new, empty, or begun by the same command.
        model: Language model that reads the texts: a directory or a hub id.
        transcoders: Transcoders whose features are profiled: a directory or a hub id.
        prompts: Texts, of any length, in any format of prompts: a path, a URL, or - for standard input.
        store: Store whose active features are profiled instead, without a model. A model and transcoders then add
            promoted tokens and neighbours.
        prompt_format: Format of the texts, as for trace.
        text_field: Column or field that holds the text.
        forward_dtype: Precision of the weights and the forward pass.
        device_map: Device map for accelerate: auto, balanced, cpu, cuda, cuda:1, ...
        context_length: Number of tokens that the model reads at once; longer texts are cut (default: 512, or what the
            model takes).
        contexts: Number of contexts to keep of the strongest activations, and as many of each quantile.
        quantiles: Number of intervals, with equal numbers of activations, from each of which contexts are sampled.
        around: Number of tokens to keep on each side of a context's token.
        top_tokens: Number of promoted and of suppressed tokens of each feature; 0 leaves them out.
        neighbours: Number of nearest decoders of each feature; 0 leaves them out.
        seed: Seed by which contexts are sampled.
        memory_gb: Memory in 10^9 bytes that each worker uses for counts and contexts, beside the weights.
        part_seconds: Seconds after which a worker writes its counts as a part; a crash loses unwritten counts.
        dry_run: Whether to say only what the profile will take.
        json: Whether to print the summary as JSON.
    """
    from ..harvest.job import plan_profile, run_profile
    from ..harvest.settings import ProfileJob

    sources = (out, model, transcoders, prompts, store, prompt_format, text_field, forward_dtype, device_map)
    kept = (context_length, contexts, quantiles, around, top_tokens, neighbours, seed)
    job = ProfileJob(*sources, *kept, memory_gb, part_seconds, run)
    if dry_run:
        print(plan_profile(job).describe())
        return 0
    done = run_profile(job, lambda line: print(printable(line), file=sys.stderr))
    print_answer(done.as_dict() if json else "\n".join(map(printable, done.describe().splitlines())))
    return done.exit_code


def export_features(path: ProfilePath, out: str, packed: bool = False) -> int:
    """Write a profile as feature files for circuit-tracer's viewer.

    Args:
        path: Folder of a profile.
        out: Folder to write, which must not exist: one JSON file for each feature.
        packed: Whether to write features/index.json.gz and one binary file for each layer instead.
    """
    from ..export.features import export_feature_files
    from ..profile.reader import open_profile

    notes = export_feature_files(open_profile(path), out, packed)
    print("\n".join(map(printable, [f"wrote {out}", *notes])))
    return 0
