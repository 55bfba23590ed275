"""Endpoints that run the model: supernodes of a prompt set to other values, the answer before and after, generation.

The model is loaded in the background when it is first asked for; until then, requests get the status 202 and the state
of the loading, and a page asks again. One request runs the model at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...graph.graph import Graph
from ...graph.node_keys import node_numbers
from ...plain_values import shown
from ...store.annotation_edits import write_result
from ...store.format.annotation_entry import RESULTS
from ...store.format.annotation_subject import Subject
from ..endpoint import Endpoint, Json
from ..loaded_model import LoadedModel, loaded_model
from ..node_names import key_text, parse_key
from ..served_store import ServedStore
from .edit_body import AUTHOR, PARENTS, author_of, fields_of, parents_of, text_of
from .graphs import PROMPT, asked

if TYPE_CHECKING:
    from ...intervene.replacement_model import ReplacementModel
    from ...intervene.supernode import Supernode

MOST_SUPERNODES, MOST_FEATURES, MOST_NEW_TOKENS, MOST_NAME = 200, 20_000, 200, 1_000
"""Limits of one request: supernodes, features of all of them, tokens to generate, characters of a name."""
_FIELDS = ("supernodes", "generate", "temperature", "seed", "freeze_attention", "num_tokens")
_OF_SUPERNODE = ("name", "members", "set", "number", "position", "instead")
_SETTINGS = ("none", "times", "value")
_KEYS = {"type": "array", "items": {"type": "string"}}
_BODY = {
    "type": "object",
    "required": ["supernodes"],
    "properties": {
        "supernodes": {
            "type": "array",
            "maxItems": MOST_SUPERNODES,
            "items": {
                "type": "object",
                "required": ["name", "members"],
                "properties": {
                    "name": {"type": "string"},
                    "members": {**_KEYS, "description": "Features: feature:layer:position:index."},
                    "set": {"type": "string", "enum": list(_SETTINGS), "default": "none"},
                    "number": {"type": "number", "description": "A multiple of the activations, or an activation."},
                    "position": {"type": "integer", "description": "Position for all members, instead of their own."},
                    "instead": {
                        "type": "object",
                        "description": "Supernode of another prompt that is turned on while this one is turned off.",
                        "required": ["name", "members", "prompt", "position"],
                        "properties": {
                            "name": {"type": "string"},
                            "members": _KEYS,
                            "prompt": {"type": "string"},
                            "position": {"type": "integer"},
                        },
                    },
                },
            },
        },
        "generate": {"type": "integer", "minimum": 0, "maximum": MOST_NEW_TOKENS, "default": 0},
        "temperature": {"type": "number", "minimum": 0, "default": 0},
        "seed": {"type": "integer", "minimum": 0, "default": 0},
        "freeze_attention": {"type": "boolean", "default": True},
        "num_tokens": {"type": "integer", "minimum": 1, "maximum": 50, "default": 5},
    },
}


def model_state(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return whether there is a model, and how far its loading is."""
    found = loaded_model(served)
    return Json({"state": found.state, "problem": found.problem})


def run_intervention(served: ServedStore, query: Mapping[str, Any], body: Any) -> Json:
    """Set supernodes of a prompt, and return their states and the likeliest next tokens before and after."""
    graph = served.graph(query["prompt"])
    options = _Options.of(body)
    found = loaded_model(served)
    if found.state == "none":
        raise ConfigError("this server has no model: start it with --model and --transcoders to intervene")
    if found.state == "failed":
        raise ConfigError(f"the model could not be loaded: {found.problem}")
    if found.replacement is None:
        found.load()
        return Json({"state": found.state}, 202)
    return Json({"state": "ready", **_run(served, found, found.replacement, graph, body["supernodes"], options)})


def _run(
    served: ServedStore,
    found: LoadedModel,
    replacement: ReplacementModel,
    graph: Graph,
    given: Sequence[Mapping[str, Any]],
    options: _Options,
) -> dict[str, Any]:
    from ...intervene.intervention_graph import InterventionGraph

    several = _Supernodes(served, graph, given)
    with found.in_use:
        tokens = graph.tokens_P.tolist()
        setup = InterventionGraph(replacement, tokens, several.all)
        settings = several.times, several.values, several.swaps
        applied = setup.apply(*settings, num_tokens=options.num_tokens, freeze_attention=options.freeze_attention)
        answer = {**applied.summary(), "sources": several.keys}
        if options.generate:
            how: dict[str, Any] = {
                "max_new_tokens": options.generate,
                "temperature": options.temperature,
                "seed": options.seed,
                "freeze_attention": options.freeze_attention,
            }
            after = setup.interventions(*settings)
            answer["generated"] = {
                "before": replacement.generate(tokens, **how),
                "after": replacement.generate(tokens, after, **how),
            }
    return answer


@dataclass(frozen=True)
class _Options:
    generate: int
    temperature: float
    seed: int
    freeze_attention: bool
    num_tokens: int

    @classmethod
    def of(cls, body: Any) -> _Options:
        _check_fields("the body", body, _FIELDS)
        if not isinstance(body.get("supernodes"), list) or len(body["supernodes"]) > MOST_SUPERNODES:
            raise ConfigError(f"supernodes is a list of at most {MOST_SUPERNODES}, not {shown(body.get('supernodes'))}")
        freeze = body.get("freeze_attention", True)
        if not isinstance(freeze, bool):
            raise ConfigError(f"freeze_attention is true or false, not {shown(freeze)}")
        return cls(
            int(_number(body, "generate", 0, 0, MOST_NEW_TOKENS, whole=True)),
            _number(body, "temperature", 0.0, 0.0, 100.0),
            int(_number(body, "seed", 0, 0, 2**31, whole=True)),
            freeze,
            int(_number(body, "num_tokens", 5, 1, 50, whole=True)),
        )


class _Supernodes:
    """The supernodes of a request as the intervention graph takes them, and what is set."""

    def __init__(self, served: ServedStore, graph: Graph, given: Sequence[Mapping[str, Any]]) -> None:
        """Read and check them. Raises ConfigError for nodes that the graph does not have or that are no features."""
        self.all: list[Supernode] = []
        self.times: dict[str, float] = {}
        self.values: dict[str, float] = {}
        self.swaps: dict[str, Supernode] = {}
        self.keys: dict[str, list[str]] = {}
        """Members of each supernode, by name."""
        for one in given:
            _check_fields("a supernode", one, _OF_SUPERNODE)
            name = _name(one)
            self.all.append(_moved(_supernode(name, one.get("members"), graph), one))
            self.keys[name] = list(one["members"])
            self._set(served, name, one)
        if sum(len(one.features) for one in self.all) > MOST_FEATURES:
            raise ConfigError(f"the supernodes have more than {MOST_FEATURES:,} features")

    def _set(self, served: ServedStore, name: str, one: Mapping[str, Any]) -> None:
        setting = one.get("set", "none")
        if setting not in _SETTINGS:
            raise ConfigError(f"set is one of {', '.join(_SETTINGS)}, not {shown(setting)}")
        if setting != "none":
            number = _number(one, "number", None, -1e6, 1e6)
            (self.times if setting == "times" else self.values)[name] = number
        instead = one.get("instead")
        if instead is not None:
            _check_fields("instead", instead, ("name", "members", "prompt", "position"))
            if not isinstance(instead.get("prompt"), str):
                raise ConfigError(f"instead has the id of its prompt, not {shown(instead.get('prompt'))}")
            other = _supernode(_name(instead), instead.get("members"), served.graph(instead["prompt"]))
            self.swaps[name] = _moved(other, instead, must=True)
            self.keys[other.name] = list(instead["members"])


def _supernode(name: str, members: object, graph: Graph) -> Supernode:
    """Return a supernode of feature nodes of a graph."""
    from ...intervene.supernode import Supernode

    if not isinstance(members, list) or not members:
        raise ConfigError(f"the members of {name!r} are a list of nodes, not {shown(members)}")
    keys = [parse_key(one) for one in members]
    others = [key_text(key) for key in keys if key.kind != "feature"]
    if others:
        raise ConfigError(f"{others[0]} is no feature: only features can be set")
    return Supernode.of_nodes(name, graph, node_numbers(graph, keys))


def _moved(supernode: Supernode, one: Mapping[str, Any], must: bool = False) -> Supernode:
    """Return the supernode at the position that the request gives for all of its features."""
    if one.get("position") is None and not must:
        return supernode
    return supernode.at(int(_number(one, "position", None, 0, 2**31, whole=True)))


def _name(one: Mapping[str, Any]) -> str:
    name = one.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
        raise ConfigError(f"a supernode has a name of at most {MOST_NAME:,} characters, not {shown(name)}")
    return name


def _check_fields(what: str, given: object, known: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{what} is a JSON object with {', '.join(known)}, not {shown(given)}")
    for name in given:
        if name not in known:
            raise ConfigError(f"{what} has no field {shown(name)}; there are {', '.join(known)}")


def _number(
    given: Mapping[str, Any], name: str, default: float | None, least: float, most: float, whole: bool = False
) -> float:
    value = given.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not least <= value <= most or (whole and value != int(value)):
        raise ConfigError(
            f"{name} is a {'whole ' if whole else ''}number from {least:g} to {most:g}, not {shown(value)}"
        )
    return float(value)


def kept_results(served: ServedStore, query: Mapping[str, Any]) -> Json:
    """Return the results that were kept beside a graph, the newest first."""
    prompt = query["prompt"]
    served.graph(prompt)
    return Json({"results": _kept(served, prompt)})


def keep_result(served: ServedStore, query: Mapping[str, Any], body: Any) -> Json:
    """Keep a result beside a graph, or remove kept ones where `name` is null."""
    prompt = query["prompt"]
    served.graph(prompt)
    given = fields_of(body, ("name", "result", "author", "parents"))
    author, parents, name = author_of(served, given), parents_of(given), text_of(given, "name")
    result = given.get("result", {})
    if not isinstance(result, Mapping):
        raise ConfigError(f"a result is a JSON object, not {shown(result)}")
    ref = write_result(served.annotations, prompt, asked(served, prompt), name, result, author, parents)
    return Json({"written": ref, "results": _kept(served, prompt)})


def _kept(served: ServedStore, prompt: str) -> list[dict[str, Any]]:
    cache = served.annotations
    cache.refresh([RESULTS])
    heads = cache.heads(RESULTS, Subject.of_prompt(prompt, asked(served, prompt)))
    return [
        {
            "ref": one.ref,
            "author": one.author,
            "created": one.created,
            "name": one.content["name"],
            "result": one.content["result"],
        }
        for one in reversed(heads)
        if one.content is not None
    ]


_TAGS = ("interventions",)
ENDPOINTS = (
    Endpoint("/model", "Whether the server has a model, and how far its loading is.", model_state, tags=_TAGS),
    Endpoint(
        "/interventions",
        "Supernodes of a prompt set to other values: their states and the answer, before and after.",
        run_intervention,
        (PROMPT,),
        method="POST",
        body=_BODY,
        slow=True,
        tags=_TAGS,
    ),
    Endpoint("/kept_results", "Results kept beside a graph.", kept_results, (PROMPT,), tags=_TAGS),
    Endpoint(
        "/kept_results",
        "Keep a result beside a graph, or remove kept ones.",
        keep_result,
        (PROMPT,),
        method="POST",
        body={
            "type": "object",
            "properties": {
                "name": {"type": ["string", "null"], "description": "Name of the result; null removes `parents`."},
                "result": {"type": "object"},
                "author": AUTHOR,
                "parents": PARENTS,
            },
        },
        writes=True,
        tags=_TAGS,
    ),
)
