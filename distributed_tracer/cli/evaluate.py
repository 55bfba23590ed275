"""Commands that run the model again: verify-edges, faithfulness, intervene."""

from __future__ import annotations

import sys
from typing import Any

from ..config import ModelConfig, RunConfig, TranscoderConfig
from ..errors import ConfigError
from ..text import printable
from .app import DEFAULT_RUN, StorePath, check_count, print_answer


def intervene(
    model: ModelConfig,
    transcoders: TranscoderConfig,
    text: str,
    set: tuple[str, ...] = (),
    groups: str | None = None,
    suggest: bool = False,
    freeze_attention: bool = True,
    generate: int = 0,
    out: str | None = None,
    limit: int = 24,
    json: bool = False,
) -> int:
    """Set features of one prompt to other values, and say what the model says then and what becomes of supernodes.

    Args:
        text: The prompt.
        set: WHAT=VALUE or WHAT=xTIMES. WHAT is LAYER:POSITION:FEATURE, where the position may be a slice (2:5::117 is
            from 5 on), or a supernode by name or number.
        groups: Supernodes saved in a viewer: the JSON file of a graph, or the address of its page.
        suggest: Trace the prompt, and group the features of its graph.
        freeze_attention: Attention patterns stay those of the prompt as it is.
        generate: Also go on for so many tokens, before and after.
        out: Where to draw it: .png, .pdf or .svg.
        limit: How many supernodes to print and draw, those that are set and the most influential; JSON has them all.
        json: Print JSON.
    """
    from ..intervene.cluster_supernodes import cluster_supernodes as suggest_supernodes
    from ..intervene.intervention_graph import InterventionGraph
    from ..intervene.parse_settings import parse_settings
    from ..intervene.replacement_model import ReplacementModel
    from ..intervene.supernode import Supernode
    from ..intervene.viewer_supernodes import load_viewer_supernodes
    from ..model.load import model_shape
    from ..plot.interventions import draw_interventions
    from ..plot.style import check_picture, notes, save_figure
    from ..report.interventions import interventions_text

    check_count("--limit", limit)
    check_count("--generate", generate)
    if out:
        check_picture(out)
    if groups and suggest:
        raise ConfigError("--groups and --suggest exclude each other")
    supernodes: tuple[Supernode, ...] = ()
    if groups:
        saved = load_viewer_supernodes(groups, model_shape(model.model).num_layers)
        supernodes = saved.supernodes
        if saved.left_out:
            print("no features, left out:", printable(" ".join(saved.left_out)), file=sys.stderr)
    if not suggest:
        settings = parse_settings(set, supernodes)  # what is mistyped is said before weights are loaded
    replacement = ReplacementModel.load(model.model, transcoders.transcoders, model.forward_dtype, model.device_map)
    if suggest:
        settings = parse_settings(set, suggest_supernodes(replacement.trace(text)))
    graph = InterventionGraph(replacement, text, settings.supernodes)
    found = graph.apply(settings.times, settings.values, freeze_attention=freeze_attention).summary()
    if generate:
        after = graph.interventions(settings.times, settings.values)
        options: dict[str, Any] = {"max_new_tokens": generate, "freeze_attention": freeze_attention}
        found["generated"] = {
            "before": replacement.generate(text, **options),
            "after": replacement.generate(text, after, **options),
        }
    if out:
        figure = draw_interventions(found, limit)
        save_figure(figure, out)
        print("\n".join(map(printable, [f"wrote {out}", *notes(figure)])), file=sys.stderr)
    print_answer(found if json else interventions_text(found, limit))
    return 0


def verify_edges(
    path: StorePath,
    sample: int | None = None,
    sources: int = 16,
    seed: int = 0,
    tolerance: float | None = None,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    run: RunConfig = DEFAULT_RUN,
    json: bool = False,
) -> int:
    """Run the model for stored graphs with features turned off, and compare what that does with the edges.

    Figures are kept beside the graphs; run again, it goes on. Exit code 1 where direct effects are not the edges.

    Args:
        path: Directory or URL of a store.
        sample: So many graphs, by lot; all without it.
        sources: So many features of each graph, by lot.
        seed: Of both lots.
        tolerance: Direct effects may differ by so much of a graph's largest edge; by the store's precisions without it.
        model: Where the model is, if it is not where the store says.
        transcoders: Where the transcoders are, if they are not where the store says.
        device_map: As for trace.
        json: Print JSON.
    """
    from ..evaluate.edge_effects import EdgeEffectMetric, tolerance_of
    from ..evaluate.job import EvaluationJob, run_evaluation
    from ..report.edge_check import edge_check, edge_check_text
    from ..store.reader import open_store

    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f"--tolerance must be at least 0, not {tolerance}")
    allowed = tolerance_of(open_store(path).info["identity"]) if tolerance is None else tolerance
    job = EvaluationJob(path, EdgeEffectMetric(sources, seed), sample, seed, model, transcoders, device_map, run)
    checked = run_evaluation(job)
    found = edge_check(checked.table, allowed)
    print_answer({**checked.as_dict(), **found} if json else f"{checked.describe()}\n{edge_check_text(found)}")
    return 1 if found["disagreeing"] else checked.exit_code


def faithfulness(
    path: StorePath,
    sample: int | None = None,
    seed: int = 0,
    model: str | None = None,
    transcoders: str | None = None,
    device_map: str = "auto",
    out: str | None = None,
    run: RunConfig = DEFAULT_RUN,
    json: bool = False,
) -> int:
    """Run the model with only the features of stored graphs, and without them: is what pruning kept what counts?

    Figures are kept beside the graphs; run again, it goes on.

    Args:
        path: Directory or URL of a store.
        sample: So many graphs, by lot; all without it.
        seed: Of this lot, and of the features that are taken by lot for comparison.
        model: Where the model is, if it is not where the store says.
        transcoders: Where the transcoders are, if they are not where the store says.
        device_map: As for trace.
        out: Where to write a picture, too: .png, .pdf or .svg.
        json: Print JSON.
    """
    from ..evaluate.faithfulness import FaithfulnessMetric
    from ..evaluate.job import EvaluationJob, run_evaluation
    from ..plot.faithfulness import draw_faithfulness
    from ..plot.style import check_picture, save_figure
    from ..report.faithfulness import faithfulness as summary_of
    from ..report.faithfulness import faithfulness_text

    if out is not None:
        check_picture(out)
    measure = FaithfulnessMetric(seed=seed)
    checked = run_evaluation(EvaluationJob(path, measure, sample, seed, model, transcoders, device_map, run))
    found = summary_of(checked.table)
    if out is not None:
        save_figure(draw_faithfulness(checked.table), out)
    as_json = {**checked.as_dict(), "shares": list(found.rows())}
    print_answer(as_json if json else f"{checked.describe()}\n{faithfulness_text(found)}")
    return checked.exit_code
