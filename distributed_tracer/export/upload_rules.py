"""What Neuronpedia accepts as the upload of a graph, stated as code, so that it can be checked before anything is sent.

The rules are those of its upload (size, name of the file), of its JSON schema "Anthropic Attribution Graph" 1.0.0, of
its check of slug and scan, and of its viewer, which fails on some graphs that the schema allows. They were read from
its source in August 2026. What depends on its database (whether it knows the model, whether the slug is free) cannot be
checked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from .safe_names import SAFE

MIN_BYTES, MAX_BYTES = 1024, 100 * 2**20
_RENAME = {"slug": "rename the file", "scan": "give another one with --scan"}
_TARGET = re.compile(r"\(p=\s*[0-9.]+\)")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_SHOWN = 3


def upload_problems(path: Path) -> list[str]:
    """Return what Neuronpedia would refuse about a file, or fail to show, each with what to do; none if it is fine."""
    size = path.stat().st_size
    if not MIN_BYTES <= size <= MAX_BYTES:
        remedy = (
            "trace with smaller --node-threshold or --edge-threshold" if size > MAX_BYTES else "trace a longer prompt"
        )
        return [f"the file has {size:,} bytes, and {MIN_BYTES:,} to {MAX_BYTES:,} are accepted: {remedy}"]
    problems = [] if path.name.endswith(".json") else [f"the name {path.name!r} does not end in .json: rename the file"]
    try:
        document = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except ValueError as error:
        return [*problems, f"the file is not JSON ({error}): export it again"]
    broken = [*schema_problems(document)]
    return [*problems, *(broken or _rule_problems(document))]


def schema_problems(document: Any) -> Iterator[str]:
    """Yield where a document differs from the schema."""
    if not isinstance(document, Mapping):
        yield "the file is no JSON object: export it again"
        return
    yield from _fields(document, "the file", {"metadata": _is_object, "qParams": _is_object}, {})
    yield from _fields(document, "the file", {"nodes": _is_list, "links": _is_list}, {})
    if isinstance(metadata := document.get("metadata"), Mapping):
        yield from _fields(metadata, "metadata", _METADATA, _MAY_METADATA)
    if isinstance(state := document.get("qParams"), Mapping):
        yield from _fields(state, "qParams", {}, _STATE)
    for name, must, may in (("nodes", _NODE, _MAY_NODE), ("links", _LINK, {})):
        items = document.get(name)
        if isinstance(items, list):
            found = (_item_problem(item, f"number {i} of {name}", must, may) for i, item in enumerate(items))
            yield from islice(filter(None, found), _SHOWN)


def _rule_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a document breaks of the rules that the schema does not state."""
    metadata, nodes = document["metadata"], document["nodes"]
    for name, remedy in _RENAME.items():
        if not re.fullmatch(f"[{SAFE}]+", metadata[name]):
            yield f"the {name} {metadata[name]!r} is not made of {SAFE} alone: {remedy}"
    if metadata.get("schema_version") != 1:
        yield "metadata has no schema_version 1, so that numbers of features would be misread: export it again"
    if any(_NOT_TEXT.search(text) for text in [metadata["prompt"], *metadata["prompt_tokens"]]):
        yield "the prompt or a token has NUL or half a surrogate pair, which no database stores: export it again"
    yield from _node_problems(nodes)
    ids = {node["node_id"] for node in nodes}
    lost = sum(link["source"] not in ids or link["target"] not in ids for link in document["links"])
    if lost:
        yield f"{lost:,} links begin or end at no node: export it again"
    state = document["qParams"]
    groups = state.get("supernodes", [])
    if not all(_is_texts(group) and len(group) > 1 for group in groups):
        yield "a group is not a list of a name and ids of nodes: remove it"
    elif {*state.get("pinnedIds", []), *(one for group in groups for one in group[1:])} - ids:
        yield "a pin or a group names a node that is not there: remove it"


def _node_problems(nodes: list[dict[str, Any]]) -> Iterator[str]:
    if len({node["node_id"] for node in nodes}) < len(nodes):
        yield "several nodes have the same id: export it again"
    targets = [node for node in nodes if node["feature_type"] == "logit"]
    if not targets:
        yield "there is no target: trace the prompt again"
    if any(_TARGET.search(node["clerp"]) is None for node in targets):
        yield "a target's label lacks (p=...), without which the page fails: export it again"
    layers = [node["layer"] for node in nodes if node["feature_type"] not in ("logit", "embedding")]
    if not any(str(layer).isdigit() and int(layer) > 0 for layer in layers):
        yield "all features and errors are in layer 0, on which the page fails: trace with larger thresholds"


def _fields(
    values: Mapping[str, Any], where: str, must: Mapping[str, _Check], may: Mapping[str, _Check]
) -> Iterator[str]:
    for name, check in {**must, **may}.items():
        if name not in values:
            if name in must:
                yield f"{where} has no {name}: export it again"
        elif not check(values[name]):
            yield f"{name} of {where} is {type(values[name]).__name__}, not {_KINDS[check]}: export it again"


def _item_problem(item: Any, where: str, must: Mapping[str, _Check], may: Mapping[str, _Check]) -> str | None:
    """Return the first problem of an item of a list, or None."""
    if not isinstance(item, Mapping):
        return f"{where} is no object: export it again"
    return next(_fields(item, where, must, may), None)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


_Check = Callable[[Any], bool]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and value == int(value)


def _is_number_or_null(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_integer_or_null(value: Any) -> bool:
    return value is None or _is_integer(value)


def _is_layer(value: Any) -> bool:
    return isinstance(value, str) or _is_integer(value)


_KINDS: dict[_Check, str] = {
    _is_object: "an object",
    _is_list: "a list",
    _is_text: "text",
    _is_texts: "a list of texts",
    _is_number: "a number",
    _is_integer: "an integer",
    _is_number_or_null: "a number or null",
    _is_integer_or_null: "an integer or null",
    _is_layer: "text or an integer",
}
_METADATA = {"slug": _is_text, "scan": _is_text, "prompt_tokens": _is_texts, "prompt": _is_text}
_MAY_METADATA = {
    "feature_details": _is_object,
    "node_threshold": _is_number,
    "info": _is_object,
    "generation_settings": _is_object,
    "pruning_settings": _is_object,
}
_STATE = {
    "pinnedIds": _is_texts,
    "supernodes": _is_list,
    "linkType": _is_text,
    "clickedId": _is_text,
    "sg_pos": _is_text,
}
_NODE = {
    "node_id": _is_text,
    "feature": _is_integer_or_null,
    "layer": _is_layer,
    "ctx_idx": _is_integer,
    "feature_type": _is_text,
    "jsNodeId": _is_text,
    "clerp": _is_text,
}
_MAY_NODE = {"influence": _is_number_or_null, "activation": _is_number_or_null}
_LINK = {"source": _is_text, "target": _is_text, "weight": _is_number}
