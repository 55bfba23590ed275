"""Commands that run the model again: verify-edges, faithfulness, intervene."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ModelConfig, RunConfig, TranscoderConfig
from ..errors import ConfigError
from ..text import printable
from .app import DEFAULT_RUN, StorePath, check_count, print_answer
from .community_choice import check_choice, open_communities

if TYPE_CHECKING:
    from ..intervene.parse_settings import Settings
    from ..intervene.replacement_model import ReplacementModel
    from ..intervene.supernode import Supernode


def intervene(
    model: ModelConfig,
    transcoders: TranscoderConfig,
    text: str,
    set: tuple[str, ...] = (),
    groups: str | None = None,
    level: int | None = None,
    every_community: bool = False,
    suggest: bool = False,
    freeze_attention: bool = True,
    generate: int = 0,
    out: str | None = None,
    limit: int = 24,
    labels: str | None = None,
    json: bool = False,
) -> int:
    """Set features of one prompt to other values, and report the model's output and the activity of supernodes.

    Args:
        text: Text of the prompt.
        set: Interventions, as WHAT=VALUE or WHAT=xTIMES. WHAT is LAYER:POSITION:FEATURE, where the position may be a
            slice (2:5::117 is from position 5 on), or a supernode by name or number.
        groups: Supernodes that were saved in a viewer: the JSON file of a graph, or the address of its page. Or the
            folder of a result of `mine roles` or `mine pathways`: then supernodes are those features of its communities
            that are active in the prompt.
        level: Level of such communities (default: the finest one in which a feature has a community).
        every_community: Whether communities count too that are not significant.
        suggest: Whether to trace the prompt and group the features of its graph into supernodes.
        freeze_attention: Whether attention patterns stay those of the unchanged prompt.
        generate: Number of tokens to generate, once without and once with the interventions.
        out: File for a picture of the supernodes, which ends in .png, .pdf or .svg.
        limit: Number of supernodes to print and draw: those that are set, then the most influential. JSON has them all.
        labels: Store, or file of labels, that says what features mean: the report has a column with these labels.
        json: Whether to print the answer as JSON.
    """
    from ..intervene.cluster_supernodes import cluster_supernodes as suggest_supernodes
    from ..intervene.intervention_graph import InterventionGraph
    from ..intervene.parse_settings import parse_settings
    from ..intervene.replacement_model import ReplacementModel
    from ..intervene.supernode import Supernode
    from ..labels.in_store import labels_at
    from ..plot.interventions import draw_interventions
    from ..plot.style import check_picture, notes, save_figure
    from ..report.interventions import interventions_text, with_labels

    check_count("--limit", limit)
    check_count("--generate", generate)
    if out:
        check_picture(out)
    if groups and suggest:
        raise ConfigError("--groups and --suggest exclude each other")
    asks_for_communities = level is not None or every_community
    is_mined = groups is not None and (asks_for_communities or Path(groups).expanduser().is_dir())
    check_choice("--groups", is_mined, level, every_community)
    known = None if labels is None else labels_at(labels)
    members = _communities(str(groups), model, transcoders, level, every_community) if is_mined else {}
    if is_mined:  # a mistyped setting is reported before weights are loaded
        parse_settings(set, [Supernode(name, ()) for name in members])
    elif not suggest:
        settings = parse_settings(set, _saved_supernodes(groups, model) if groups else ())
    replacement = ReplacementModel.load(model.model, transcoders.transcoders, model.forward_dtype, model.device_map)
    if suggest:
        settings = parse_settings(set, suggest_supernodes(replacement.trace(text)))
    elif is_mined:
        settings = _settings_of_communities(set, members, replacement, text)
    graph = InterventionGraph(replacement, text, settings.supernodes)
    found = graph.apply(settings.times, settings.values, freeze_attention=freeze_attention).summary()
    if generate:
        after = graph.interventions(settings.times, settings.values)
        options: dict[str, Any] = {"max_new_tokens": generate, "freeze_attention": freeze_attention}
        found["generated"] = {
            "before": replacement.generate(text, **options),
            "after": replacement.generate(text, after, **options),
        }
    if known is not None:
        found = with_labels(found, known)
    if out:
        figure = draw_interventions(found, limit)
        save_figure(figure, out)
        print("\n".join(map(printable, [f"wrote {out}", *notes(figure)])), file=sys.stderr)
    print_answer(found if json else interventions_text(found, limit))
    return 0


def _communities(
    path: str, model: ModelConfig, transcoders: TranscoderConfig, level: int | None, every: bool
) -> dict[str, list[tuple[int, int]]]:
    """Return layer and index of the features of communities, by what these are called."""
    from ..mine.community_labels import features_by_community

    identity = {"model": model.model, "transcoders": transcoders.transcoders}
    return features_by_community(open_communities(path, identity), level, every)


def _settings_of_communities(
    texts: tuple[str, ...], members: Mapping[str, Collection[tuple[int, int]]], replacement: ReplacementModel, text: str
) -> Settings:
    """Return settings of the communities that are active in a prompt, and print how many others there are."""
    from ..intervene.active_supernodes import active_supernodes
    from ..intervene.parse_settings import parse_settings

    active = replacement.intervene(text, (), with_active=True).before.active
    assert active is not None
    found = active_supernodes(members, active)
    names = {supernode.name for supernode in found}
    absent = [name for name in members if name not in names]
    if absent:
        print(
            f"{len(absent):,} of {len(members):,} communities have no active feature in this prompt, left out",
            file=sys.stderr,
        )
    return parse_settings(texts, found, absent)


def _saved_supernodes(groups: str, model: ModelConfig) -> tuple[Supernode, ...]:
    """Return the supernodes that were saved in a viewer, and print the names of those that have no features."""
    from ..intervene.viewer_supernodes import load_viewer_supernodes
    from ..model.load import model_shape

    saved = load_viewer_supernodes(groups, model_shape(model.model).num_layers)
    if saved.left_out:
        print("no features, left out:", printable(" ".join(saved.left_out)), file=sys.stderr)
    return saved.supernodes


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
    """Run the model for stored graphs with features turned off, and compare the effects with the edges.

    Results are stored beside the graphs, so that the same command goes on after an interruption. The exit code is 1 if
    direct effects differ from the edges.

    Args:
        path: Directory or URL of a store.
        sample: Number of graphs to sample at random (default: all).
        sources: Number of features of each graph to turn off, sampled at random.
        seed: Seed of the random samples of graphs and of features.
        tolerance: Largest accepted difference between direct effect and edge, as a share of the graph's largest edge
            (default: from the precisions of the store).
        model: Directory or hub id of the model, if it is not where the store says.
        transcoders: Directory or hub id of the transcoders, if they are not where the store says.
        device_map: Device map for accelerate: auto, balanced, cpu, cuda, cuda:1, ...
        json: Whether to print the answer as JSON.
    """
    from ..evaluate.edge_effects import EdgeEffectMetric, tolerance_of
    from ..evaluate.job import EvaluationJob, run_evaluation
    from ..report.edge_check import edge_check, edge_check_text
    from ..store.format.run_file import check_traced
    from ..store.reader import open_store

    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f"--tolerance must be at least 0, not {tolerance}")
    info = open_store(path).info
    check_traced(info, "an evaluation")
    allowed = tolerance_of(info["identity"]) if tolerance is None else tolerance
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
    """Run the model with only the features of stored graphs, and without them, to test what pruning kept.

    Results are stored beside the graphs, so that the same command goes on after an interruption.

    Args:
        path: Directory or URL of a store.
        sample: Number of graphs to sample at random (default: all).
        seed: Seed of the random sample of graphs, and of the random features that serve as a baseline.
        model: Directory or hub id of the model, if it is not where the store says.
        transcoders: Directory or hub id of the transcoders, if they are not where the store says.
        device_map: Device map for accelerate: auto, balanced, cpu, cuda, cuda:1, ...
        out: File for a picture of the results, which ends in .png, .pdf or .svg.
        json: Whether to print the answer as JSON.
    """
    from ..evaluate.faithfulness import FaithfulnessMetric
    from ..evaluate.job import EvaluationJob, run_evaluation
    from ..plot.faithfulness import draw_faithfulness
    from ..plot.style import check_picture, save_figure
    from ..report.faithfulness import faithfulness as summary_of
    from ..report.faithfulness import faithfulness_text

    if out is not None:
        check_picture(out)
    metric = FaithfulnessMetric(seed=seed)
    checked = run_evaluation(EvaluationJob(path, metric, sample, seed, model, transcoders, device_map, run))
    found = summary_of(checked.table)
    if out is not None:
        save_figure(draw_faithfulness(checked.table), out)
    as_json = {**checked.as_dict(), "shares": list(found.rows())}
    print_answer(as_json if json else f"{checked.describe()}\n{faithfulness_text(found)}")
    return checked.exit_code
