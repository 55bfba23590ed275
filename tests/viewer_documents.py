"""Small graphs as the JSON of viewers."""

from __future__ import annotations

from typing import Any

from distributed_tracer.graph.viewer_groups import cantor_pair

CLT, ERROR = "cross layer transcoder", "mlp reconstruction error"


def node(node_id: str, kind: str, layer: Any, at: int, feature: int | None, **more: Any) -> dict[str, Any]:
    return {"node_id": node_id, "feature_type": kind, "layer": layer, "ctx_idx": at, "feature": feature, **more}


def document(**changed: Any) -> dict[str, Any]:
    """Neuronpedia's keys: a feature of layer 0, one of layer 2, an error, a token, a target of the only other token."""
    return {
        "metadata": {"slug": "p", "scan": "m", "prompt_tokens": ["a", " b"], "prompt": "a b", "schema_version": 1},
        "qParams": {"pinnedIds": [], "supernodes": []},
        "nodes": [
            node("4_9_1", "logit", "4", 1, 9, token_prob=0.25, clerp='Output "c "d"" (p=0.250)'),
            node("2_7_1", CLT, "2", 1, cantor_pair(2, 7), activation=1.5, influence=0.2, jsNodeId="2_7-0"),
            node("0_2_1", CLT, 0, 1, cantor_pair(0, 2), activation=2.5, influence=0.3, jsNodeId="0_2-0"),
            node("1_err", ERROR, 1, 1, None, influence=0.35),
            node("E_3_0", "embedding", "E", 0, 0, influence=0.1),
        ],
        "links": [
            {"source": "2_7_1", "target": "4_9_1", "weight": 1.5},
            {"source": "E_3_0", "target": "2_7_1", "weight": -0.5},
            {"source": "0_2_1", "target": "2_7_1", "weight": 0.1},
            {"source": "1_err", "target": "2_7_1", "weight": 0.3},
        ],
        **changed,
    }
