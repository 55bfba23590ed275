"""virtual_weights: how strongly features of a corpus are wired to each other, and what becomes of these wires.

store ─▶ activity ─▶ candidates of each layer pair ─▶ values of each pair ─▶ stored edges of the pairs ─▶ tests, tables

Axes: X pair of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..store.reader import Store
from ..table import Table
from ..tasks.phases import Execute, Phases, perform_here
from ..text import counted
from .activity import ACTIVE_BYTES, Activity, Floats
from .chance import LEAST_EXPECTED, p_fewer, p_more
from .columns import Column
from .direct_edges import WITHOUT_SCALES
from .feature_vectors import FeatureVectors, feature_vectors
from .findings import Findings, InMemoryResult, mine_in_phases, phases_of_memory
from .prompt_sets import FEW_CLUSTERS
from .prompts import ChosenPrompts, choose_prompts
from .result import Result
from .statistics import q_values
from .weight_candidates import Candidates
from .weight_columns import CALIBRATION, GATED, PAIRS, TOGETHER
from .weight_edges import PairEdges, pair_edges
from .weight_gates import Gates, find_gates
from .weight_pairs import PairValues
from .weight_tasks import WeightPhases, vectors_of_files


@dataclass(frozen=True, eq=False, repr=False)
class VirtualWeights(InMemoryResult):
    """Virtual weights of a corpus; docs/weights.md describes the columns."""

    COLUMNS: ClassVar = {"pairs": PAIRS, "together": TOGETHER, "gated": GATED, "calibration": CALIBRATION}

    pairs: Table
    """The pairs with the largest |TWERA|, the largest first."""
    together: Table
    """The strongest pairs of each two layers: whether they are active together as often as by chance."""
    gated: Table
    """Pairs with a large direct effect whose target is rarely active with the source, the most certain first."""
    calibration: Table
    """Exact direct weights against TWERA, by layer distance."""
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]


def virtual_weights(
    store: Store,
    vectors: FeatureVectors | None = None,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    top: int = 1000,
    candidates: int = 100,
    min_positions: int = 5,
    q: float = 0.05,
    memory_gb: float = 2.0,
    folder: str | Path | None = None,
) -> VirtualWeights:
    """Return virtual weights, ERA, TWERA and exact direct weights of pairs of features, and tests of what they do.

    `vectors` are those of the store's transcoders (default: read where the store says). `where` holds conditions as
    `query` takes them, and `cluster` names the metadata whose values are the clusters of prompts; without it each
    prompt is a cluster, and the result warns. The `top` pairs with the largest |TWERA| are listed, and of each two
    layers the `candidates` pairs with the largest |weight| are tested, both among features that are active at
    `min_positions` token positions or more. Temporary files of 16 bytes for each active feature go to `folder`
    (default: where the system has them).

    Raises ConfigError for settings out of range, for prompts stored without active features, and if two layers of
    active features do not fit into the memory; and StoreMismatch for imported graphs and other transcoders.
    """
    check_settings(top, candidates, min_positions, q)
    prompts = choose_prompts(store, where, cluster)
    vectors = feature_vectors(store) if vectors is None else vectors
    with phases_of_memory(prompts, {"vectors": vectors, "memory_gb": memory_gb}, folder) as phases:
        return weights_in_phases(phases, prompts, vectors, (top, candidates, min_positions), q, memory_gb)


def weights_in_phases(
    phases: Phases,
    prompts: ChosenPrompts,
    vectors: FeatureVectors,
    numbers: tuple[int, int, int],
    q: float,
    memory_gb: float,
) -> VirtualWeights:
    """Return what `virtual_weights` returns, for prompts that are chosen already; phases of tasks do the long work.

    `numbers` are `top`, `candidates` and `min_positions`.
    """
    num_layers = vectors.shape.num_layers
    if prompts.store.num_layers != num_layers:
        raise ConfigError(
            f"the transcoders have {num_layers} layers, and the graphs' model has {prompts.store.num_layers}"
        )
    work = WeightPhases.begin(phases, prompts, num_layers)
    work.activity.check_memory(memory_gb)
    chosen = work.candidates(*numbers)
    values = work.values(chosen)
    edges = pair_edges(work.activity, values)
    gates = find_gates(values, edges, q, work.conditions)
    return _result(work.activity, vectors, chosen, values, edges, gates, q)


def mine_weights(
    store: Store,
    out: str | Path,
    transcoders: str | None = None,
    model: str | None = None,
    *,
    where: str | Sequence[str] = (),
    cluster: str | None = None,
    top: int = 1000,
    candidates: int = 100,
    min_positions: int = 5,
    q: float = 0.05,
    memory_gb: float = 2.0,
    run: Execute = perform_here,
) -> Result:
    """Write virtual weights into the folder `out`, and return the result; a finished one is returned as it is.

    `transcoders` and `model` are those of `feature_vectors`, and the other arguments those of `virtual_weights`. `run`
    does the work, as for `mine_atlas`; what a killed run has finished is not done again. Raises ConfigError for a
    folder with another result, too.
    """
    check_settings(top, candidates, min_positions, q)
    prompts = choose_prompts(store, where, cluster)
    vectors = vectors_of_files(store.url, transcoders, model)

    def find(phases: Phases) -> Findings:
        numbers = (top, candidates, min_positions)
        return weights_in_phases(phases, prompts, vectors, numbers, q, memory_gb).findings()

    options: dict[str, Any] = {"where": [where] if isinstance(where, str) else list(where), "cluster": cluster}
    options |= {"top": top, "candidates": candidates, "min_positions": min_positions, "q": q}
    options |= {"transcoders": transcoders, "model": model}
    given = {"vectors": (transcoders, model), "memory_gb": memory_gb}
    return mine_in_phases(out, "weights", prompts, options, find, run, temporary_bytes(prompts), given)


def temporary_bytes(prompts: ChosenPrompts) -> int:
    """Return the bytes of the temporary files, most of which are for active features."""
    return ACTIVE_BYTES * sum(prompts.store.entry(prompt_id).num_active for prompt_id in prompts.ids)


def check_settings(top: int, candidates: int, min_positions: int, q: float) -> None:
    """Raise ConfigError for settings out of range."""
    for name, number in (("top", top), ("candidates", candidates), ("min_positions", min_positions)):
        if not isinstance(number, int) or number < 1:
            raise ConfigError(f"{name} must be an integer of at least 1, not {number!r}")
    if not 0 < q < 1:
        raise ConfigError(f"q is a false discovery rate between 0 and 1, not {q!r}")


def _result(
    activity: Activity,
    vectors: FeatureVectors,
    chosen: Candidates,
    values: PairValues,
    edges: PairEdges,
    gates: Gates,
    q: float,
) -> VirtualWeights:
    columns = _columns(values, edges)
    pairs = _table(PAIRS, columns, np.flatnonzero(values.is_active), -np.abs(values.twera))
    together, gated = _together(activity, values, columns, q), _gated(gates, columns)
    prompts = activity.prompts
    count = {
        name: int((table["finding"] == of).sum())
        for name, table, of in (
            ("interference", together, "interference"),
            ("inhibition", together, "inhibition or interference"),
            ("together", together, "together"),
            ("unknown", together, "unknown"),
            ("gated", gated, "gated"),
        )
    }
    facts = {
        "num_positions": activity.num_sites,
        "num_active": activity.num_rows,
        "num_clusters": activity.num_clusters,
        "num_features": chosen.num_features,
        "num_compared": chosen.num_compared,
        "num_tested_fewer": int((~np.isnan(together["p_fewer"])).sum()),
        "num_tested_more": int((~np.isnan(together["p_more"])).sum()),
        "num_strong": len(together),
        "num_tested_gated": int((~np.isnan(gated["p_sign"])).sum()),
        **{f"num_{name}": number for name, number in count.items()},
        "num_prompts_without_scales": activity.num_without_scales,
        "kind": vectors.shape.kind,
        "q": q,
    }
    calibration = _calibration(pairs)
    return VirtualWeights(pairs, together, gated, calibration, facts, _warnings(prompts, vectors, facts))


def _columns(values: PairValues, edges: PairEdges) -> dict[str, npt.NDArray[Any]]:
    """Return all columns that tables take from, for all pairs [X]."""
    return {
        **{name: getattr(values, name) for name in ("source_layer", "source_feature", "target_layer")},
        "target_feature": values.target_feature,
        "positions_source": values.num_source,
        "positions_target": values.num_target,
        "positions_both": values.num_both,
        **{
            name: getattr(values, name) for name in ("clusters_both", "expected", "inflation", "weight", "era", "twera")
        },
        **{name: getattr(values, name) for name in ("direct", "scale", "clusters_source", "share", "share_low")},
        "share_high": values.share_high,
        "edges": edges.num_same,
        "clusters_edges": edges.clusters,
        "clusters_with_sign": edges.clusters_with_sign,
        "edge": edges.edge,
        "edge_direct": edges.direct,
        "edge_attention": edges.attention,
        "edges_apart": edges.num_apart,
        "edge_apart": edges.apart,
    }


def _table(
    columns: Mapping[str, Column], values: Mapping[str, npt.NDArray[Any]], rows: npt.NDArray[np.intp], *order: Floats
) -> Table:
    """Return some rows, sorted by `order`, then by layers and features."""
    ends = ("target_feature", "target_layer", "source_feature", "source_layer")
    keys = [values[name][rows] for name in ends] + [key[rows] for key in reversed(order)]
    rows = rows[np.lexsort(keys)]
    return Table({name: values[name][rows] for name in columns})


def _together(activity: Activity, values: PairValues, columns: Mapping[str, npt.NDArray[Any]], q: float) -> Table:
    own = np.flatnonzero(values.is_strong)
    found: dict[str, npt.NDArray[Any]] = {}
    for name, test in (("fewer", p_fewer), ("more", p_more)):
        p = np.full(len(values.weight), np.nan)
        if activity.num_clusters >= FEW_CLUSTERS:  # the covariance in fewer clusters is hardly known
            p[own] = test(values.num_both[own], values.expected[own], values.inflation[own])
        found |= {f"p_{name}": p, f"q_{name}": q_values(p)}
    finding = np.where(np.isnan(found["p_fewer"]), "unknown", "as by chance").astype(object)
    finding[found["q_more"] <= q] = "together"
    is_apart = found["q_fewer"] <= q
    finding[is_apart & (values.weight > 0)] = "interference"
    finding[is_apart & (values.weight < 0)] = "inhibition or interference"
    order = *(np.nan_to_num(found[f"p_{name}"], nan=2.0) for name in ("fewer", "more")), -np.abs(values.weight)
    return _table(TOGETHER, {**columns, **found, "finding": finding}, own, *order)


def _gated(gates: Gates, columns: Mapping[str, npt.NDArray[Any]]) -> Table:
    own = {**{name: of[gates.pair] for name, of in columns.items()}, **gates.columns}
    order = np.nan_to_num(own["p_sign"], nan=2.0), -own["effect"]
    return _table(GATED, own, np.arange(len(gates.pair)), *order)


def _calibration(pairs: Table) -> Table:
    distance = pairs["target_layer"] - pairs["source_layer"]
    rows = [_calibrated(pairs.where(distance == value), int(value)) for value in np.unique(distance)]
    return Table({name: np.array([row[name] for row in rows], dtype=of.kind) for name, of in CALIBRATION.items()})


def _calibrated(pairs: Table, distance: int) -> dict[str, float]:
    """Return how direct weights and TWERA of pairs at one layer distance are related, and what their edges are."""
    known = pairs.where(~np.isnan(pairs["scale"]))
    direct, twera, scale = (known[name] for name in ("direct", "twera", "scale"))
    squares = float((twera**2).sum())
    varies = len(known) > 2 and twera.std() > 0 and direct.std() > 0
    quantiles = np.quantile(scale, (0.1, 0.5, 0.9)) if len(known) else np.full(3, np.nan)
    edges = pairs.where(~np.isnan(pairs["edge_direct"]))
    of_direct, of_attention = (float(np.abs(edges[name]).sum()) for name in ("edge_direct", "edge_attention"))
    same_sign = np.sign(edges["edge"]) == np.sign(edges["edge_direct"])
    return {
        "distance": distance,
        "pairs": len(known),
        "slope": float((twera * direct).sum()) / squares if squares else np.nan,
        "correlation": float(np.corrcoef(twera, direct)[0, 1]) if varies else np.nan,
        **dict(zip(("scale_10", "scale_50", "scale_90"), quantiles.tolist(), strict=True)),
        "pairs_with_edges": len(edges),
        "direct_share": of_direct / (of_direct + of_attention) if of_direct + of_attention else np.nan,
        "sign_share": float(same_sign.mean()) if len(edges) else np.nan,
    }


def _warnings(prompts: ChosenPrompts, vectors: FeatureVectors, facts: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    if prompts.clusters is None:
        found.append(
            "no cluster was named: prompts that share a template are not independent, so that features that only "
            "belong to different templates look as if they avoided each other; name the metadata with --cluster"
        )
    elif prompts.num_without_cluster:
        found.append(f"{counted(prompts.num_without_cluster, 'prompt')} without a cluster count as one each")
    if without := facts["num_prompts_without_scales"]:
        found.append(
            f"for {counted(without, 'prompt')} of {len(prompts):,} {WITHOUT_SCALES}. The columns direct, scale and "
            "edge, edge_direct, edge_attention, and gated pairs, are without them; all others need no scales"
        )
    if facts["num_clusters"] < FEW_CLUSTERS:
        found.append(
            f"only {counted(facts['num_clusters'], 'cluster')}: whether features are together by chance is not tested "
            f"with fewer than {FEW_CLUSTERS}"
        )
    elif unknown := facts["num_unknown"]:
        found.append(
            f"whether {unknown:,} of {counted(facts['num_strong'], 'strong pair')} are interference is unknown: "
            f"fewer than {LEAST_EXPECTED:g} common positions are expected of them by chance, after correction for "
            "clusters; more prompts in more clusters can tell"
        )
    if not facts["num_tested_gated"]:
        found.append("no pair with a large effect has edges in enough clusters for its gate to be tested")
    if vectors.shape.has_skip:
        found.append("the transcoders have linear skips: edge_attention includes what these carry")
    return tuple(found)
