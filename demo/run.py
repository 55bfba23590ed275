"""Trace the demo's corpus with two Ray actors, query the store, draw two pictures, and test the graphs on the model.

    make demo          or          python demo/run.py [FOLDER]

An earlier run in FOLDER (out/demo by default) is continued, not repeated; delete the folder to begin again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distributed_tracer import (
    CorpusConfig,
    EdgeEffectMetric,
    EvaluationJob,
    JobConfig,
    ModelConfig,
    RunConfig,
    Store,
    StoreConfig,
    Table,
    TraceConfig,
    TranscoderConfig,
    dark_matter,
    draw_corpus,
    draw_graph,
    edge_check,
    edge_check_text,
    feature_counts,
    open_store,
    recurring_edges,
    run_evaluation,
    run_job,
    save_figure,
)

HERE = Path(__file__).parent
EXAMPLE = "two-hop-dallas"
CHECKED = 40


def job(store: Path) -> JobConfig:
    """Return a job for every prompt of the demo: per-layer transcoders, and two workers that each load the model."""
    return JobConfig(
        ModelConfig(str(HERE / "model")),
        TranscoderConfig(str(HERE / "transcoders" / "plt")),
        CorpusConfig(str(HERE / "corpus.jsonl")),
        StoreConfig(str(store)),
        TraceConfig(max_feature_nodes=1024),
        RunConfig(workers=2, threads=1),
    )


def main(folder: Path) -> int:
    """Trace, query the store, draw, and test edges on the model. Returns the exit code of the run."""
    store_path = folder / "store"
    summary = run_job(job(store_path))
    print(summary.describe())
    store = open_store(str(store_path))
    for title, text in findings(store):
        print(f"\n{title}\n{text}")
    pictures = {
        folder / "graph.png": draw_graph(store.graph(EXAMPLE)),
        folder / "corpus.png": draw_corpus(store, "family"),
    }
    for path, figure in pictures.items():
        save_figure(figure, str(path))
    print(f"\nPictures\n{chr(10).join(map(str, pictures))}")
    title = f"Is it true of the model? 16 features of each of {CHECKED} graphs, turned off one by one"
    print(f"\n{title}\n{truth(store_path)}")
    print(f"\nTry next\n{try_next(store_path, store)}")
    return summary.exit_code


def findings(store: Store) -> Iterator[tuple[str, str]]:
    """Yield a title and a text for each finding in the store."""
    prompts = store.prompts
    bytes_per_graph = sum(p.stat().st_size for p in Path(store.url).rglob("*") if p.is_file()) / len(store)
    yield (
        "What was traced",
        f"{len(store)} graphs of {prompts['num_nodes'].mean():,.0f} nodes and {prompts['num_edges'].mean():,.0f} edges "
        f"after pruning, {prompts['num_active'].mean():,.0f} active features each; {bytes_per_graph / 1024:,.1f} KiB a "
        f"graph on disk. Rows add up to pre-activations within {prompts['closing_error'].max():.0e}.",
    )
    yield "Scores, and how often the model's first choice begins the true answer", families(prompts).format()
    features = feature_counts(store, top=8)
    yield "Features most used across prompts", _with_tokens(store, features).format()
    yield "Strongest recurring edges between features", recurring_edges(store, top=8, min_prompts=10).format()
    dark = dark_matter(store)
    share = float(prompts["error_share"].mean())
    yield (
        f"Dark matter: {share:.0%} of all influence ends in errors, which the transcoders do not explain",
        dark.format(),
    )


def families(prompts: Table) -> Table:
    """Return mean scores by kind of fact. A target's label is the token that the model predicts as the likeliest."""
    right: dict[str, list[bool]] = {}
    for family, answer, targets in zip(prompts["family"], prompts["answer"], prompts["targets"], strict=True):
        if " - " not in targets[0]:  # a difference that the prompt names is not the model's own prediction
            right.setdefault(str(family), []).append(_begins(str(answer), targets[0]))
    of_family = {name: np.array([family == name for family in prompts["family"]]) for name in sorted(right)}
    columns = {"replacement": "replacement", "completeness": "completeness", "dark": "error_share"}
    return Table(
        {
            "family": list(of_family),
            "prompts": [int(mask.sum()) for mask in of_family.values()],
            "right": [f"{np.mean(right[name]):.0%}" for name in of_family],
            **{to: np.array([prompts[of][m].mean() for m in of_family.values()]) for to, of in columns.items()},
        }
    )


def _begins(answer: str, token: str) -> bool:
    return bool(token.strip()) and answer.strip().startswith(token.strip())


def _with_tokens(store: Store, features: Table) -> Table:
    """Return the features with the tokens on which they are strongest."""
    strongest = []
    for layer, feature in zip(features["layer"], features["feature"], strict=True):
        found = store.occurrences(int(layer), int(feature))
        best = np.argsort(-found["activation"])
        tokens = (store.graph(found["prompt"][i]).token_strings[found["position"][i]].strip() for i in best[:20])
        strongest.append(" ".join(list(dict.fromkeys(tokens))[:5]))
    return Table({**{name: features[name] for name in features.columns}, "strongest on": strongest})


def truth(store: Path) -> str:
    """Return predicted effects beside measured ones, as text. The results are kept in the store."""
    run = RunConfig(local=True, progress=False)
    checked = run_evaluation(EvaluationJob(str(store), EdgeEffectMetric(), sample=CHECKED, run=run))
    return edge_check_text(edge_check(checked.table, tolerance=1e-4))


def try_next(path: Path, store: Store) -> str:
    """Return commands to try next."""
    top = feature_counts(store, top=1)
    feature = f"{top['layer'][0]}:{top['feature'][0]}"
    program = f"{Path(sys.executable).parent}/distributed-tracer"
    program = str(Path(program).relative_to(Path.cwd())) if Path(program).is_relative_to(Path.cwd()) else program
    return "\n".join(
        [
            f"{program} show {path} --prompt {EXAMPLE}",
            f"{program} feature {path} {feature}",
            f"{program} query {path} --feature {feature}",
            f"{program} draw {path} --prompt {EXAMPLE} --out {path.parent}/graph.svg",
            f"{program} export {path} --prompt {EXAMPLE} --out {path.parent}/graph.npz",
            f"{program} faithfulness {path} --workers 2 --out {path.parent}/faithfulness.png",
            f"{program} intervene --model demo/model --transcoders demo/transcoders/plt --suggest --set 1=x-1 \\",
            '    --text "Fact: the capital of the state containing Dallas is"',
            f"{Path(program).parent}/python examples/interventions/success_rates.py    # the classics, two minutes",
            f"{program} trace --model demo/model --transcoders demo/transcoders/clt --prompts demo/corpus.jsonl \\",
            f"    --store {path.parent}/clt --workers 2          # the same with cross-layer transcoders",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo")))
