"""Columns of graph vectors: names, types, units and meanings. `prompt_` needs no graph, `graph_` does.

Names of columns of layers end in the number of the layer, with as many digits as the last layer has.
"""

from __future__ import annotations

from .columns import COUNT, NO_UNIT, Column

ABOUT: dict[str, Column] = {
    "prompt": Column("", "", "id"),
    "cluster": Column("", "", "name of its cluster; its id if no clusters are named"),
    "fold": Column("i8", "", "fold of its cluster for cross-validation, by the seed; -1 if there are too few clusters"),
}
OF_PROMPT: dict[str, Column] = {
    "prompt_tokens": Column("f8", COUNT, "tokens"),
    "prompt_targets": Column("f8", COUNT, "targets that are explained"),
    "prompt_top_probability": Column("f8", NO_UNIT, "largest probability of a target; NaN if weights are no such"),
    "prompt_target_mass": Column("f8", NO_UNIT, "sum of the probabilities of the targets; NaN likewise"),
    "prompt_target_entropy": Column("f8", "nats", "entropy of the targets' probabilities, divided by their sum"),
}
OF_GRAPH: dict[str, Column] = {
    "graph_replacement": Column("f8", NO_UNIT, "replacement score, before pruning"),
    "graph_completeness": Column("f8", NO_UNIT, "completeness score, before pruning"),
    "graph_constant_share": Column("f8", NO_UNIT, "share of influence that ends in the constant, before pruning"),
    "graph_error_share": Column("f8", NO_UNIT, "share of influence that ends in errors, before pruning"),
    "graph_active": Column("f8", COUNT, "active features of the prompt, over positions"),
    "graph_features": Column("f8", COUNT, "feature nodes"),
    "graph_errors": Column("f8", COUNT, "error nodes"),
    "graph_token_nodes": Column("f8", COUNT, "token nodes"),
    "graph_edges": Column("f8", COUNT, "edges"),
    "graph_influence": Column(
        "f8", "edges", "influence of feature nodes / weights of targets: features that influence passes on its way"
    ),
    "graph_influence_entropy": Column("f8", "nats", "entropy of the influence of feature nodes, divided by its sum"),
    "graph_influence_max": Column("f8", NO_UNIT, "largest influence of a feature node / sum over feature nodes"),
    "graph_path_mean": Column("f8", "edges", "mean number of edges over which influence arrives, before pruning"),
    "graph_path_deviation": Column("f8", "edges", "standard deviation of this number"),
    "graph_edge_mean_abs": Column("f8", "unit of the targets of edges", "mean |weight| of the edges"),
    "graph_edge_negative": Column("f8", NO_UNIT, "|weight| of negative edges / |weight| of all edges"),
}
OF_LAYER: dict[str, Column] = {
    "graph_features_layer_": Column("f8", COUNT, "feature nodes of this layer"),
    "graph_influence_layer_": Column("f8", "edges", "influence of this layer's feature nodes / weights of targets"),
    "graph_influence_max_layer_": Column("f8", "edges", "largest influence of one of them / weights of targets"),
    "graph_activation_mean_layer_": Column("f8", "activation", "mean activation of this layer's feature nodes"),
    "graph_activation_max_layer_": Column("f8", "activation", "largest activation of one of them"),
    "graph_error_share_layer_": Column("f8", NO_UNIT, "share of influence that ends in this layer's errors"),
}
PREDICTIONS: dict[str, Column] = {
    "field": Column("", "", "metadata field that is predicted"),
    "value": Column("", "", "value that is predicted, against all others"),
    "columns": Column("", "", "columns that predict: prompt, graph, or both"),
    "prompts": Column("i8", COUNT, "prompts that have the field"),
    "positive": Column("i8", COUNT, "of these, those with the value"),
    "clusters": Column("i8", COUNT, "clusters of these prompts"),
    "auroc": Column(
        "f8", NO_UNIT, "probability that a prompt with the value scores higher than one without, of the same fold"
    ),
    "auroc_low": Column("f8", NO_UNIT, "lower end of the 95% interval of `auroc`, from leaving out clusters"),
    "auroc_high": Column("f8", NO_UNIT, "upper end of that interval"),
    "gain": Column("f8", NO_UNIT, "auroc - auroc of the prompt columns alone"),
    "gain_low": Column("f8", NO_UNIT, "lower end of the 95% interval of `gain`"),
    "gain_high": Column("f8", NO_UNIT, "upper end of that interval"),
    "auroc_shuffled": Column("f8", NO_UNIT, "mean `auroc` for shuffled labels"),
    "p": Column("f8", NO_UNIT, "(1 + shuffles with as high an auroc) / (1 + shuffles)"),
    "accuracy": Column("f8", NO_UNIT, "mean over clusters of the share of prompts whose label is predicted right"),
    "accuracy_low": Column("f8", NO_UNIT, "lower end of the 95% interval of `accuracy` over clusters"),
    "accuracy_high": Column("f8", NO_UNIT, "upper end of that interval"),
    "accuracy_majority": Column(
        "f8", NO_UNIT, "the same, if each fold is predicted to be what most prompts of the others are"
    ),
}


def vector_columns(num_layers: int) -> dict[str, Column]:
    """Return the columns of the vectors of a model with this number of layers."""
    return {**ABOUT, **OF_PROMPT, **OF_GRAPH, **{name: OF_LAYER[stem] for name, stem, _ in of_layers(num_layers)}}


def of_layers(num_layers: int) -> list[tuple[str, str, int]]:
    """Return name, name without the layer, and layer of each column of layers, in order."""
    digits = len(str(num_layers - 1))
    return [(f"{stem}{layer:0{digits}d}", stem, layer) for stem in OF_LAYER for layer in range(num_layers)]
