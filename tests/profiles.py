"""Small profiles on disk, from FeatureProfiles that a test writes down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from distributed_tracer.profile.document import write_document, write_prompts, write_tokens
from distributed_tracer.profile.feature_profile import Context, FeatureProfile
from distributed_tracer.profile.layout import CONTEXTS, FEATURES, WEIGHTS, arrow_table, layer_file
from distributed_tracer.profile.ragged import Ragged
from distributed_tracer.table_folder import write_parquet


def write_profile(folder: Path, profiles: Sequence[FeatureProfile], settings: dict[str, Any] | None = None) -> Path:
    """Write a profile that `open_profile` reads back equal. Tokens of a prompt that no context shows are `.`."""
    known: dict[str, dict[int, str]] = {}
    for profile in profiles:
        for context in profile.contexts:
            known.setdefault(context.prompt, {}).update(enumerate(context.tokens, context.start))
    weighted = {(w.token_id, w.token) for p in profiles for w in (*p.promoted, *p.suppressed)}
    tokens = [
        *sorted(weighted),
        *((-1, name) for name in sorted({".", *(n for t in known.values() for n in t.values())})),
    ]
    row_of = {name: row for row, (token_id, name) in enumerate(tokens) if token_id < 0}
    number_of = {prompt: number for number, prompt in enumerate(known)}
    texts = ([row_of[found.get(place, ".")] for place in range(max(found) + 1)] for found in known.values())
    complete = [
        not any(np.isnan(a) for p in profiles for c in p.contexts if c.prompt == prompt for a in c.activations)
        for prompt in known
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_tokens(folder, tokens)
    write_prompts(folder, zip(number_of.values(), known, texts, complete, strict=True))
    ordered = sorted(profiles, key=lambda p: (p.layer, p.feature))
    layers = []
    for layer, group in groupby(ordered, key=lambda p: p.layer):
        layers.append(layer)
        _write_layer(folder, layer, list(group), number_of)
    first = ordered[0]
    write_document(
        folder,
        layers,
        {
            "num_features": len(ordered),
            "num_tokens": first.num_tokens,
            "num_prompts": first.num_prompts,
            "quantile_shares": list(first.quantile_shares),
            "settings": settings or {},
        },
    )
    return folder


def _write_layer(folder: Path, layer: int, profiles: list[FeatureProfile], number_of: dict[str, int]) -> None:
    numbers = {name: [getattr(p, name) for p in profiles] for name in ("num_active_tokens", "num_active_prompts")}
    floats = {name: [getattr(p, name) for p in profiles] for name in ("min_activation", "max_activation")}
    features = {
        "layer": np.full(len(profiles), layer, dtype=np.int16),
        "feature": np.array([p.feature for p in profiles], dtype=np.int32),
        **{name: np.array(values, dtype=np.int64) for name, values in numbers.items()},
        **{name: np.array(values, dtype=np.float32) for name, values in floats.items()},
        "mean_activation": np.array([p.mean_activation for p in profiles]),
        "quantiles": Ragged.of([p.quantiles for p in profiles], np.float32),
        "histogram": Ragged.of([p.histogram for p in profiles], np.int64),
        "bin_edges": Ragged.of([p.bin_edges for p in profiles], np.float32),
        "position_starts": Ragged.of([[a for a, _ in p.positions] for p in profiles], np.int32),
        "position_counts": Ragged.of([[b for _, b in p.positions] for p in profiles], np.int64),
    }
    write_parquet(folder / layer_file(FEATURES, layer), iter([arrow_table(features)]), 2)
    contexts = [(p.feature, context) for p in profiles for context in p.contexts]
    offsets = [[n for n, a in enumerate(c.activations) if a and not np.isnan(a)] for _, c in contexts]
    columns = {
        "feature": np.array([feature for feature, _ in contexts], dtype=np.int32),
        "quantile": np.array([c.quantile for _, c in contexts], dtype=np.int8),
        "prompt": np.array([number_of[c.prompt] for _, c in contexts], dtype=np.int32),
        "position": np.array([c.position for _, c in contexts], dtype=np.int32),
        "start": np.array([c.start for _, c in contexts], dtype=np.int32),
        "stop": np.array([c.start + len(c.tokens) for _, c in contexts], dtype=np.int32),
        "activation": np.array([_at(c) for _, c in contexts], dtype=np.float32),
        "offsets": Ragged.of(offsets, np.int32),
        "activations": Ragged.of(
            [[c.activations[n] for n in o] for o, (_, c) in zip(offsets, contexts, strict=True)], np.float32
        ),
    }
    write_parquet(folder / layer_file(CONTEXTS, layer), iter([arrow_table(columns)]), 2)
    if any(p.promoted or p.suppressed or p.neighbours for p in profiles):
        weights = {
            "feature": np.array([p.feature for p in profiles], dtype=np.int32),
            "promoted": Ragged.of([[w.token_id for w in p.promoted] for p in profiles], np.int32),
            "promoted_weights": Ragged.of([[w.weight for w in p.promoted] for p in profiles], np.float32),
            "suppressed": Ragged.of([[w.token_id for w in p.suppressed] for p in profiles], np.int32),
            "suppressed_weights": Ragged.of([[w.weight for w in p.suppressed] for p in profiles], np.float32),
            "neighbour_layers": Ragged.of([[n.layer for n in p.neighbours] for p in profiles], np.int16),
            "neighbours": Ragged.of([[n.feature for n in p.neighbours] for p in profiles], np.int32),
            "cosines": Ragged.of([[n.cosine for n in p.neighbours] for p in profiles], np.float32),
        }
        write_parquet(folder / layer_file(WEIGHTS, layer), iter([arrow_table(weights)]), 2)


def _at(context: Context) -> float:
    return context.activations[context.position - context.start]
